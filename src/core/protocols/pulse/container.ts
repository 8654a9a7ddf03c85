/**
 * The container of Pulse's configuration packets: of addresses and routes, and of ESP's keys, both ways.
 *
 * Read first: spec "Pulse", section 8.1. It counts from the IF-T header on; here are payloads, which begin behind that.
 *
 *   16 zeros | signature | 0 | length of all this | body
 */
import { PeerMisbehavedError, UnsupportedError } from '../../errors.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { IFT_HEADER_LENGTH, MAX_IFT_PACKET } from './ift-packet.ts';

export const SIGNATURES = {
  main: 0x2c20_f000,
  /** From 9.1R14 on, with leading blocks. */
  mainWithBlocks: 0x2e20_f000,
  esp: 0x2120_2400,
} as const;

const LENGTH = 28;

/** What a configuration packet is about; undefined: something that nobody knows. Throws {@link PeerMisbehavedError} for a container that is none. */
export function configurationKind(payload: Uint8Array): 'main' | 'esp' | undefined {
  const { signature } = readContainer(payload);
  if (signature === SIGNATURES.main || signature === SIGNATURES.mainWithBlocks) return 'main';
  return signature === SIGNATURES.esp ? 'esp' : undefined;
}

/** Throws {@link UnsupportedError} for what no packet holds. */
export function container(signature: number, body: Uint8Array): Uint8Array {
  const length = LENGTH + body.length;
  if (IFT_HEADER_LENGTH + length > MAX_IFT_PACKET) throw new UnsupportedError('The session’s routes and names do not fit one packet.');
  return new ByteWriter().bytes(new Uint8Array(16)).u32(signature).u32(0).u32(length).bytes(body).finish();
}

/** All of it is checked. */
export function readContainer(payload: Uint8Array): { readonly signature: number; readonly body: Uint8Array } {
  const reader = new ByteReader(payload);
  const zeros = reader.bytes(16, 'configuration header');
  const signature = reader.u32('configuration signature');
  const zero = reader.u32('configuration header');
  const length = reader.u32('configuration length');
  if (zero !== 0 || zeros.some((byte) => byte !== 0)) throw new PeerMisbehavedError('configuration header: expected zeros');
  if (length !== payload.length) throw new PeerMisbehavedError(`configuration length: expected ${payload.length}, got ${length}`);
  return { signature, body: reader.rest() };
}
