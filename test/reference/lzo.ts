/** LZO1X, written as the table of spec "ESP", section 6.1, says it: slow, and what the fast decoder is compared with; and blocks for it. */
import { TruncatedError } from '../../src/core/errors.ts';
import { ByteReader } from '../../src/core/wire/byte-reader.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

type Context = 'start' | 'literals' | 'trail' | 'no trail';

/** Undefined where decoding must fail. */
export function referenceDecodeLzo(input: Uint8Array, maxOutput: number): Uint8Array | undefined {
  const reader = new ByteReader(input);
  const output: number[] = [];
  let context = 'start' as Context;
  const u8 = () => reader.u8('byte');
  const ext = (field: number, base: number): number => {
    if (field > 0) return field;
    let zeros = 0;
    let byte = u8();
    for (; byte === 0; byte = u8()) zeros++;
    return base + 255 * zeros + byte;
  };
  const literals = (count: number) => output.push(...reader.bytes(count, 'literals'));
  const match = (count: number, distance: number, trail: number): boolean => {
    if (distance > output.length || output.length + count > maxOutput) return false;
    for (let i = 0; i < count; i++) output.push(output[output.length - distance] ?? 0);
    literals(trail);
    context = trail > 0 ? 'trail' : 'no trail';
    return true;
  };
  try {
    for (;;) {
      const b = u8();
      if (context === 'start' && b >= 18) {
        literals(b - 17);
        if (reader.remaining > 0 && (input[input.length - reader.remaining] ?? 0) < 16) return undefined;
        context = 'literals';
      } else if (b < 16 && (context === 'start' || context === 'no trail')) {
        literals(ext(b, 15) + 3);
        context = 'literals';
      } else if (b < 16 && context === 'literals') {
        if (!match(3, 2049 + (b >> 2) + u8() * 4, b & 3)) return undefined;
      } else if (b < 16) {
        if (!match(2, 1 + (b >> 2) + u8() * 4, b & 3)) return undefined;
      } else if (b < 32) {
        const count = ext(b & 7, 7) + 2;
        const [low, high] = [u8(), u8()];
        const distance = 16_384 + (b & 8) * 2048 + high * 64 + (low >> 2);
        if (distance === 16_384) {
          return b === 0x11 && low === 0 && reader.remaining === 0 && output.length <= maxOutput ? Uint8Array.from(output) : undefined;
        }
        if (!match(count, distance, low & 3)) return undefined;
      } else if (b < 64) {
        const count = ext(b & 31, 31) + 2;
        const [low, high] = [u8(), u8()];
        if (!match(count, 1 + high * 64 + (low >> 2), low & 3)) return undefined;
      } else {
        if (!match((b >> 5) + 1, 1 + ((b >> 2) & 7) + u8() * 8, b & 3)) return undefined;
      }
      if (output.length > maxOutput) return undefined;
    }
  } catch (error) {
    if (error instanceof TruncatedError) return undefined;
    throw error;
  }
}

/** A block of instructions that the dice choose, and the packet that it means. */
export function randomLzo(random: SeededRandom, maxInstructions: number): { readonly block: Uint8Array; readonly packet: Uint8Array } {
  const block: number[] = [];
  const packet: number[] = [];
  const from = (low: number, high: number) => low + (random.uint32() % (high - low + 1));
  const extended = (mark: number, count: number, max: number) => {
    block.push(count <= max ? mark | count : mark);
    let rest = count - max;
    for (; rest > 255; rest -= 255) block.push(0);
    if (rest > 0) block.push(rest);
  };
  const literals = (count: number) => {
    for (let i = 0; i < count; i++) {
      const byte = from(0, 255);
      block.push(byte);
      packet.push(byte);
    }
  };
  let before: Context | 'first literals' = 'start';
  for (let left = from(1, maxInstructions); left > 0; left--) {
    const produced = packet.length;
    if (before === 'start' && from(0, 1) === 0) {
      const count = from(1, 238);
      block.push(17 + count);
      literals(count);
      before = 'first literals';
      continue;
    }
    if (before === 'start' || (before === 'no trail' && from(0, 1) === 0)) {
      const count = from(4, from(0, 3) === 0 ? 3000 : 40);
      extended(0, count - 3, 15);
      literals(count);
      before = 'literals';
      continue;
    }
    const trail = from(0, 3);
    const count = from(0, 9) === 0 ? from(3, 900) : from(3, 12);
    const copy = (length: number, distance: number) => {
      for (let i = 0; i < length; i++) packet.push(packet[packet.length - distance] ?? 0);
    };
    const isClose = from(0, 3) === 0;
    if (before === 'trail' && isClose) {
      const distance = from(1, Math.min(produced, 1024));
      block.push((((distance - 1) & 3) << 2) | trail, (distance - 1) >> 2);
      copy(2, distance);
    } else if (before === 'literals' && isClose && produced > 2048) {
      const distance = from(2049, Math.min(produced, 3072));
      block.push((((distance - 2049) & 3) << 2) | trail, (distance - 2049) >> 2);
      copy(3, distance);
    } else if (count <= 8 && isClose) {
      const distance = from(1, Math.min(produced, 2048));
      block.push(((count - 1) << 5) | (((distance - 1) & 7) << 2) | trail, (distance - 1) >> 3);
      copy(count, distance);
    } else if (produced > 16_384 && isClose) {
      const distance = from(16_385, Math.min(produced, 49_151));
      const far = distance - 16_384;
      extended(16 | ((far >> 14) << 3), count - 2, 7);
      block.push(((far & 63) << 2) | trail, (far >> 6) & 255);
      copy(count, distance);
    } else {
      const distance = from(1, Math.min(produced, 16_384));
      extended(32, count - 2, 31);
      block.push((((distance - 1) & 63) << 2) | trail, (distance - 1) >> 6);
      copy(count, distance);
    }
    literals(trail);
    before = trail === 0 ? 'no trail' : 'trail';
  }
  return { block: Uint8Array.of(...block, 0x11, 0, 0), packet: Uint8Array.from(packet) };
}
