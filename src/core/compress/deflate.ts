/**
 * Deflate for a CSTP channel: one raw stream a direction for the life of the connection, flushed at the end of each packet.
 *
 * Read first: spec "AnyConnect", section 6.2.
 *
 *   payload := deflate bytes, ending in the sync flush's 00 00 ff ff | Adler-32 of all packets of the direction so far (4, big-endian)
 *
 * Loads pako: import this file only where deflate is offered (see compressor.ts).
 */
import {
  Z_DEFAULT_STRATEGY,
  Z_OK,
  Z_STREAM_END,
  Z_SYNC_FLUSH,
  ZStream,
  zlibDeflate,
  zlibDeflateInit2,
  zlibInflate,
  zlibInflateInit2,
} from 'pako';
import { MisuseError, PeerMisbehavedError } from '../errors.ts';
import { PACKET_HEADROOM, type Packet } from '../tunnel/packet.ts';
import { ADLER32_START, adler32 } from './adler32.ts';
import { DecompressedPacket, MAX_PACKET_LENGTH, type PacketCompressor } from './compressor.ts';

/** A window of 4096 bytes; negative: no zlib header. */
const WINDOW_BITS = -12;
const MEMORY_LEVEL = 9;
const LEVEL = 6;
const METHOD_DEFLATE = 8;
/** zlib's own hash instead of pako's faster one: the bytes are those that zlib writes, and slightly fewer. */
const ZLIB_HASH = true;

const CHECKSUM_LENGTH = 4;

/**
 * The longest packet that enters the stream. What does not compress grows by an eighth at worst (packets longer than the window cannot become
 * stored blocks), and the frame must fit a TLS record all the same.
 */
const MAX_INPUT_LENGTH = 14_336;

/** One TLS connection's two streams. A new connection needs new ones (spec "AnyConnect", section 10.1). */
export function createDeflate(): PacketCompressor {
  return new DeflateCompressor();
}

class DeflateCompressor implements PacketCompressor {
  readonly name = 'deflate';
  readonly #deflate = new ZStream();
  readonly #inflate = new ZStream();
  readonly #compressed = new Uint8Array(MAX_PACKET_LENGTH);
  readonly #decompressed = new DecompressedPacket();
  #sentChecksum = ADLER32_START;
  #receivedChecksum = ADLER32_START;

  constructor() {
    const deflateStatus = zlibDeflateInit2(this.#deflate, LEVEL, METHOD_DEFLATE, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY, ZLIB_HASH);
    const inflateStatus = zlibInflateInit2(this.#inflate, WINDOW_BITS);
    if (deflateStatus !== Z_OK || inflateStatus !== Z_OK) {
      throw new MisuseError(`pako refused our parameters: deflate ${deflateStatus}, inflate ${inflateStatus}`);
    }
    this.#deflate.output = this.#compressed;
    // One byte more than a packet may have, so that one that is too long shows.
    this.#inflate.output = this.#decompressed.buffer.subarray(PACKET_HEADROOM, PACKET_HEADROOM + MAX_PACKET_LENGTH + 1);
  }

  /** Undefined only for a packet that is too long. All others enter the stream: what comes out must be sent, in order, even where it did not shrink. */
  compress(packet: Uint8Array): Uint8Array | undefined {
    if (packet.length === 0 || packet.length > MAX_INPUT_LENGTH) return undefined;
    const stream = this.#deflate;
    stream.input = packet;
    stream.next_in = 0;
    stream.avail_in = packet.length;
    stream.next_out = 0;
    stream.avail_out = this.#compressed.length - CHECKSUM_LENGTH;
    const status = zlibDeflate(stream, Z_SYNC_FLUSH);
    if (status !== Z_OK || stream.avail_in > 0 || stream.avail_out === 0) {
      throw new MisuseError(`deflate did not fit a packet of ${packet.length} bytes into ${this.#compressed.length} (status ${status})`);
    }
    this.#sentChecksum = adler32(this.#sentChecksum, packet);
    let length = stream.next_out;
    for (let shift = 24; shift >= 0; shift -= 8) this.#compressed[length++] = this.#sentChecksum >>> shift;
    return this.#compressed.subarray(0, length);
  }

  decompress(compressed: Uint8Array): Packet {
    const checksumAt = compressed.length - CHECKSUM_LENGTH;
    if (checksumAt < 0) throw new PeerMisbehavedError(`deflate packet of ${compressed.length} bytes is shorter than its checksum`);
    const packet = this.#decompressed.filled(this.#inflateNext(compressed, checksumAt));
    this.#receivedChecksum = adler32(this.#receivedChecksum, packet.buffer.subarray(packet.start, packet.end));
    for (let i = 0; i < CHECKSUM_LENGTH; i++) {
      if (compressed[checksumAt + i] !== ((this.#receivedChecksum >>> (24 - 8 * i)) & 0xff)) {
        throw new PeerMisbehavedError('checksum of the deflate stream is wrong: a packet was lost or altered');
      }
    }
    return packet;
  }

  /** Inflates the first `end` bytes; how many came out. */
  #inflateNext(compressed: Uint8Array, end: number): number {
    const stream = this.#inflate;
    stream.input = compressed;
    stream.next_in = 0;
    stream.avail_in = end;
    stream.next_out = 0;
    stream.avail_out = MAX_PACKET_LENGTH + 1;
    const status = zlibInflate(stream, Z_SYNC_FLUSH);
    if (status === Z_STREAM_END) throw new PeerMisbehavedError('deflate stream ended inside the connection');
    if (stream.avail_out === 0) throw new PeerMisbehavedError(`deflate packet is longer than ${MAX_PACKET_LENGTH} bytes`);
    if (status !== Z_OK || stream.avail_in > 0) {
      throw new PeerMisbehavedError(`deflate stream is broken: ${stream.msg || 'no data'} (status ${status})`);
    }
    return stream.next_out;
  }
}
