/**
 * LCP's options: how large frames may be, how headers are compressed, and the magic numbers.
 *
 * Read first: RFC 1661 §6; spec "PPP", sections 6.1 and 6.2.
 */
import { ByteReader } from '../wire/byte-reader.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import type { PppOption } from './control-packet.ts';
import { PPP_PROTOCOLS } from './frame-header.ts';
import { FULL_ACCM } from './hdlc.ts';
import { DEFAULT_MRU, MAX_MRU, MAX_NAKS, MIN_MRU } from './limits.ts';
import { judgeEach, type Negotiation, type OptionVerdict, sameOptions, type Verdict } from './negotiation.ts';

export const LCP_OPTIONS = { mru: 1, accm: 2, magic: 5, protocolCompression: 7, addressControlCompression: 8 } as const;

export interface LcpWishes {
  /** What we take at most; undefined: not said. */
  readonly mru?: number;
  readonly asksAccm: boolean;
  readonly asksCompression: boolean;
  /**
   * A gateway decides on the MTU (spec 6.2): a Nak does not change what it asks for. But clients take what it says for the MTU both ways, even if it is
   * more than they take themselves: then it is lowered to that.
   */
  readonly decidesMtu: boolean;
  readonly randomBytes: (length: number) => Uint8Array;
}

const MRU_LENGTH = 2;
const ACCM_LENGTH = 4;
export const MAGIC_LENGTH = 4;
const NOTHING = new Uint8Array(0);

export class Lcp implements Negotiation {
  readonly protocol: number = PPP_PROTOCOLS.lcp;
  readonly #wishes: LcpWishes;
  /** Options that the peer does not want. */
  readonly #dropped = new Set<number>();
  #mru: number | undefined;
  #magic: Uint8Array;
  /** Requests in a row that have our own magic number. */
  #loops = 0;
  #peerMru: number | undefined;
  #peerAccm = FULL_ACCM;
  #peerTakesShortProtocol = false;
  #peerTakesNoAddressControl = false;

  constructor(wishes: LcpWishes) {
    this.#wishes = wishes;
    this.#mru = wishes.mru;
    this.#magic = newMagic(wishes.randomBytes);
  }

  /** Ours; zeros where the peer does not want one (RFC 1661 §5.8). */
  get magic(): Uint8Array {
    return this.#dropped.has(LCP_OPTIONS.magic) ? new Uint8Array(MAGIC_LENGTH) : this.#magic;
  }

  /** The largest packet that the peer takes, if it said; never more than a frame holds. */
  get peerMru(): number | undefined {
    return this.#peerMru;
  }

  /** The control characters that the peer wants escaped. */
  get peerAccm(): number {
    return this.#peerAccm;
  }

  get peerTakesShortProtocol(): boolean {
    return this.#peerTakesShortProtocol;
  }

  get peerTakesNoAddressControl(): boolean {
    return this.#peerTakesNoAddressControl;
  }

  /** In the order in which there are clients that take no other (spec "F5", 5.4). */
  request(): readonly PppOption[] {
    const { asksAccm, asksCompression } = this.#wishes;
    const mru = this.#mru;
    const options: PppOption[] = [];
    if (mru !== undefined) options.push({ type: LCP_OPTIONS.mru, value: new ByteWriter().u16(mru).finish() });
    if (asksAccm) options.push({ type: LCP_OPTIONS.accm, value: new Uint8Array(ACCM_LENGTH) });
    options.push({ type: LCP_OPTIONS.magic, value: this.#magic });
    if (asksCompression) {
      options.push({ type: LCP_OPTIONS.protocolCompression, value: NOTHING });
      options.push({ type: LCP_OPTIONS.addressControlCompression, value: NOTHING });
    }
    return options.filter(({ type }) => !this.#dropped.has(type));
  }

  judge(options: readonly PppOption[]): Verdict {
    const isLoop = options.some(({ type, value }) => type === LCP_OPTIONS.magic && sameMagic(value, this.#magic));
    this.#loops = isLoop ? this.#loops + 1 : 0;
    if (this.#loops > MAX_NAKS) return { type: 'fail', message: 'The link only echoes what is sent (PPP magic number).' };
    return judgeEach(options, (option) => this.#judgeOption(option));
  }

  accept(options: readonly PppOption[]): void {
    this.#peerMru = undefined;
    this.#peerAccm = FULL_ACCM;
    this.#peerTakesShortProtocol = false;
    this.#peerTakesNoAddressControl = false;
    for (const { type, value } of options) {
      if (type === LCP_OPTIONS.mru) this.#peerMru = Math.min(new ByteReader(value).u16('MRU'), MAX_MRU);
      else if (type === LCP_OPTIONS.accm) this.#peerAccm = new ByteReader(value).u32('ACCM');
      else if (type === LCP_OPTIONS.protocolCompression) this.#peerTakesShortProtocol = true;
      else if (type === LCP_OPTIONS.addressControlCompression) this.#peerTakesNoAddressControl = true;
    }
    if (this.#wishes.decidesMtu && this.#mru !== undefined) this.#mru = Math.min(this.#mru, this.#peerMru ?? this.#mru);
  }

  /** Spec 6.1: no value that is offered is taken. The magic number is chosen anew; of the others we ask for none. */
  naked(options: readonly PppOption[], round: number): string | undefined {
    for (const { type } of options) {
      if (type === LCP_OPTIONS.magic) this.#magic = newMagic(this.#wishes.randomBytes);
      else if (!(type === LCP_OPTIONS.mru && this.#wishes.decidesMtu && round <= MAX_NAKS)) this.#dropped.add(type);
    }
    return undefined;
  }

  rejected(options: readonly PppOption[]): string | undefined {
    for (const { type } of options) this.#dropped.add(type);
    return undefined;
  }

  agreed(): string | undefined {
    return undefined;
  }

  /** Spec 7.3: peers make a new magic number each time they ask. */
  isRepeat(options: readonly PppOption[], before: readonly PppOption[]): boolean {
    return sameOptions(withoutMagic(options), withoutMagic(before));
  }

  #judgeOption({ type, value }: PppOption): OptionVerdict {
    switch (type) {
      case LCP_OPTIONS.mru:
        if (value.length !== MRU_LENGTH) return 'reject';
        // More than a frame holds is no reason for another round: who takes more takes less, too.
        return new ByteReader(value).u16('MRU') >= MIN_MRU ? 'ack' : { better: new ByteWriter().u16(DEFAULT_MRU).finish() };
      case LCP_OPTIONS.accm:
        return value.length === ACCM_LENGTH ? 'ack' : 'reject';
      case LCP_OPTIONS.magic:
        if (value.length !== MAGIC_LENGTH) return 'reject';
        return isZero(value) || sameMagic(value, this.#magic) ? { better: newMagic(this.#wishes.randomBytes) } : 'ack';
      case LCP_OPTIONS.protocolCompression:
      case LCP_OPTIONS.addressControlCompression:
        return value.length === 0 ? 'ack' : 'reject';
      default:
        return 'reject';
    }
  }
}

function withoutMagic(options: readonly PppOption[]): readonly PppOption[] {
  return options.filter(({ type }) => type !== LCP_OPTIONS.magic);
}

function newMagic(randomBytes: (length: number) => Uint8Array): Uint8Array {
  const magic = randomBytes(MAGIC_LENGTH);
  if (isZero(magic)) magic[0] = 1;
  return magic;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function sameMagic(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
