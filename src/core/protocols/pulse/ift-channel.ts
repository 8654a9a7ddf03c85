/**
 * A Pulse tunnel's packets on its TLS stream, once the configuration has been told: the same at both ends.
 *
 * Read first: spec "Pulse", sections 3.1 and 9.
 *
 *   receive ─► IF-T packets ─┬─ data ────► out.packet
 *                            └─ others ──► the owner
 */
import { SallyportError } from '../../errors.ts';
import { isIpPacket } from '../../tunnel/inner-packet.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import type { CloseReason } from '../../tunnel/machine.ts';
import { type Packet, packetBytes } from '../../tunnel/packet.ts';
import type { StreamTraffic } from '../../tunnel/traffic.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import {
  IFT_HEADER_LENGTH,
  IFT_KINDS,
  IFT_LENGTH_FIELD,
  IFT_SEQUENCE_FIELD,
  IftDeframer,
  type IftWriter,
  MAX_IFT_PACKET,
  writeIftHeader,
} from './ift-packet.ts';

/** What the peer means by a packet that is no data; undefined: the tunnel goes on. */
export type ControlMeaning = (kind: number, payload: Uint8Array) => CloseReason | undefined;

export interface IftChannelOptions {
  readonly writer: IftWriter;
  readonly meaningOf: ControlMeaning;
  /** Which of the peer's packets come up. Default: all. */
  readonly admits?: (packet: Packet) => boolean;
}

const MAX_PAYLOAD = MAX_IFT_PACKET - IFT_HEADER_LENGTH;
/** Of data, where a receiver looks at none (spec 3): the packet engine writes the same header each time, and so does the portable path. */
const DATA_SEQUENCE = 0;
/** Vendor and type. */
const KIND_LENGTH = 8;

export class IftChannel {
  readonly #options: IftChannelOptions;
  readonly #deframer = new IftDeframer();
  readonly #packet: { buffer: Uint8Array; start: number; end: number } = { buffer: new Uint8Array(0), start: 0, end: 0 };
  #ended: CloseReason | undefined;
  /** Packets that were no IP packets, came from elsewhere, or that no IF-T packet can hold. */
  dropped = 0;

  constructor(options: IftChannelOptions) {
    this.#options = options;
  }

  /** Why the peer, or its bytes, ended the session; undefined while it goes on. */
  get ended(): CloseReason | undefined {
    return this.#ended;
  }

  receive(bytes: Uint8Array, out: LayerSink): void {
    if (this.#ended !== undefined || bytes.length === 0) return;
    try {
      this.#deframer.push(bytes);
      while (this.#ended === undefined && this.#deframer.next()) this.#take(out);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#ended = { kind: 'misbehaved', message: 'Unknown packet received', error };
    }
  }

  send(packet: Packet, out: LayerSink): void {
    const length = packet.end - packet.start;
    if (length > MAX_PAYLOAD) {
      this.dropped++;
      return;
    }
    const room = out.reserve(IFT_HEADER_LENGTH + length);
    writeIftHeader(room, IFT_KINDS.data, length, DATA_SEQUENCE);
    room.set(packetBytes(packet), IFT_HEADER_LENGTH);
    out.commit(IFT_HEADER_LENGTH + length);
  }

  sendControl(kind: number, payload: Uint8Array, out: LayerSink): void {
    this.#options.writer.send(out, kind, payload);
  }

  /**
   * Gives the stream to the packet engine: what is no data still comes to {@link receive}. So do packets that are received of another family than
   * `families`; asked for again, it changes that.
   */
  handOver(tunnelMtu: number, innerSources?: readonly Cidr[], families?: readonly (4 | 6)[]): StreamTraffic {
    return {
      ...streamTraffic(tunnelMtu, this.#deframer.takePartial(), families),
      ...(innerSources !== undefined && { innerSources }),
    };
  }

  #take(out: LayerSink): void {
    const { kind, bytes, start, end } = this.#deframer;
    if (kind !== IFT_KINDS.data) {
      this.#ended = this.#options.meaningOf(kind, this.#deframer.payload);
      return;
    }
    this.#packet.buffer = bytes;
    this.#packet.start = start;
    this.#packet.end = end;
    const isAdmitted = isIpPacket(bytes, start, end) && this.#options.admits?.(this.#packet) !== false;
    if (isAdmitted) out.packet(this.#packet);
    else this.dropped++;
  }
}

function streamTraffic(tunnelMtu: number, received: Uint8Array, families: readonly (4 | 6)[] | undefined): StreamTraffic {
  const bytes = new Uint8Array(IFT_HEADER_LENGTH);
  writeIftHeader(bytes, IFT_KINDS.data, 0, DATA_SEQUENCE);
  const none = new Uint8Array(0);
  const mark = { bytes: bytes.slice(0, KIND_LENGTH) };
  return {
    record: { kind: 'tls-stream' },
    framing: {
      frame: { bytes, lengths: [IFT_LENGTH_FIELD], unread: [IFT_SEQUENCE_FIELD] },
      sent: { ipv4: none, ipv6: none },
      isData: { offset: 0, values: families?.map((family) => ({ ...mark, family })) ?? [mark] },
    },
    ...{ maxPayload: MAX_PAYLOAD, tunnelMtu, received },
  };
}
