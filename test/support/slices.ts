/** Bytes in any slices: what a stream parser must not notice. */
import fc from 'fast-check';

/** Sizes to cut a stream with; used up, the rest comes in one piece. */
export const sliceSizes: fc.Arbitrary<number[]> = fc.oneof(
  fc.constant<number[]>([]),
  fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 40 }),
  fc.constant(Array<number>(200).fill(1)),
);

/** Cuts bytes into slices of these sizes. */
export function slicesOf(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const slices: Uint8Array[] = [];
  let at = 0;
  for (const size of sizes) {
    slices.push(bytes.slice(at, at + size));
    at += size;
  }
  return [...slices, bytes.slice(at)];
}
