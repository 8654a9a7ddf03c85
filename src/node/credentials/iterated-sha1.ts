/**
 * SHA-1 of SHA-1 of SHA-1 …: what the key derivation of PKCS #12 does hundreds of thousands of times. A call of node:crypto costs more than
 * the digest itself: 600,000 (what certtool asks for) take it some 750 ms, and this some 200 ms; a file needs three or more such runs.
 *
 * Read first: FIPS 180-4, sections 5.1.1 (padding) and 6.1.2 (the digest of a block). The letters are the standard's.
 */

/** Bits of a message that is a digest. */
const MESSAGE_BITS = 160;

/** The 20 bytes that are left when `times` digests have been taken, each of the one before, beginning with this one. */
export function iteratedSha1(digest: Uint8Array, times: number): Uint8Array {
  const view = new DataView(digest.buffer, digest.byteOffset, digest.byteLength);
  let [h0, h1, h2, h3, h4] = [view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12), view.getInt32(16)];
  const W = new Int32Array(80);
  for (let n = 0; n < times; n++) {
    // The one block of the message: the digest before, a one bit, zeros, and its length.
    W[0] = h0;
    W[1] = h1;
    W[2] = h2;
    W[3] = h3;
    W[4] = h4;
    W[5] = 0x8000_0000;
    for (let t = 6; t < 15; t++) W[t] = 0;
    W[15] = MESSAGE_BITS;
    for (let t = 16; t < 80; t++) {
      // Every index is inside; `as number` is for the compiler.
      const word = (W[t - 3] as number) ^ (W[t - 8] as number) ^ (W[t - 14] as number) ^ (W[t - 16] as number);
      W[t] = (word << 1) | (word >>> 31);
    }

    let a = 0x6745_2301;
    let b = 0xefcd_ab89 | 0;
    let c = 0x98ba_dcfe | 0;
    let d = 0x1032_5476;
    let e = 0xc3d2_e1f0 | 0;
    for (let t = 0; t < 80; t++) {
      let fK: number;
      if (t < 20) fK = (((b & c) ^ (~b & d)) + 0x5a82_7999) | 0;
      else if (t < 40) fK = ((b ^ c ^ d) + 0x6ed9_eba1) | 0;
      else if (t < 60) fK = (((b & c) ^ (b & d) ^ (c & d)) + 0x8f1b_bcdc) | 0;
      else fK = ((b ^ c ^ d) + 0xca62_c1d6) | 0;
      const T = (((a << 5) | (a >>> 27)) + fK + e + (W[t] as number)) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = T;
    }
    h0 = (a + 0x6745_2301) | 0;
    h1 = (b + 0xefcd_ab89) | 0;
    h2 = (c + 0x98ba_dcfe) | 0;
    h3 = (d + 0x1032_5476) | 0;
    h4 = (e + 0xc3d2_e1f0) | 0;
  }
  const result = new DataView(new ArrayBuffer(20));
  for (const [i, word] of [h0, h1, h2, h3, h4].entries()) result.setInt32(4 * i, word);
  return new Uint8Array(result.buffer);
}
