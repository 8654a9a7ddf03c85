/** What one protocol (LCP, IPCP, IP6CP) wants and accepts: the options, without the automaton that carries them back and forth. */
import type { PppOption } from './control-packet.ts';

export interface Negotiation {
  readonly protocol: number;
  /** What we ask for now. */
  request(): readonly PppOption[];
  /** What the peer gets for its request. `round`: how many of its requests got a Nak so far. */
  judge(options: readonly PppOption[], round: number): Verdict;
  /** The peer's request has been acknowledged: it counts from now on. */
  accept(options: readonly PppOption[]): void;
  /** The peer wants other values. A text: we cannot go on, and why. `round`: how often it did, this time included. */
  naked(options: readonly PppOption[], round: number): string | undefined;
  /** The peer does not want these at all. A text: we cannot go on, and why. */
  rejected(options: readonly PppOption[]): string | undefined;
  /** Both requests have been acknowledged. A text: what came out is of no use, and why. */
  agreed(): string | undefined;
  /** Whether a request is that of `before` again, so that what was agreed on still holds. */
  isRepeat(options: readonly PppOption[], before: readonly PppOption[]): boolean;
}

export type Verdict =
  | { readonly type: 'ack' }
  | { readonly type: 'nak' | 'reject'; readonly options: readonly PppOption[] }
  | { readonly type: 'fail'; readonly message: string };

export type OptionVerdict = 'ack' | 'reject' | { readonly better: Uint8Array };

/** Puts verdicts on options together: all that are rejected go first, then all that need better values (spec 5.3). */
export function judgeEach(options: readonly PppOption[], judge: (option: PppOption) => OptionVerdict): Verdict {
  const rejected: PppOption[] = [];
  const better: PppOption[] = [];
  for (const option of options) {
    const verdict = judge(option);
    if (verdict === 'reject') rejected.push(option);
    else if (verdict !== 'ack') better.push({ type: option.type, value: verdict.better });
  }
  if (rejected.length > 0) return { type: 'reject', options: rejected };
  return better.length > 0 ? { type: 'nak', options: better } : { type: 'ack' };
}

export function sameOptions(a: readonly PppOption[], b: readonly PppOption[]): boolean {
  return a.length === b.length && a.every((option, i) => sameOption(option, b[i]));
}

function sameOption(a: PppOption, b: PppOption | undefined): boolean {
  return b !== undefined && a.type === b.type && a.value.length === b.value.length && a.value.every((byte, i) => byte === b.value[i]);
}
