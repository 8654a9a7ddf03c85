import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { utf8 } from '../../../src/core/wire/text.ts';
import { nameHash } from '../../../src/gateway/network/name-hash.ts';

describe('name hash', () => {
  it('is lookup3: the values of its author’s self test', () => {
    // lookup3.c, driver5: hashlittle("", 0) and of this text with initial value 0.
    assert.equal(nameHash(utf8('')), 0xdeadbeef);
    assert.equal(nameHash(utf8('Four score and seven years ago')), 0x17770551);
  });
});
