import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError } from '../../../src/core/errors.ts';
import {
  EMPTY_RENEGOTIATION_INFO,
  EXTENDED_MASTER_SECRET,
  EXTENSIONS,
  hasExtendedMasterSecret,
  hasRenegotiationInfo,
  openconnectAppIdOf,
  recordSizeLimit,
  recordSizeLimitOf,
} from '../../../src/core/tls-messages/extensions.ts';
import { fromHex } from '../../../src/core/wire/text.ts';

const extension = (type: number, data: string) => [{ type, data: fromHex(data) }];

describe('extensions', () => {
  it('are not there unless they are', () => {
    assert.equal(hasRenegotiationInfo([]), false);
    assert.equal(hasExtendedMasterSecret([]), false);
    assert.equal(recordSizeLimitOf([]), undefined);
    assert.equal(openconnectAppIdOf([]), undefined);
  });

  it('are understood as we write them', () => {
    assert.equal(hasRenegotiationInfo([EMPTY_RENEGOTIATION_INFO]), true);
    assert.equal(hasExtendedMasterSecret([EXTENDED_MASTER_SECRET]), true);
    fc.assert(
      fc.property(fc.integer({ min: 64, max: 0x4000 }), (limit) => assert.equal(recordSizeLimitOf([recordSizeLimit(limit)]), limit)),
    );
  });

  it('read the App-ID behind its length', () => {
    assert.deepEqual(openconnectAppIdOf(extension(EXTENSIONS.openconnectAppId, '02abcd')), fromHex('abcd'));
  });

  it('take a record size limit beyond the protocol for that of the protocol', () => {
    assert.equal(recordSizeLimitOf([recordSizeLimit(0xffff)]), 0x4000);
  });

  it('are refused with content that cannot be', () => {
    assert.throws(() => hasRenegotiationInfo(extension(EXTENSIONS.renegotiationInfo, '01aa')), PeerMisbehavedError);
    assert.throws(() => hasRenegotiationInfo(extension(EXTENSIONS.renegotiationInfo, '')), PeerMisbehavedError);
    assert.throws(() => hasExtendedMasterSecret(extension(EXTENSIONS.extendedMasterSecret, '00')), PeerMisbehavedError);
    assert.throws(() => recordSizeLimitOf(extension(EXTENSIONS.recordSizeLimit, '003f')), PeerMisbehavedError);
    assert.throws(() => recordSizeLimitOf(extension(EXTENSIONS.recordSizeLimit, '400000')), PeerMisbehavedError);
    assert.throws(() => recordSizeLimitOf(extension(EXTENSIONS.recordSizeLimit, '40')), PeerMisbehavedError);
    assert.throws(() => openconnectAppIdOf(extension(EXTENSIONS.openconnectAppId, '03abcd')), PeerMisbehavedError);
    assert.throws(() => openconnectAppIdOf(extension(EXTENSIONS.openconnectAppId, '01abcd')), PeerMisbehavedError);
  });
});
