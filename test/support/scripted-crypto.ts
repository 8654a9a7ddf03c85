/** NodeCrypto with randomness from a script or a seed, so that handshakes come out the same each time. */
import assert from 'node:assert/strict';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';
import { SeededRandom } from './seeded-random.ts';

/** Gives the scripted bytes, one entry a call; a call that the script does not expect fails the test. */
export class ScriptedCrypto extends NodeCrypto {
  readonly #script: Uint8Array[];

  constructor(script: readonly Uint8Array[]) {
    super();
    this.#script = [...script];
  }

  override randomBytes(length: number): Uint8Array {
    const bytes = this.#script.shift();
    assert.equal(bytes?.length, length, 'the script has no such randomness');
    return bytes as Uint8Array;
  }
}

export class SeededCrypto extends NodeCrypto {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    super();
    this.#random = new SeededRandom(seed);
  }

  override randomBytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#random.uint32() & 0xff);
  }
}
