/**
 * Sequence numbers: 32 bits that wrap around (RFC 9293 §3.4), kept as signed integers, which the engine does not box.
 * Two numbers are compared by the sign of their distance, which is right while they are less than 2^31 apart.
 */
export type Sequence = number;

export function plus(sequence: Sequence, bytes: number): Sequence {
  return (sequence + bytes) | 0;
}

/** How far `a` is behind `b`: negative if it comes before. */
export function distance(a: Sequence, b: Sequence): number {
  return (a - b) | 0;
}
