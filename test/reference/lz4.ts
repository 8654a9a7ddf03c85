/** An LZ4 block decoder, written as the block format's description says it: slow, and what the fast one is compared with. */
import { TruncatedError } from '../../src/core/errors.ts';
import { ByteReader } from '../../src/core/wire/byte-reader.ts';

/** Undefined where decoding must fail. */
export function referenceDecodeLz4(input: Uint8Array, maxOutput: number): Uint8Array | undefined {
  const reader = new ByteReader(input);
  const output: number[] = [];
  const takeLength = (nibble: number): number => {
    let length = nibble;
    for (let more = nibble === 15 ? 255 : 0; more === 255; length += more) more = reader.u8('length');
    return length;
  };
  try {
    for (;;) {
      const token = reader.u8('token');
      output.push(...reader.bytes(takeLength(token >> 4), 'literals'));
      if (output.length > maxOutput) return undefined;
      if (reader.remaining === 0) return Uint8Array.from(output);
      const offset = reader.u8('offset') + 256 * reader.u8('offset');
      const length = 4 + takeLength(token & 15);
      if (offset === 0 || offset > output.length || output.length + length > maxOutput) return undefined;
      for (let i = 0; i < length; i++) output.push(output[output.length - offset] ?? 0);
    }
  } catch (error) {
    if (error instanceof TruncatedError) return undefined;
    throw error;
  }
}
