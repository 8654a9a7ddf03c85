/**
 * The option negotiation automaton of PPP: one for each of LCP, IPCP and IP6CP.
 *
 * Read first: RFC 1661 §4; spec "PPP", sections 7.2 (the table) and 7.3 (where we deviate).
 *
 *   initial ─start─► req-sent ⇄ ack-rcvd ──► opened        ack-rcvd: the peer has accepted our request
 *                        ⇅                     │            ack-sent: we have accepted the peer's
 *                    ack-sent ────────────────►┘
 *
 *   any ─close─► closing ──► stopped          opened ─Terminate-Request─► stopped, once it is acknowledged
 *
 * Holds no timer, and sends by what it is handed: whoever owns the link knows how a packet is framed.
 */

import type { Millis } from '../tunnel/packet.ts';
import { copyOf } from '../wire/copy.ts';
import { utf8 } from '../wire/text.ts';
import { CODES, type ControlPacket, decodeOptions, encodeOptions, type PppOption } from './control-packet.ts';
import { MAX_REFUSALS, MAX_REPEATS, MAX_REQUESTS, MAX_SENT_TEXT, RESEND_PERIOD, TERMINATE_WAIT } from './limits.ts';
import type { Negotiation } from './negotiation.ts';

export type AutomatonState = 'initial' | 'req-sent' | 'ack-rcvd' | 'ack-sent' | 'opened' | 'closing' | 'stopped';

/** Collects a control packet for the peer. */
export type SendControl = (protocol: number, packet: ControlPacket) => void;

/** Why a negotiation has stopped that nothing came back to: the path's fault, not the peer's. */
export const NO_ANSWER = 'The other side did not answer.';

/** Numbers for packets that ask for an answer. Several protocols may share one (spec 5.4). */
export class Identifiers {
  #last = 0;

  next(): number {
    this.#last = (this.#last + 1) & 0xff;
    return this.#last;
  }
}

const NO_DATA = new Uint8Array(0);

export class Automaton {
  readonly #negotiation: Negotiation;
  readonly #identifiers: Identifiers;
  readonly #terminateTries: number;
  #state: AutomatonState = 'initial';
  #why: string | undefined;
  /** Our request that has not been answered, or was the last to be. */
  #requestId = -1;
  #requestData: Uint8Array = NO_DATA;
  /** Requests that may still be sent without an answer. */
  #tries = 0;
  #dueAt: Millis | undefined;
  #accepted: readonly PppOption[] | undefined;
  #naksSent = 0;
  /** Requests of an opened peer that say what was agreed on. */
  #repeats = 0;
  #refusals = 0;
  #naksReceived = 0;
  #terminateData: Uint8Array = NO_DATA;

  /** @param terminateTries how often a Terminate-Request is sent: once where nothing is lost */
  constructor(negotiation: Negotiation, identifiers: Identifiers, terminateTries: number) {
    this.#negotiation = negotiation;
    this.#identifiers = identifiers;
    this.#terminateTries = terminateTries;
  }

  get state(): AutomatonState {
    return this.#state;
  }

  /** Why it is `stopped`; undefined where that was wanted. */
  get why(): string | undefined {
    return this.#why;
  }

  /** The layer below is there. Whatever was agreed on before is forgotten. */
  start(now: Millis, send: SendControl): void {
    this.reset();
    this.#state = 'req-sent';
    this.#request(now, send);
  }

  /** The layer below is gone. */
  reset(): void {
    this.#state = 'initial';
    this.#tries = MAX_REQUESTS;
    this.#dueAt = undefined;
    this.#accepted = undefined;
    this.#naksSent = 0;
    this.#naksReceived = 0;
    this.#refusals = 0;
  }

  /** A Configure or Terminate packet: codes 1 to 6. False: it is malformed. */
  receive(packet: ControlPacket, now: Millis, send: SendControl): boolean {
    if (this.#state === 'initial' || this.#state === 'stopped') return true;
    switch (packet.code) {
      case CODES.configureRequest:
        return this.#receiveRequest(packet, now, send);
      case CODES.configureAck:
        this.#receiveAck(packet, now);
        return true;
      case CODES.configureNak:
      case CODES.configureReject:
        return this.#receiveRefusal(packet, now, send);
      case CODES.terminateRequest:
        this.#receiveTerminateRequest(packet, send);
        return true;
      default:
        this.#receiveTerminateAck(now, send);
        return true;
    }
  }

  nextTimeout(): Millis | undefined {
    return this.#dueAt;
  }

  handleTimeout(now: Millis, send: SendControl): void {
    if (this.#dueAt === undefined || now < this.#dueAt) return;
    if (this.#tries === 0) {
      this.#stop(this.#state === 'closing' ? undefined : NO_ANSWER);
    } else if (this.#state === 'closing') {
      this.#terminate(now, send);
    } else {
      if (this.#state === 'ack-rcvd') this.#state = 'req-sent';
      this.#request(now, send);
    }
  }

  /** Ends the negotiation, or what it has led to. @param text for the peer's people */
  close(text: string, now: Millis, send: SendControl): void {
    if (this.#state === 'closing' || this.#state === 'stopped') return;
    if (this.#state === 'initial') {
      this.#stop(undefined);
      return;
    }
    this.#state = 'closing';
    this.#tries = this.#terminateTries;
    this.#terminateData = utf8(text).subarray(0, MAX_SENT_TEXT);
    this.#terminate(now, send);
  }

  // ---- what comes in

  #receiveRequest({ id, data }: ControlPacket, now: Millis, send: SendControl): boolean {
    if (this.#state === 'closing') return true;
    const options = decodeOptions(data);
    if (options === undefined) return false;
    const verdict = this.#negotiation.judge(options, this.#naksSent);
    if (verdict.type === 'fail') {
      this.#stop(verdict.message);
      return true;
    }
    const isRepeat = this.#accepted !== undefined && this.#negotiation.isRepeat(options, this.#accepted);
    if (this.#state === 'opened' && !(verdict.type === 'ack' && isRepeat && ++this.#repeats <= MAX_REPEATS)) {
      this.start(now, send); // the peer begins anew
    }
    if (verdict.type === 'ack') {
      this.#accept(options);
      send(this.#negotiation.protocol, { code: CODES.configureAck, id, data });
      if (this.#state !== 'opened' && !sameBytes(this.#requestData, encodeOptions(this.#negotiation.request()))) {
        this.#state = 'ack-sent'; // what we ask for follows from what the peer does
        this.#request(now, send);
        return true;
      }
      if (this.#state === 'req-sent') this.#state = 'ack-sent';
      else if (this.#state === 'ack-rcvd') this.#open();
      return true;
    }
    if (verdict.type === 'nak') this.#naksSent++;
    const code = verdict.type === 'nak' ? CODES.configureNak : CODES.configureReject;
    send(this.#negotiation.protocol, { code, id, data: encodeOptions(verdict.options) });
    if (this.#state === 'ack-sent') this.#state = 'req-sent';
    return true;
  }

  /** What is kept of the peer's request must be ours: it came in somebody's buffer. */
  #accept(options: readonly PppOption[]): void {
    this.#accepted = options.map(({ type, value }) => ({ type, value: copyOf(value) }));
    this.#negotiation.accept(this.#accepted);
  }

  #receiveAck({ id, data }: ControlPacket, now: Millis): void {
    if (id !== this.#requestId || !sameBytes(data, this.#requestData)) return;
    if (this.#state === 'req-sent') {
      this.#state = 'ack-rcvd';
      this.#tries = MAX_REQUESTS;
      this.#dueAt = now + RESEND_PERIOD;
    } else if (this.#state === 'ack-sent') {
      this.#open();
    }
    // In ack-rcvd and opened it is a second one (spec 7.3); while closing it does not matter.
  }

  #receiveRefusal({ code, id, data }: ControlPacket, now: Millis, send: SendControl): boolean {
    if (id !== this.#requestId || this.#state === 'closing') return true;
    const options = decodeOptions(data);
    if (options === undefined) return false;
    this.#refusals++;
    if (code === CODES.configureNak) this.#naksReceived++;
    const problem =
      this.#refusals > MAX_REFUSALS
        ? 'The other side accepts nothing.'
        : code === CODES.configureNak
          ? this.#negotiation.naked(options, this.#naksReceived)
          : this.#negotiation.rejected(options);
    if (problem !== undefined) {
      this.#stop(problem);
      return true;
    }
    if (this.#state === 'opened') this.#accepted = undefined;
    if (this.#state !== 'ack-sent') this.#state = 'req-sent';
    this.#tries = MAX_REQUESTS;
    this.#request(now, send);
    return true;
  }

  #receiveTerminateRequest({ id }: ControlPacket, send: SendControl): void {
    send(this.#negotiation.protocol, { code: CODES.terminateAck, id, data: NO_DATA });
    if (this.#state === 'opened') this.#stop('The other side ended it.');
    else if (this.#state !== 'closing') this.#state = 'req-sent';
  }

  #receiveTerminateAck(now: Millis, send: SendControl): void {
    if (this.#state === 'closing') this.#stop(undefined);
    else if (this.#state === 'ack-rcvd') this.#state = 'req-sent';
    else if (this.#state === 'opened') this.start(now, send);
  }

  // ---- what goes out

  #request(now: Millis, send: SendControl): void {
    this.#tries--;
    this.#dueAt = now + RESEND_PERIOD;
    this.#requestId = this.#identifiers.next();
    this.#requestData = encodeOptions(this.#negotiation.request());
    send(this.#negotiation.protocol, { code: CODES.configureRequest, id: this.#requestId, data: this.#requestData });
  }

  #terminate(now: Millis, send: SendControl): void {
    this.#tries--;
    this.#dueAt = now + TERMINATE_WAIT;
    send(this.#negotiation.protocol, { code: CODES.terminateRequest, id: this.#identifiers.next(), data: this.#terminateData });
  }

  #open(): void {
    const problem = this.#negotiation.agreed();
    if (problem !== undefined) {
      this.#stop(problem);
      return;
    }
    this.#state = 'opened';
    this.#dueAt = undefined;
    this.#repeats = 0;
    this.#naksSent = 0;
    this.#naksReceived = 0;
    this.#refusals = 0;
  }

  #stop(why: string | undefined): void {
    this.#state = 'stopped';
    this.#why = why;
    this.#dueAt = undefined;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
