/**
 * Proves that a datagram path carries packets both ways, and how large ones: by the probes of the MTU search and, where none of those comes back, by
 * small questions.
 *
 * Read first: spec "AnyConnect", section 8.4; MtuSearch. All of them are DPD requests: `tag | zeros…`, which gateways echo, or answer with no payload.
 *
 *   searching ── a probe came back ──────────────────────────► proven
 *     ▲ │ none did                                               ▲
 *     │ └──► asking ── a late probe, or an answer without echo ──┘
 *     │         └───── the question came back, the first time: search again; the second time ──► narrow
 *     └──────────────────────────────────────────────────────────┘
 *
 * That a search without an echo leaves the MTU as it was, as the reference client has it, is right for gateways that do not echo. But of a path that
 * carries nothing larger than a question it would make a black hole for all packets that matter.
 */
import { MtuSearch } from '../../tunnel/mtu-search.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { ByteReader } from '../../wire/byte-reader.ts';

/** Bytes of a probe's tag, and of the random number that they are made with. */
export const PROBE_TAG_LENGTH = 4;

/** As much as makes an answer an echo, and passes wherever anything does. */
const QUESTION_LENGTH = PROBE_TAG_LENGTH + 1;

/** From one question to the next. */
const QUESTION_INTERVAL: Millis = 1_000;

/** Searches without an echo, on a path that echoes questions, that prove it too narrow: one can be lost as a whole. */
const MAX_SEARCHES = 2;

export type PathProofState = 'searching' | 'asking' | 'proven' | 'narrow';

export interface PathProofOptions {
  /** The tunnel MTU so far: never exceeded. */
  readonly agreed: number;
  /** Whether the tunnel carries IPv6. */
  readonly hasIpv6: boolean;
  /** 32 random bits. */
  readonly id: number;
}

export class PathProof {
  readonly #options: PathProofOptions;
  #search: MtuSearch;
  #searches = 1;
  #state: PathProofState = 'searching';
  #mtu: number;
  #hasProbed = false;
  #nextQuestionAt: Millis = 0;

  /** The first probe is due at once. */
  constructor(options: PathProofOptions, now: Millis) {
    this.#options = options;
    this.#search = new MtuSearch(options, now);
    this.#mtu = options.agreed;
    this.#follow(now);
  }

  get state(): PathProofState {
    return this.#state;
  }

  /** The largest packet that the path has shown to carry, or the MTU so far. */
  get mtu(): number {
    return this.#mtu;
  }

  nextTimeout(): Millis | undefined {
    switch (this.#state) {
      case 'searching':
        return this.#search.nextTimeout();
      case 'asking':
        return this.#nextQuestionAt;
      case 'proven':
      case 'narrow':
        return undefined;
    }
  }

  /** The payload of the DPD request to send now, if one is due. */
  handleTimeout(now: Millis): Uint8Array | undefined {
    const probe = this.#search.handleTimeout(now);
    this.#follow(now);
    if (probe !== undefined) {
      this.#hasProbed = true;
      return payloadOf(probe.size, probe.tag);
    }
    if (this.#state !== 'asking' || now < this.#nextQuestionAt) return undefined;
    this.#nextQuestionAt = now + QUESTION_INTERVAL;
    return payloadOf(QUESTION_LENGTH, this.#search.tagOf(QUESTION_LENGTH));
  }

  /** The payload of a DPD response. */
  answered(response: Uint8Array, now: Millis): void {
    const size = response.length;
    const tag = size > PROBE_TAG_LENGTH ? new ByteReader(response).u32('probe tag') : undefined;
    if (tag !== undefined) this.#search.echoed(size, tag, now);
    this.#follow(now);
    if (this.#state === 'asking') this.#answeredQuestion(size, tag === this.#search.tagOf(size), now);
  }

  /** The local stack refused to send a packet of this size. */
  refused(size: number, now: Millis): void {
    this.#search.refused(size, now);
    this.#follow(now);
  }

  #answeredQuestion(size: number, isEcho: boolean, now: Millis): void {
    if (isEcho && size === QUESTION_LENGTH && this.#hasProbed) {
      if (this.#searches === MAX_SEARCHES) this.#state = 'narrow';
      else this.#searchAgain(now);
      return;
    }
    if (isEcho && size > QUESTION_LENGTH) this.#mtu = Math.min(this.#mtu, size); // a probe's, after a long way: the largest comes first
    this.#state = 'proven';
  }

  /** With the same tags: what is still under way of the first search counts. */
  #searchAgain(now: Millis): void {
    this.#searches++;
    this.#search = new MtuSearch(this.#options, now);
    this.#state = 'searching';
  }

  #follow(now: Millis): void {
    const { result, isProven } = this.#search;
    if (this.#state !== 'searching' || result === undefined) return;
    this.#mtu = result;
    this.#state = isProven ? 'proven' : 'asking';
    this.#nextQuestionAt = now;
  }
}

function payloadOf(size: number, tag: number): Uint8Array {
  const payload = new Uint8Array(size);
  new DataView(payload.buffer).setUint32(0, tag);
  return payload;
}
