/** Key blocks are cut as the specification's table has it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PeerMisbehavedError } from '../../../src/core/errors.ts';
import { algorithmsOf, keysOf, newKeyBlock } from '../../../src/core/esp/key-block.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';

const bytes = Uint8Array.from({ length: 64 }, (_, i) => i);
const range = (from: number, to: number) => bytes.slice(from, to + 1);

describe('a block of ESP’s keys', () => {
  for (const [cipherId, macId, [keyFrom, keyTo, macFrom, macTo]] of [
    [2, 1, [0, 15, 16, 31]],
    [2, 2, [0, 15, 16, 35]],
    [2, 3, [0, 15, 16, 47]],
    [5, 1, [0, 31, 32, 47]],
    [5, 2, [0, 31, 32, 51]],
    [5, 3, [0, 31, 32, 63]],
  ] as const) {
    it(`has bytes ${keyFrom} to ${keyTo} and ${macFrom} to ${macTo} for ${cipherId} and ${macId}`, () => {
      const algorithms = algorithmsOf(cipherId, macId) ?? assert.fail();
      const { key, macKey, spi } = keysOf({ spi: 0x1234, bytes }, algorithms);
      assert.deepEqual([spi, key, macKey], [0x1234, range(keyFrom, keyTo), range(macFrom, macTo)]);
    });
  }

  it('is for nothing that has another number', () => {
    for (const [cipherId, macId] of [
      [1, 2],
      [5, 4],
      [0, 0],
    ] as const)
      assert.equal(algorithmsOf(cipherId, macId), undefined);
  });

  it('has 64 bytes', () => {
    const block = newKeyBlock(new NodeCrypto(), 0x1234);
    assert.equal(block.bytes.length, 64);
    assert.throws(() => keysOf({ spi: 1, bytes: bytes.subarray(1) }, { cipher: 'aes-128-cbc', mac: 'sha1' }), PeerMisbehavedError);
  });
});
