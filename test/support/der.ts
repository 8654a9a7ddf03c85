/** Writes ASN.1 for tests: DER, and the freer BER that PKCS #12 files may be in. */
import { BER, BerReader } from '../../src/core/wire/ber.ts';

/** One element: identifier byte, length in the shortest form, contents. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const contents = Buffer.concat(parts);
  const { length } = contents;
  if (length < 0x80) return Buffer.concat([Uint8Array.of(tag, length), contents]);
  const lengthBytes = Buffer.from(length.toString(16).padStart(2 * Math.ceil(length.toString(16).length / 2), '0'), 'hex');
  return Buffer.concat([Uint8Array.of(tag, 0x80 | lengthBytes.length), lengthBytes, contents]);
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(BER.sequence, ...parts);
}

export function octetString(bytes: Uint8Array): Buffer {
  return der(BER.octetString, bytes);
}

/** Non-negative. */
export function integer(value: number): Buffer {
  const digits = value.toString(16);
  return der(BER.integer, Buffer.from(digits.padStart(2 * Math.floor(digits.length / 2 + 1), '0'), 'hex'));
}

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...others] = dotted.split('.').map(Number);
  const arcs = [40 * first + second, ...others].flatMap((arc) => {
    const bytes = [arc & 0x7f];
    for (let rest = Math.floor(arc / 0x80); rest > 0; rest = Math.floor(rest / 0x80)) bytes.unshift(0x80 | (rest & 0x7f));
    return bytes;
  });
  return der(BER.oid, Uint8Array.from(arcs));
}

/** The same value in BER: every constructed element with an indefinite length, every octet string in pieces. */
export function asLooseBer(bytes: Uint8Array): Buffer {
  const reader = new BerReader(bytes);
  const parts: Buffer[] = [];
  while (!reader.isAtEnd) {
    const { tag, contents, encoded } = reader.element('element');
    if (tag === BER.octetString) parts.push(indefinite(tag | 0x20, ...pieces(contents)));
    else if ((tag & 0x20) !== 0) parts.push(indefinite(tag, asLooseBer(contents)));
    else parts.push(Buffer.from(encoded));
  }
  return Buffer.concat(parts);
}

function indefinite(tag: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Uint8Array.of(tag, 0x80), ...parts, Uint8Array.of(0, 0)]);
}

function pieces(contents: Uint8Array): Buffer[] {
  const middle = contents.length >> 1;
  return [octetString(contents.subarray(0, middle)), octetString(contents.subarray(middle))];
}
