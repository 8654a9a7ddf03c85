/** A copy of bytes that someone else owns. Not `slice()`: of a Node Buffer that is a view of the same memory, and owners reuse or wipe theirs. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** What is left of bytes that came before, and those that came now, in memory of our own. */
export function joined(left: Uint8Array, bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(left.length + bytes.length);
  all.set(left);
  all.set(bytes, left.length);
  return all;
}
