/**
 * Compression of a channel's packets, one interface for the three kinds AnyConnect knows (read first: spec "AnyConnect", section 6).
 *
 *   oc-lz4, lzs   each packet by itself: survives loss, so both channels may use it; made here
 *   deflate       one stream a direction for the life of the connection: TLS only, and an error is the end; made by `createDeflate` (deflate.ts)
 *
 * This file does not import deflate.ts: it brings pako with it (5 ms to load), and most tunnels do not compress. Whoever offers deflate imports it
 * when it does so, with a dynamic import of deflate.ts, and hands `createDeflate` to the machine.
 */
import { PACKET_HEADROOM, PACKET_TAILROOM, type Packet } from '../tunnel/packet.ts';
import { decodeLz4, Lz4Encoder } from './lz4.ts';
import { decodeLzs, LzsEncoder } from './lzs.ts';

/** As they are written in `X-CSTP-Content-Encoding` and `X-DTLS-Content-Encoding`. */
export type CompressionName = StatelessCompressionName | 'deflate';
export type StatelessCompressionName = 'oc-lz4' | 'lzs';

/** The largest packet in bytes, compressed or not; what a peer's bytes grow beyond is an error (spec "AnyConnect", section 6.1). */
export const MAX_PACKET_LENGTH = 16_384;

/** Shorter packets are not worth the attempt: openconnect's limit (spec "AnyConnect", section 6.1). ocserv's own default is 256. */
export const MIN_LENGTH_TO_COMPRESS = 40;

/** Both directions of one channel. */
export interface PacketCompressor {
  readonly name: CompressionName;
  /** The compressed packet, lent until the next call; undefined: send it as it is. */
  compress(packet: Uint8Array): Uint8Array | undefined;
  /**
   * The packet with room on both sides, lent until the next call. Undefined: the bytes are no packet; drop and count them.
   * Throws {@link PeerMisbehavedError} where later packets depend on this one (deflate): the connection cannot go on.
   */
  decompress(compressed: Uint8Array): Packet | undefined;
}

/** A packet's buffer for what a decompressor writes, used again and again. */
export class DecompressedPacket implements Packet {
  readonly buffer: Uint8Array<ArrayBuffer> = new Uint8Array(PACKET_HEADROOM + MAX_PACKET_LENGTH + PACKET_TAILROOM);
  /** The part that holds packets. */
  readonly room: Uint8Array<ArrayBuffer> = this.buffer.subarray(PACKET_HEADROOM, PACKET_HEADROOM + MAX_PACKET_LENGTH);
  start: number = PACKET_HEADROOM;
  end: number = PACKET_HEADROOM;

  /** This packet, with the first `length` bytes of its room. The borrower before may have moved its ends. */
  filled(length: number): Packet {
    this.start = PACKET_HEADROOM;
    this.end = PACKET_HEADROOM + length;
    return this;
  }
}

/** `minLength`: packets below it go as they are; default {@link MIN_LENGTH_TO_COMPRESS}. */
export function createStatelessCompressor(name: StatelessCompressionName, options: { readonly minLength?: number } = {}): PacketCompressor {
  const minLength = options.minLength ?? MIN_LENGTH_TO_COMPRESS;
  return name === 'lzs'
    ? new StatelessCompressor(name, new LzsEncoder(MAX_PACKET_LENGTH), decodeLzs, minLength)
    : new StatelessCompressor(name, new Lz4Encoder(MAX_PACKET_LENGTH), decodeLz4, minLength);
}

class StatelessCompressor implements PacketCompressor {
  readonly name: StatelessCompressionName;
  readonly #encoder: LzsEncoder | Lz4Encoder;
  readonly #decode: typeof decodeLzs;
  readonly #minLength: number;
  readonly #decompressed = new DecompressedPacket();

  constructor(name: StatelessCompressionName, encoder: LzsEncoder | Lz4Encoder, decode: typeof decodeLzs, minLength: number) {
    this.name = name;
    this.#encoder = encoder;
    this.#decode = decode;
    this.#minLength = minLength;
  }

  compress(packet: Uint8Array): Uint8Array | undefined {
    return packet.length < this.#minLength ? undefined : this.#encoder.encode(packet);
  }

  decompress(compressed: Uint8Array): Packet | undefined {
    const length = this.#decode(compressed, this.#decompressed.room);
    return length < 0 ? undefined : this.#decompressed.filled(length);
  }
}
