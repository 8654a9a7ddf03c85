/** Writing DER (X.690): the few constructions that protocols need. Reading certificates and keys is the platform's business. */
import { ByteWriter } from './byte-writer.ts';

export const DER_TAGS = { integer: 0x02, objectIdentifier: 0x06, sequence: 0x30, set: 0x31, context0: 0xa0 } as const;

/** One value: tag, length in the shortest form, contents. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  const writer = new ByteWriter().u8(tag);
  if (length < 0x80) writer.u8(length);
  else if (length < 0x100) writer.u8(0x81).u8(length);
  else if (length < 0x1_0000) writer.u8(0x82).u16(length);
  else writer.u8(0x83).u24(length);
  for (const part of contents) writer.bytes(part);
  return writer.finish();
}

/** An object identifier from its dotted form: `1.2.840.113549.1.7.2`. */
export function derObjectIdentifier(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...others] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...others].flatMap(base128);
  return der(DER_TAGS.objectIdentifier, Uint8Array.from(bytes));
}

/** Seven bits a byte, most significant first, the top bit set on all but the last. */
function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let rest = Math.floor(value / 0x80); rest > 0; rest = Math.floor(rest / 0x80)) bytes.unshift((rest & 0x7f) | 0x80);
  return bytes;
}
