/** A copy of bytes that someone else owns. Not `slice()`: of a Node Buffer that is a view of the same memory, and owners reuse or wipe theirs. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
