/**
 * The number that ocserv makes of a user's name, so that a client keeps its address when its gateway becomes ours.
 *
 * Observed: ocserv 1.1.6 gives addresses by Bob Jenkins' public-domain hash "lookup3" (`hashlittle`, initial value 0) of the name's bytes, stored with
 * the low byte first. Found out from the addresses of eight users in 10.0.0.0/8; `test/gateway/network/lease-interop.test.ts` compares.
 */

/** hashlittle(name, 0): 32 bits. */
export function nameHash(name: Uint8Array): number {
  let a = (0xdeadbeef + name.length) | 0;
  let b = a;
  let c = a;
  let at = 0;
  for (; name.length - at > 12; at += 12) {
    a = (a + word(name, at)) | 0;
    b = (b + word(name, at + 4)) | 0;
    c = (c + word(name, at + 8)) | 0;
    a = (a - c) ^ rotated(c, 4);
    c = (c + b) | 0;
    b = (b - a) ^ rotated(a, 6);
    a = (a + c) | 0;
    c = (c - b) ^ rotated(b, 8);
    b = (b + a) | 0;
    a = (a - c) ^ rotated(c, 16);
    c = (c + b) | 0;
    b = (b - a) ^ rotated(a, 19);
    a = (a + c) | 0;
    c = (c - b) ^ rotated(b, 4);
    b = (b + a) | 0;
  }
  if (name.length === at) return c >>> 0;
  a = (a + word(name, at)) | 0;
  b = (b + word(name, at + 4)) | 0;
  c = (c + word(name, at + 8)) | 0;
  c = ((c ^ b) - rotated(b, 14)) | 0;
  a = ((a ^ c) - rotated(c, 11)) | 0;
  b = ((b ^ a) - rotated(a, 25)) | 0;
  c = ((c ^ b) - rotated(b, 16)) | 0;
  a = ((a ^ c) - rotated(c, 4)) | 0;
  b = ((b ^ a) - rotated(a, 14)) | 0;
  return ((c ^ b) - rotated(b, 24)) >>> 0;
}

/** Four bytes, low one first; zeros behind the end. */
function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
}

function rotated(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}
