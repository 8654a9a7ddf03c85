/** Log-ins that are under way, by their ids: each has its time, each address its share, and all of them together a limit. */
import type { AuthStep } from '../../core/auth/dialogue.ts';
import type { FormValues } from '../../core/auth/form.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp, type IpAddress } from '../../core/wire/ip-address.ts';
import { toBase64 } from '../../core/wire/text.ts';
import type { LoginDialogue } from './login-dialogue.ts';

/** 256 bits. */
const ID_BYTES = 32;

/** All together; the oldest makes room. */
const MAX_DIALOGUES = 20_000;

/** Of one address: a flood from one place must not end the log-ins of others. Many people share an address behind a NAT. */
const MAX_PER_ADDRESS = 1_000;

/** Fields of one answer that are looked at, and bytes of them all together. */
const MAX_FIELDS = 16;
const MAX_ANSWER_BYTES = 8_192;

export interface RunningDialogue {
  readonly dialogue: LoginDialogue;
  readonly remote: IpAddress;
  readonly userAgent: string;
  readonly host: string | undefined;
  readonly beganAt: number;
  readonly endsAt: number;
}

interface Entry extends RunningDialogue {
  /** One answer at a time, in the order they came. */
  last: Promise<unknown>;
}

export class DialogueTable {
  readonly #now: () => number;
  readonly #random: (length: number) => Uint8Array;
  readonly #entries = new Map<string, Entry>();
  readonly #countOf = new Map<string, number>();

  constructor(now: () => number, random: (length: number) => Uint8Array) {
    this.#now = now;
    this.#random = random;
  }

  /** Keeps a dialogue; its id. */
  add(running: Omit<RunningDialogue, 'beganAt' | 'endsAt'>, loginTime: Millis): string {
    this.sweep();
    const address = formatIp(running.remote);
    if ((this.#countOf.get(address) ?? 0) >= MAX_PER_ADDRESS) this.#dropOldest((entry) => formatIp(entry.remote) === address);
    if (this.#entries.size >= MAX_DIALOGUES) this.#dropOldest(() => true);
    const id = toBase64(this.#random(ID_BYTES));
    const beganAt = this.#now();
    this.#entries.set(id, { ...running, beganAt, endsAt: beganAt + loginTime, last: Promise.resolve() });
    this.#countOf.set(address, (this.#countOf.get(address) ?? 0) + 1);
    return id;
  }

  has(id: string): boolean {
    const entry = this.#entries.get(id);
    if (entry !== undefined && entry.endsAt <= this.#now()) this.remove(id);
    return this.#entries.has(id);
  }

  /** Undefined: there is no such dialogue any more. */
  async answer(id: string, values: FormValues, remote: IpAddress): Promise<AuthStep | undefined> {
    const entry = this.has(id) ? this.#entries.get(id) : undefined;
    if (entry === undefined) return undefined;
    const fields = Object.entries(values);
    const size = fields.reduce((sum, [name, value]) => sum + name.length + (typeof value === 'string' ? value : value.reveal()).length, 0);
    if (fields.length > MAX_FIELDS || size > MAX_ANSWER_BYTES) {
      this.remove(id);
      return { type: 'refused', message: 'Login failed.' };
    }
    const step = entry.last.then(() => entry.dialogue.next(values, remote));
    entry.last = step.catch(() => undefined); // the one who asked hears of it
    try {
      return await step;
    } finally {
      if (entry.dialogue.isOver) this.remove(id);
    }
  }

  remove(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    entry.dialogue.close();
    const address = formatIp(entry.remote);
    const left = (this.#countOf.get(address) ?? 1) - 1;
    if (left === 0) this.#countOf.delete(address);
    else this.#countOf.set(address, left);
  }

  /** Those whose time is over. The map has them in the order in which they began, and so (but for a reload) in which they end. */
  sweep(): void {
    const now = this.#now();
    for (const [id, entry] of this.#entries) {
      if (entry.endsAt > now) break;
      this.remove(id);
    }
  }

  list(): readonly (RunningDialogue & { readonly id: string })[] {
    this.sweep();
    return [...this.#entries].map(([id, entry]) => ({ ...entry, id }));
  }

  clear(): void {
    for (const id of [...this.#entries.keys()]) this.remove(id);
  }

  #dropOldest(matches: (entry: Entry) => boolean): void {
    for (const [id, entry] of this.#entries) {
      if (!matches(entry)) continue;
      this.remove(id);
      return;
    }
  }
}
