/**
 * Frames of the tunnel over TLS. A sender writes one a TLS record, as simple clients read no other way; a reader relies on no record's bounds.
 *
 * Read first: spec "GlobalProtect", section 9.4.
 *
 *   | 1a 2b 3c 4d | EtherType 2 | length 2 | 01 00 00 00 | 00 00 00 00 | IP packet |        a keepalive: zeros behind the magic, and no packet
 */
import { PeerMisbehavedError } from '../../errors.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import type { StreamTraffic } from '../../tunnel/traffic.ts';
import { copyOf, joined } from '../../wire/copy.ts';

export const HEADER_LENGTH = 16;
const MAGIC = [0x1a, 0x2b, 0x3c, 0x4d] as const;
const ETHERTYPES = { keepalive: 0, ipv4: 0x0800, ipv6: 0x86dd } as const;

/** A frame has to fit one TLS record. */
export const MAX_PAYLOAD: number = 16_384 - HEADER_LENGTH;

/** What is said when a tunnel is granted, in place of an answer of HTTP's. */
export const START_TUNNEL = 'START_TUNNEL';

export function writeFrame(packet: Uint8Array, out: LayerSink): void {
  const room = out.reserve(HEADER_LENGTH + packet.length);
  const type = (packet[0] ?? 0) >>> 4 === 4 ? ETHERTYPES.ipv4 : ETHERTYPES.ipv6;
  room.set([...MAGIC, type >>> 8, type & 0xff, packet.length >>> 8, packet.length & 0xff, 1, 0, 0, 0, 0, 0, 0, 0]);
  room.set(packet, HEADER_LENGTH);
  out.commit(HEADER_LENGTH + packet.length);
}

export function writeKeepalive(out: LayerSink): void {
  const room = out.reserve(HEADER_LENGTH);
  room.fill(0, 0, HEADER_LENGTH);
  room.set(MAGIC);
  out.commit(HEADER_LENGTH);
}

const IPV4_TYPE = Uint8Array.of(ETHERTYPES.ipv4 >>> 8, ETHERTYPES.ipv4 & 0xff);
const IPV6_TYPE = Uint8Array.of(ETHERTYPES.ipv6 >>> 8, ETHERTYPES.ipv6 & 0xff);
const TYPE_OFFSET = 4;

/** The same for the packet engine. @param received as {@link FrameReader.takePartial} */
export function streamTraffic(tunnelMtu: number, received: Uint8Array): StreamTraffic {
  return {
    record: { kind: 'tls-stream' },
    framing: {
      frame: {
        bytes: Uint8Array.of(...MAGIC, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
        lengths: [{ offset: 6, width: 2, add: 0 }],
        unread: [{ offset: 8, length: 8 }],
      },
      sent: { at: TYPE_OFFSET, ipv4: IPV4_TYPE, ipv6: IPV6_TYPE },
      isData: {
        offset: TYPE_OFFSET,
        values: [
          { bytes: IPV4_TYPE, family: 4 },
          { bytes: IPV6_TYPE, family: 6 },
        ],
      },
    },
    maxPayload: MAX_PAYLOAD,
    tunnelMtu,
    received,
  };
}

/** Cuts a stream into frames. */
export class FrameReader {
  #rest: Uint8Array = new Uint8Array(0);

  /**
   * The packets of all frames that are whole now; an empty one is a keepalive. A frame whose type is not its packet's is left out (spec 17). Views of
   * `bytes` where they can be. Throws {@link PeerMisbehavedError}.
   */
  push(bytes: Uint8Array): readonly Uint8Array[] {
    const input = this.#rest.length > 0 ? joined(this.#rest, bytes) : bytes;
    const packets: Uint8Array[] = [];
    let at = 0;
    while (input.length - at >= HEADER_LENGTH) {
      const length = payloadLength(input, at);
      const end = at + HEADER_LENGTH + length;
      if (end > input.length) break;
      const packet = input.subarray(at + HEADER_LENGTH, end);
      if (isOfType(packet, u16(input, at + TYPE_OFFSET))) packets.push(packet);
      at = end;
    }
    this.#rest = copyOf(input.subarray(at));
    return packets;
  }

  /** The beginning of a frame that has not come whole: whoever goes on with the stream needs it. */
  takePartial(): Uint8Array {
    const partial = this.#rest;
    this.#rest = new Uint8Array(0);
    return partial;
  }
}

function isOfType(packet: Uint8Array, type: number): boolean {
  const version = (packet[0] ?? 0) >>> 4;
  if (type === ETHERTYPES.keepalive) return packet.length === 0;
  return version === (type === ETHERTYPES.ipv4 ? 4 : 6);
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

function payloadLength(bytes: Uint8Array, at: number): number {
  const [type, length] = [u16(bytes, at + TYPE_OFFSET), u16(bytes, at + 6)];
  const isMagic = MAGIC.every((byte, i) => bytes[at + i] === byte);
  const isKnown = type === ETHERTYPES.ipv4 || type === ETHERTYPES.ipv6 || (type === ETHERTYPES.keepalive && length === 0);
  if (!isMagic || !isKnown || length > MAX_PAYLOAD) throw new PeerMisbehavedError('The tunnel has something that is no frame.');
  return length;
}
