import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { padding } from '../../../../src/core/http/padding.ts';
import { mobileHeaders } from '../../../../src/core/protocols/anyconnect/request-headers.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';

describe('X-Pad', () => {
  // Spec "AnyConnect", section 13.10.
  it('is as long as the reference client’s', () => {
    const lengths = [
      [369, 15],
      [362, 22],
      [365, 19],
      [391, 57],
      [404, 44],
      [0, 64],
    ] as const;
    for (const [body, pad] of lengths) assert.equal(padding(body), '0'.repeat(pad));
  });

  it('fills a block of 64 with at least one zero', () => {
    fc.assert(
      fc.property(fc.nat(100_000), (length) => {
        const pad = padding(length).length;
        assert.ok(pad >= 1 && pad <= 64);
        assert.equal((length + pad) % 64, 0);
      }),
    );
  });
});

describe('mobile identity', () => {
  it('is five headers together, or none', () => {
    assert.deepEqual(mobileHeaders(CLIENT), []);
    assert.deepEqual(
      mobileHeaders({ ...CLIENT, os: 'apple-ios', mobile: { platformVersion: '1.0', deviceType: 'phone', uniqueId: 'u' } }),
      [
        ['X-AnyConnect-Identifier-ClientVersion', 'v9.01'],
        ['X-AnyConnect-Identifier-Platform', 'apple-ios'],
        ['X-AnyConnect-Identifier-PlatformVersion', '1.0'],
        ['X-AnyConnect-Identifier-DeviceType', 'phone'],
        ['X-AnyConnect-Identifier-Device-UniqueID', 'u'],
      ],
    );
  });
});
