/**
 * The client's tunnel over TLS: a bare request, a word in place of an answer, then frames.
 *
 * Read first: spec "GlobalProtect", sections 8.1 and 9.3 to 9.5.
 *
 *   asked ── START_TUNNEL ──► up
 *     └── an answer of HTTP's, or none ──► ended
 */
import { NetworkError, PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../errors.ts';
import { ResponseParser } from '../../http/response-parser.ts';
import { commitBytes, type LayerSink } from '../../tunnel/layer.ts';
import type { CloseReason, PathNotice } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { StreamTraffic } from '../../tunnel/traffic.ts';
import { joined } from '../../wire/copy.ts';
import { printable, utf8 } from '../../wire/text.ts';
import { START_TUNNEL } from './frame.ts';
import { StreamLink } from './stream-link.ts';

/** How long a gateway may take to answer the request. */
const ANSWER_LIMIT: Millis = 60_000;
const GRANTED = utf8(START_TUNNEL);

export class ClientStream {
  /** Why it is over. */
  ended: CloseReason | undefined;
  readonly #dpd: Millis;
  readonly #parser = new ResponseParser();
  readonly #until: Millis;
  #link: StreamLink | undefined;
  /** The beginning of an answer that may be a yes. */
  #received: Uint8Array = new Uint8Array(0);
  #isHandedOver = false;
  /** The answer is HTTP's. */
  #isDenial = false;

  /** @param request holds the cookie */
  constructor(request: Uint8Array, dpd: Millis, now: Millis, out: LayerSink) {
    this.#dpd = dpd;
    this.#until = now + ANSWER_LIMIT;
    this.#parser.expect('GET');
    commitBytes(out, request);
  }

  get isUp(): boolean {
    return this.#link !== undefined;
  }

  /** As {@link StreamLink.handOver}, once up and once. */
  handOver(tunnelMtu: number): StreamTraffic | undefined {
    if (this.#link === undefined || this.#isHandedOver) return undefined;
    this.#isHandedOver = true;
    return this.#link.handOver(tunnelMtu);
  }

  notice(notice: PathNotice): void {
    this.#link?.notice(notice);
  }

  /** `up` is called where that makes a tunnel of it, before any packet comes of the same bytes. */
  receive(bytes: Uint8Array, now: Millis, out: LayerSink, up: () => void): void {
    if (this.ended !== undefined) return;
    if (this.#link === undefined) {
      this.#answered(bytes, now, out, up);
      return;
    }
    this.#link.receive(bytes, now, out);
    this.ended = this.#link.ended;
  }

  send(packet: Packet, now: Millis, out: LayerSink): void {
    this.#link?.send(packet, now, out);
  }

  nextTimeout(): Millis | undefined {
    return this.#link === undefined ? this.#until : this.#link.nextTimeout();
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    if (this.#link !== undefined) {
      this.#link.handleTimeout(now, out);
      this.ended = this.#link.ended;
    } else if (now >= this.#until) {
      const error = new NetworkError(`The gateway did not answer the request for a tunnel within ${ANSWER_LIMIT / 1000} seconds.`);
      this.ended = { kind: 'path-lost', message: error.message, error };
    }
  }

  #answered(bytes: Uint8Array, now: Millis, out: LayerSink, up: () => void): void {
    if (this.#isDenial) {
      this.#denied(bytes);
      return;
    }
    const received = joined(this.#received, bytes);
    this.#isDenial = !GRANTED.every((byte, i) => received[i] === undefined || received[i] === byte);
    if (this.#isDenial) {
      this.#denied(received);
      return;
    }
    this.#received = received;
    if (received.length < GRANTED.length) return;
    this.#received = new Uint8Array(0);
    this.#link = new StreamLink({ dpd: this.#dpd }, now);
    up();
    this.receive(received.subarray(GRANTED.length), now, out, up);
  }

  /** Spec 8.1: 502 is a cookie that is not taken. The parser has limits of its own. */
  #denied(received: Uint8Array): void {
    try {
      this.#parser.push(received);
      const answer = this.#parser.next()?.message;
      if (answer === undefined) return;
      const said = `${answer.status} ${printable(answer.reason)}`;
      if (answer.status === 502 || (answer.status >= 300 && answer.status < 500)) {
        const message = `The gateway does not take the cookie for a tunnel (${said}).`;
        this.ended = { kind: 'refused', message, error: new PeerRefusedError(message) };
      } else {
        const message = `The gateway answered the request for a tunnel with ${said}.`;
        this.ended = { kind: 'unusable', message, error: new PeerMisbehavedError(message) };
      }
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.ended = { kind: 'misbehaved', message: error.message, error };
    }
  }
}
