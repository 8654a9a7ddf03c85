/** Bytes for tests of compressors: as repetitive as packets are, and as random as encrypted ones. */
import fc from 'fast-check';

/** Runs of random bytes, repeated bytes and copies of what came before. */
export function compressibleBytes(maxLength: number): fc.Arbitrary<Uint8Array> {
  const piece = fc.oneof(
    fc.record({ kind: fc.constant('random' as const), bytes: fc.uint8Array({ maxLength: 40 }) }),
    fc.record({ kind: fc.constant('run' as const), byte: fc.nat(255), length: fc.nat(600) }),
    fc.record({ kind: fc.constant('copy' as const), back: fc.integer({ min: 1, max: 3000 }), length: fc.integer({ min: 1, max: 300 }) }),
  );
  return fc.array(piece, { maxLength: 30 }).map((pieces) => {
    const bytes: number[] = [];
    for (const p of pieces) {
      if (p.kind === 'random') bytes.push(...p.bytes);
      else if (p.kind === 'run') bytes.push(...Array<number>(p.length).fill(p.byte));
      else for (let i = 0; i < p.length && p.back <= bytes.length; i++) bytes.push(bytes[bytes.length - p.back] ?? 0);
    }
    return Uint8Array.from(bytes.slice(0, maxLength));
  });
}

/** What `bytes` become with some of them changed, cut or repeated: nearly right input for decoders. */
export function mutationsOf(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), byte: fc.nat(255) });
  return fc
    .record({
      bytes,
      changes: fc.array(change, { minLength: 1, maxLength: 4 }),
      keep: fc.double({ min: 0, max: 1, noNaN: true }),
      cuts: fc.boolean(),
    })
    .map(({ bytes: original, changes, keep, cuts }) => {
      const mutated = original.slice(0, cuts ? Math.floor(original.length * keep) : original.length);
      for (const { at, byte } of changes) mutated[Math.floor(at * mutated.length)] = byte;
      return mutated;
    });
}
