/**
 * Flights: messages that are sent together, and together again until the peer answers.
 *
 * Read first: RFC 6347 §4.2.4 (flights, timer), §4.2.3 (fragments). A repeated flight has the same messages in records with new numbers.
 */
import { encodeHandshakeFragment, FRAGMENT_HEADER_LENGTH, type HandshakeMessage } from '../tls-messages/handshake-fragment.ts';
import type { LayerSink } from '../tunnel/layer.ts';
import type { Millis } from '../tunnel/packet.ts';
import { CONTENT_TYPES, type Epoch } from './record.ts';
import type { RecordWriter } from './record-writer.ts';

// ---- RFC 6347 §4.2.4.1

/** Start at one second, double each time. */
export const INITIAL_RETRANSMIT_TIMEOUT: Millis = 1_000;

const MAX_RETRANSMIT_TIMEOUT: Millis = 60_000;

// ---- our own

/**
 * A repeated flight of the peer makes us repeat ours, but no sooner than this after the last time: two ends that answer each other's duplicates
 * would never stop, and one forged hello must not bring many answers. Less than the 400 ms after which ocserv repeats itself.
 */
const MIN_REPEAT_INTERVAL: Millis = 250;

/** Below the smallest MTU of IPv6 with all headers: handshakes must pass where the path's MTU is not known yet. */
export const DEFAULT_HANDSHAKE_DATAGRAM = 1_200;

export const MIN_HANDSHAKE_DATAGRAM = 200;

type FlightItem =
  | { readonly type: 'message'; readonly epoch: Epoch; readonly message: HandshakeMessage }
  | { readonly type: 'change-cipher-spec'; readonly epoch: Epoch; readonly body: Uint8Array };

export class Flight {
  readonly #writer: RecordWriter;
  readonly #maxDatagram: number;
  readonly #initialTimeout: Millis;
  #items: FlightItem[] = [];
  #sentAt: Millis | undefined;
  #timeout: Millis;
  #deadline: Millis | undefined;

  constructor(writer: RecordWriter, maxDatagram: number, initialTimeout: Millis) {
    this.#writer = writer;
    this.#maxDatagram = maxDatagram;
    this.#initialTimeout = initialTimeout;
    this.#timeout = initialTimeout;
  }

  /** Adds to the flight that is being made; after one was sent this begins the next. */
  addMessage(message: HandshakeMessage): void {
    this.#begin();
    this.#items.push({ type: 'message', epoch: this.#writer.epoch, message });
  }

  addChangeCipherSpec(body: Uint8Array): void {
    this.#begin();
    this.#items.push({ type: 'change-cipher-spec', epoch: this.#writer.epoch, body });
  }

  /** True while messages wait for {@link send}. */
  get isWaiting(): boolean {
    return this.#items.length > 0 && this.#sentAt === undefined;
  }

  /** Sends the flight for the first time. `isLast`: no answer will come, so no timer runs. */
  send(isLast: boolean, now: Millis, out: LayerSink): void {
    this.#transmit(now, out);
    this.#timeout = this.#initialTimeout;
    this.#deadline = isLast ? undefined : now + this.#timeout;
  }

  nextTimeout(): Millis | undefined {
    return this.#deadline;
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    if (this.#deadline === undefined || now < this.#deadline) return;
    this.#transmit(now, out);
    this.#timeout = Math.min(this.#timeout * 2, MAX_RETRANSMIT_TIMEOUT);
    this.#deadline = now + this.#timeout;
  }

  /** The peer repeats its flight: ours has not arrived. */
  repeat(now: Millis, out: LayerSink): void {
    if (this.#sentAt !== undefined && now >= this.#sentAt + MIN_REPEAT_INTERVAL) this.#transmit(now, out);
  }

  /** Nothing of it will be sent again. */
  drop(): void {
    this.#items = [];
    this.#sentAt = undefined;
    this.#deadline = undefined;
  }

  #begin(): void {
    if (this.#sentAt !== undefined) this.drop();
  }

  #transmit(now: Millis, out: LayerSink): void {
    this.#sentAt = now;
    const datagram = new DatagramPacker(this.#writer, this.#maxDatagram, out);
    for (const item of this.#items) {
      if (item.type === 'message') datagram.addMessage(item.epoch, item.message);
      else datagram.addRecord(item.epoch, CONTENT_TYPES.changeCipherSpec, item.body);
    }
    datagram.finish();
  }
}

/** Puts records one behind the other into datagrams, and cuts messages that do not fit one. */
class DatagramPacker {
  readonly #writer: RecordWriter;
  readonly #maxDatagram: number;
  readonly #out: LayerSink;
  #room: Uint8Array | undefined;
  #used = 0;

  constructor(writer: RecordWriter, maxDatagram: number, out: LayerSink) {
    this.#writer = writer;
    this.#maxDatagram = maxDatagram;
    this.#out = out;
  }

  addMessage(epoch: Epoch, { type, sequence, body }: HandshakeMessage): void {
    const largest = this.#maxDatagram - this.#writer.overhead(epoch) - FRAGMENT_HEADER_LENGTH;
    let offset = 0;
    do {
      const data = body.subarray(offset, offset + largest);
      this.addRecord(epoch, CONTENT_TYPES.handshake, encodeHandshakeFragment({ type, length: body.length, sequence, offset, data }));
      offset += data.length;
    } while (offset < body.length);
  }

  addRecord(epoch: Epoch, type: number, plaintext: Uint8Array): void {
    if (this.#used + this.#writer.overhead(epoch) + plaintext.length > this.#maxDatagram) this.finish();
    if (this.#writer.isExhausted(epoch)) return; // after 2^48 records nothing can be sent: the owner's time limit ends such a handshake
    this.#room ??= this.#out.reserve(this.#maxDatagram);
    this.#used += this.#writer.seal(epoch, type, plaintext, this.#room.subarray(this.#used));
  }

  finish(): void {
    if (this.#used > 0) this.#out.commit(this.#used);
    this.#room = undefined;
    this.#used = 0;
  }
}
