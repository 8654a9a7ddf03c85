/**
 * ESP's keys as Pulse hands them over: the gateway's choice for what the client sends, and the client's for what it gets, with the gateway's once more.
 *
 * Read first: spec "Pulse", sections 8.4, 8.5 and 10.
 *
 *   length from here on | 01000000 | [SPI | 64, be16 | key block] × 1 (gateway) or 2 (client: its own first) | filler
 *
 * The SPI is little endian here, and here alone.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { KEY_BLOCK_LENGTH, type KeyBlock } from '../../esp/key-block.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { container, readContainer, SIGNATURES } from './container.ts';

const MARK = 0x0100_0000;
/** Behind the gateway's block; its packet has 128 bytes then, as those of appliances. */
const OFFER_FILLER = 6;

/** What a client answers, and how a gateway reads it. */
export interface EspReply {
  /** What the gateway is to send with. */
  readonly own: KeyBlock;
  /** What it has offered. */
  readonly echo: KeyBlock;
}

/** What the client is to send with. */
export function encodeEspOffer(block: KeyBlock): Uint8Array {
  return encode([block], OFFER_FILLER);
}

/** Throws {@link PeerMisbehavedError} for what is none. What follows the block is not looked at. */
export function decodeEspOffer(payload: Uint8Array): KeyBlock {
  return readBlock(readHead(payload));
}

export function encodeEspReply({ own, echo }: EspReply): Uint8Array {
  return encode([own, echo], 0);
}

/** Throws {@link PeerMisbehavedError} for what is none. */
export function decodeEspReply(payload: Uint8Array): EspReply {
  const reader = readHead(payload);
  return { own: readBlock(reader), echo: readBlock(reader) };
}

function encode(blocks: readonly KeyBlock[], filler: number): Uint8Array {
  const body = new ByteWriter();
  for (const { spi, bytes } of blocks) body.bytes(littleEndian(spi)).u16(bytes.length).bytes(bytes);
  body.bytes(new Uint8Array(filler));
  return container(
    SIGNATURES.esp,
    new ByteWriter()
      .u32(8 + body.length)
      .u32(MARK)
      .bytes(body.finish())
      .finish(),
  );
}

function readHead(payload: Uint8Array): ByteReader {
  const { signature, body } = readContainer(payload);
  const reader = new ByteReader(body);
  const length = reader.u32('length of ESP’s configuration');
  const mark = reader.u32('ESP’s configuration');
  if (signature !== SIGNATURES.esp || mark !== MARK) throw new PeerMisbehavedError('ESP’s configuration: it is none');
  if (length !== body.length) throw new PeerMisbehavedError(`length of ESP’s configuration: expected ${body.length}, got ${length}`);
  return reader;
}

function readBlock(reader: ByteReader): KeyBlock {
  const [a = 0, b = 0, c = 0, d = 0] = reader.bytes(4, 'SPI');
  const length = reader.u16('length of ESP’s keys');
  if (length !== KEY_BLOCK_LENGTH) throw new PeerMisbehavedError(`length of ESP’s keys: expected ${KEY_BLOCK_LENGTH}, got ${length}`);
  return { spi: ((d << 24) | (c << 16) | (b << 8) | a) >>> 0, bytes: reader.bytes(length, 'ESP’s keys').slice() };
}

function littleEndian(spi: number): Uint8Array {
  return Uint8Array.of(spi, spi >>> 8, spi >>> 16, spi >>> 24);
}
