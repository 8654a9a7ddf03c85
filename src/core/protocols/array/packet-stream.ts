/**
 * The tunnel's packets on a TLS stream: bare IP, one behind the other, with control packets among them.
 *
 * Read first: spec "Array", sections 5.1 and 5.2. Simple clients take one record for one packet, so each is committed alone; what comes is cut by IP's own
 * lengths, whatever the records were.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { ipPacketLength, NO_LENGTH } from '../../tunnel/inner-packet.ts';
import { commitBytes, type LayerSink, MAX_RESERVE } from '../../tunnel/layer.ts';
import { type Packet, packetBytes } from '../../tunnel/packet.ts';
import { copyOf, joined } from '../../wire/copy.ts';
import { controlTypeAt, isReserved, renderControl } from './control-packet.ts';

const EMPTY = new Uint8Array(0);

export interface PacketStreamOptions {
  /** Which of the peer's packets come up. Default: all. */
  readonly admits?: (packet: Packet) => boolean;
  /** `packet`: all of it, lent for the call. */
  readonly control: (type: number, out: LayerSink, packet: Uint8Array) => void;
}

export class PacketStream {
  readonly #options: PacketStreamOptions;
  readonly #packet: { buffer: Uint8Array; start: number; end: number } = { buffer: EMPTY, start: 0, end: 0 };
  /** What has come of a packet, until the rest does: one packet's worth at most. */
  #partial: Uint8Array = EMPTY;
  /** Packets that were not the peer's to send, those that no record can hold, and those that would pass for control packets. */
  dropped = 0;

  constructor(options: PacketStreamOptions) {
    this.#options = options;
  }

  /** Throws {@link PeerMisbehavedError} for what is no packet: nobody knows where the next one begins (spec 5.1). */
  receive(received: Uint8Array, out: LayerSink): void {
    const bytes = this.#joined(received);
    let at = 0;
    for (let length = lengthAt(bytes, at); length > 0 && at + length <= bytes.length; length = lengthAt(bytes, at)) {
      this.#take(bytes, at, at + length, out);
      at += length;
    }
    // The pushed bytes are the caller's: what is needed later is copied.
    this.#partial = at < bytes.length ? copyOf(bytes.subarray(at)) : EMPTY;
  }

  send(packet: Packet, out: LayerSink): void {
    const length = packet.end - packet.start;
    if (length > MAX_RESERVE || isReserved(packet.buffer, packet.start)) {
      this.dropped++;
      return;
    }
    out.reserve(length).set(packetBytes(packet));
    out.commit(length);
  }

  sendControl(type: number, out: LayerSink): void {
    commitBytes(out, renderControl(type));
  }

  /** What has come of a packet that is not whole; it is somebody else's from here on. */
  takePartial(): Uint8Array {
    const partial = this.#partial;
    this.#partial = EMPTY;
    return partial;
  }

  #take(bytes: Uint8Array, start: number, end: number, out: LayerSink): void {
    const control = controlTypeAt(bytes, start);
    if (control !== undefined) {
      this.#options.control(control, out, bytes.subarray(start, end));
      return;
    }
    this.#packet.buffer = bytes;
    this.#packet.start = start;
    this.#packet.end = end;
    if (isReserved(bytes, start) || this.#options.admits?.(this.#packet) === false) this.dropped++;
    else out.packet(this.#packet);
  }

  #joined(bytes: Uint8Array): Uint8Array {
    return this.#partial.length === 0 ? bytes : joined(this.#partial, bytes);
  }
}

/** The length of the packet that begins at `at`; 0 ({@link NO_LENGTH}) while its header is not whole. */
function lengthAt(bytes: Uint8Array, at: number): number {
  const length = ipPacketLength(bytes, at, bytes.length);
  if (length === NO_LENGTH.none) throw new PeerMisbehavedError('The tunnel’s stream has something else than a packet of IP in it.');
  if (length > MAX_RESERVE) throw new PeerMisbehavedError(`A packet in the tunnel’s stream says that it has ${length} bytes.`);
  return length;
}
