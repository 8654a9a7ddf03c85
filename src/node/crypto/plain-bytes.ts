/** The bytes of a Buffer as core knows bytes: a Buffer's `slice()` is a view of the same memory, a Uint8Array's is a copy, and core counts on that. */
export function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
