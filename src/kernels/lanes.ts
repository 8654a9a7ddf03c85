/** CBC of many records side by side: see src/node/engine/cbc-lanes.ts. */

const BLOCK: i32 = 16;

/**
 * One step of all lanes. The buffer has a block of ciphertext for each: it goes to its place, `offset` behind the lane's start less a block, and in the
 * buffer the plaintext behind it is added to it.
 *
 * @param list the start of each lane
 */
export function laneStep(list: i32, lanes: i32, offset: i32, buffer: i32): void {
  for (let i = 0; i < lanes; i++) {
    const plaintext = load<i32>(list + (i << 2)) + offset;
    const at = buffer + (i << 4);
    const ciphertext = v128.load(at);
    v128.store(plaintext - BLOCK, ciphertext);
    v128.store(at, v128.xor(ciphertext, v128.load(plaintext)));
  }
}
