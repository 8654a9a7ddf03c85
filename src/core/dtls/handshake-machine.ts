/**
 * Runs one handshake: hands whole messages in order to the role, sends its flights until they are answered, and switches keys when the peer does.
 *
 * Read first: RFC 6347 §4.2 (all of it); `handshake-role.ts`; spec "AnyConnect", section 7.5.
 *
 *   record ─► fragments ─► Reassembler ─► role.receive ─► Flight ─► records
 *                              ▲                │
 *   ChangeCipherSpec ──────────┘                └─► finish ─► outcome
 *
 * Everything in epoch 0 can be forged by anyone who guesses the ports, and so can wreck a handshake, as in every DTLS before 1.3. It cannot do more:
 * the outcome is `done` only after the peer's Finished in epoch 1, and from then on nothing of epoch 0 comes here.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { SallyportError } from '../errors.ts';
import type { AlertName } from '../tls-messages/alerts.ts';
import { decodeHandshakeFragment, encodeHandshakeMessage, type HandshakeFragment } from '../tls-messages/handshake-fragment.ts';
import { HANDSHAKE_TYPES, type HandshakeType } from '../tls-messages/handshake-messages.ts';
import { MAX_MESSAGES_AHEAD, Reassembler } from '../tls-messages/reassembly.ts';
import type { LayerSink } from '../tunnel/layer.ts';
import type { Millis } from '../tunnel/packet.ts';
import { ByteReader } from '../wire/byte-reader.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import type { Dialect } from './dialect.ts';
import { Flight } from './flight.ts';
import { HandshakeAbort, type HandshakeIo, type HandshakeRole } from './handshake-role.ts';
import { CONTENT_TYPES, type Epoch, readU16 } from './record.ts';
import type { RecordWriter } from './record-writer.ts';
import type { CounterStore, DtlsSession } from './state.ts';
import type { SuiteRecordProtection } from './suite-protection.ts';
import { Transcript } from './transcript.ts';

export type HandshakeOutcome =
  /** No hello of ours has been sent or accepted. */
  | { readonly type: 'waiting' }
  | { readonly type: 'running' }
  | { readonly type: 'done'; readonly session: DtlsSession }
  | { readonly type: 'failed'; readonly alert: AlertName; readonly error: SallyportError };

export interface HandshakeMachineOptions {
  readonly crypto: CryptoProvider;
  readonly maxDatagram: number;
  readonly retransmitTimeout: Millis;
}

const CHANGE_CIPHER_SPEC = 1;

export class HandshakeMachine implements HandshakeIo {
  readonly crypto: CryptoProvider;
  readonly dialect: Dialect;
  readonly transcript: Transcript;
  readonly #role: HandshakeRole;
  readonly #writer: RecordWriter;
  readonly #counters: CounterStore;
  readonly #flight: Flight;
  #outcome: HandshakeOutcome = { type: 'waiting' };
  #sequence = 0;
  #reassembler = new Reassembler();
  /** The number of the peer's message that our flight answers; -1 for the first flight. */
  #answered = -1;
  /** Keys that wait for the peer's ChangeCipherSpec. */
  #expected: SuiteRecordProtection | undefined;
  /** The peer's ChangeCipherSpec, from when it comes until its place in the order is reached: its message number, or 0 where it has none. */
  #changeCipherSpec: number | undefined;
  #readProtection: SuiteRecordProtection | undefined;
  /** An answer that stands outside of flights. */
  #helloVerifyRequest: Uint8Array | undefined;

  constructor(role: HandshakeRole, dialect: Dialect, writer: RecordWriter, counters: CounterStore, options: HandshakeMachineOptions) {
    this.crypto = options.crypto;
    this.dialect = dialect;
    this.transcript = new Transcript(dialect);
    this.#role = role;
    this.#writer = writer;
    this.#counters = counters;
    this.#flight = new Flight(writer, options.maxDatagram, options.retransmitTimeout);
  }

  get outcome(): HandshakeOutcome {
    return this.#outcome;
  }

  /** What the peer's records of epoch 1 are under, once it has changed to it. */
  get readProtection(): SuiteRecordProtection | undefined {
    return this.#readProtection;
  }

  start(now: Millis, out: LayerSink): void {
    this.#role.start(this);
    this.#sendAnswer(now, out);
  }

  nextTimeout(): Millis | undefined {
    return this.#flight.nextTimeout();
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    this.#flight.handleTimeout(now, out);
  }

  /** The plaintext of a handshake record; `sequence` is the record's number. */
  receiveRecord(plaintext: Uint8Array, epoch: Epoch, sequence: number, now: Millis, out: LayerSink): void {
    const reader = new ByteReader(plaintext);
    do {
      const fragment = this.#decode(reader);
      if (fragment === undefined) return;
      this.#receiveFragment(fragment, epoch, now, out);
      this.#advance(sequence, now, out);
    } while (reader.remaining > 0 && (this.#outcome.type === 'waiting' || this.#outcome.type === 'running'));
  }

  /** A ChangeCipherSpec of epoch 0. It may come before its turn; nothing in it is secret or proof of anything. */
  receiveChangeCipherSpec(body: Uint8Array, now: Millis, out: LayerSink): void {
    const isNumbered = this.dialect.numbersChangeCipherSpec;
    if (body[0] !== CHANGE_CIPHER_SPEC || body.length !== (isNumbered ? 3 : 1)) {
      this.#counters.malformed++;
      return;
    }
    this.#changeCipherSpec = isNumbered ? readU16(body, 1) : 0;
    this.#advance(0, now, out);
  }

  /** A handshake record of epoch 1 after the handshake: true if the peer asks for another one, which we do not do. */
  receiveLate(plaintext: Uint8Array, now: Millis, out: LayerSink): boolean {
    const fragment = this.#decode(new ByteReader(plaintext));
    if (fragment === undefined) return false;
    this.#counters.unexpected++;
    if (fragment.type === HANDSHAKE_TYPES.finished && this.#isAnswered(fragment)) this.#flight.repeat(now, out);
    return fragment.type === (this.#role.side === 'client' ? HANDSHAKE_TYPES.helloRequest : HANDSHAKE_TYPES.clientHello);
  }

  /** The peer has all our messages, or may not see them again. */
  dropFlight(): void {
    this.#flight.drop();
  }

  // ---- HandshakeIo

  set recordVersion(version: number) {
    this.#writer.plainVersion = version;
  }

  send(type: HandshakeType, body: Uint8Array): void {
    const message = { type: HANDSHAKE_TYPES[type], sequence: this.#sequence++, body };
    this.transcript.add(message);
    this.#flight.addMessage(message);
  }

  sendChangeCipherSpec(protection: SuiteRecordProtection): void {
    const body = new ByteWriter().u8(CHANGE_CIPHER_SPEC);
    if (this.dialect.numbersChangeCipherSpec) body.u16(this.#sequence++);
    this.#flight.addChangeCipherSpec(body.finish());
    this.#writer.protect(protection);
  }

  expectChangeCipherSpec(protection: SuiteRecordProtection): void {
    this.#expected = protection;
  }

  sendHelloVerifyRequest(body: Uint8Array): void {
    this.#helloVerifyRequest = body;
    this.#forgetHello();
  }

  ignoreHello(): void {
    this.#counters.unknownHellos++;
    this.#forgetHello();
  }

  finish(session: DtlsSession): void {
    this.#outcome = { type: 'done', session };
  }

  // ---- incoming

  #decode(reader: ByteReader): HandshakeFragment | undefined {
    try {
      return decodeHandshakeFragment(reader);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#counters.malformed++;
      return undefined;
    }
  }

  #receiveFragment(fragment: HandshakeFragment, epoch: Epoch, now: Millis, out: LayerSink): void {
    // Of all messages Finished alone is sent under keys: in the clear it would prove nothing, and nothing else has to be there.
    if ((fragment.type === HANDSHAKE_TYPES.finished) !== (epoch === 1)) {
      this.#counters.unexpected++;
      return;
    }
    if (this.#outcome.type === 'waiting' && !this.#admitsFirst(fragment)) {
      this.#counters.unexpected++;
      return;
    }
    switch (this.#reassembler.add(fragment)) {
      case 'taken':
        return;
      case 'old':
        this.#counters.unexpected++;
        if (this.#isAnswered(fragment)) this.#flight.repeat(now, out);
        return;
      case 'refused':
        this.#counters.malformed++;
        return;
    }
  }

  /** A hello opens the association. One with a cookie is a client's second message, and may be the first that we see or remember. */
  #admitsFirst(fragment: HandshakeFragment): boolean {
    if (fragment.type !== HANDSHAKE_TYPES.clientHello || fragment.sequence >= MAX_MESSAGES_AHEAD) return false;
    if (fragment.sequence !== this.#reassembler.next) this.#reassembler = new Reassembler(fragment.sequence);
    return true;
  }

  /** True for the first fragment of the message that our flight answers: it comes once each time the peer repeats itself. */
  #isAnswered(fragment: HandshakeFragment): boolean {
    return fragment.sequence === this.#answered && fragment.offset === 0;
  }

  /** Takes everything whose turn it is; `recordSequence` is of the record that gave cause. */
  #advance(recordSequence: number, now: Millis, out: LayerSink): void {
    while (this.#outcome.type === 'waiting' || this.#outcome.type === 'running') {
      this.#changeReadKeys();
      const message = this.#reassembler.take();
      if (message === undefined) return;
      if (this.#outcome.type === 'waiting') {
        // RFC 6347 §4.2.1, §4.2.2: a server that answers a hello without keeping it goes on with the numbers of that hello.
        this.#sequence = message.sequence;
        this.#writer.skipTo(0, recordSequence);
      }
      this.#attempt(() => this.#role.receive(message, this));
      this.#sendAnswer(now, out);
    }
  }

  #changeReadKeys(): void {
    if (this.#expected === undefined || this.#changeCipherSpec === undefined) return;
    if (this.dialect.numbersChangeCipherSpec) {
      if (this.#changeCipherSpec !== this.#reassembler.next) return;
      this.#reassembler.skip();
    }
    this.#readProtection = this.#expected;
    this.#expected = undefined;
  }

  #forgetHello(): void {
    this.#reassembler = new Reassembler();
    this.transcript.clear();
  }

  // ---- outgoing

  #sendAnswer(now: Millis, out: LayerSink): void {
    if (this.#outcome.type === 'failed') return;
    this.#sendHelloVerifyRequest(out);
    const isDone = this.#outcome.type === 'done';
    if (!this.#flight.isWaiting) return;
    if (this.#outcome.type === 'waiting') this.#outcome = { type: 'running' };
    this.#answered = this.#reassembler.next - 1;
    this.#flight.send(isDone, now, out);
    if (isDone && !this.dialect.repeatsLastFlight) this.#flight.drop();
  }

  /** Stands outside of flights: it is never repeated, and its number is always the first (RFC 6347 §4.2.2). */
  #sendHelloVerifyRequest(out: LayerSink): void {
    const body = this.#helloVerifyRequest;
    if (body === undefined || this.#writer.isExhausted(0)) return;
    this.#helloVerifyRequest = undefined;
    const message = encodeHandshakeMessage({ type: HANDSHAKE_TYPES.helloVerifyRequest, sequence: 0, body });
    const room = out.reserve(message.length + this.#writer.overhead(0));
    out.commit(this.#writer.seal(0, CONTENT_TYPES.handshake, message, room));
  }

  /** Runs a role; what it throws on purpose ends the handshake. */
  #attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (error instanceof HandshakeAbort) {
        this.#outcome = { type: 'failed', alert: error.alert, error: error.error };
      } else if (!(error instanceof SallyportError)) {
        throw error; // a bug of ours
      } else if (this.#outcome.type === 'waiting') {
        this.#counters.malformed++; // a hello of whoever: no answer, and no end for the one that is waited for
        this.#forgetHello();
      } else {
        this.#outcome = { type: 'failed', alert: 'decode_error', error };
      }
    }
  }
}
