/**
 * MD4 (RFC 1320): broken as a hash and kept for one thing, the NT password hash of NTLM. OpenSSL 3 no longer has it, so it is here.
 */

const BLOCK = 64;
const LENGTH_AT = 56;

/** RFC 1320 §3.4: for each round the order of the words, the rotations and the constant. */
const ROUNDS = [
  { order: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], turns: [3, 7, 11, 19], add: 0 },
  { order: [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15], turns: [3, 5, 9, 13], add: 0x5a827999 },
  { order: [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15], turns: [3, 9, 11, 15], add: 0x6ed9eba1 },
] as const;

/** RFC 1320 §3.4: F (choose), G (majority) and H (parity). */
const MIXERS: readonly ((x: number, y: number, z: number) => number)[] = [
  (x, y, z) => (x & y) | (~x & z),
  (x, y, z) => (x & y) | (x & z) | (y & z),
  (x, y, z) => x ^ y ^ z,
];

/** The 16-byte digest. */
export function md4(message: Uint8Array): Uint8Array {
  const padded = pad(message);
  const state = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  for (let at = 0; at < padded.byteLength; at += BLOCK) compress(state, new DataView(padded.buffer, at, BLOCK));
  const digest = new DataView(new ArrayBuffer(16));
  state.forEach((word, i) => {
    digest.setUint32(4 * i, word, true);
  });
  return new Uint8Array(digest.buffer);
}

/** RFC 1320 §3.1 and §3.2: a one bit, zeros, and the length in bits as 64 bits, low byte first. */
function pad(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const padded = new Uint8Array(Math.ceil((message.length + 1 + 8) / BLOCK) * BLOCK);
  padded.set(message);
  padded[message.length] = 0x80;
  const lengthField = new DataView(padded.buffer, padded.length - BLOCK + LENGTH_AT);
  lengthField.setBigUint64(0, BigInt(message.length) * 8n, true);
  return padded;
}

function compress(state: Uint32Array, block: DataView): void {
  let [a = 0, b = 0, c = 0, d = 0] = state;
  for (const [round, { order, turns, add }] of ROUNDS.entries()) {
    const mix = MIXERS[round] as (x: number, y: number, z: number) => number; // as many mixers as rounds
    for (const [step, word] of order.entries()) {
      const sum = (a + mix(b, c, d) + block.getUint32(4 * word, true) + add) >>> 0;
      const turn = turns[step % 4] as number; // step % 4 is below 4
      [a, b, c, d] = [d, (sum << turn) | (sum >>> (32 - turn)), b, c];
    }
  }
  [a, b, c, d].forEach((word, i) => {
    state[i] = (state[i] as number) + word; // four words each; the array wraps at 32 bits
  });
}
