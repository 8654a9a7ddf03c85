import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SoftToken, type TokenHash } from '../../../src/core/auth/tokens.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { utf8 } from '../../../src/core/wire/text.ts';

const DIGITS = '1234567890';
const hotp = (counter: number) => new SoftToken({ mode: 'hotp', key: utf8(DIGITS + DIGITS), hash: 'sha1', digits: 6, period: 30, counter });

/** RFC 6238, appendix B: the same digits, as many as the hash is long. */
const KEY_LENGTH = { sha1: 20, sha256: 32, sha512: 64 } as const;
const totp = (hash: TokenHash, digits = 8) =>
  new SoftToken({ mode: 'totp', key: utf8(DIGITS.repeat(7).slice(0, KEY_LENGTH[hash])), hash, digits, period: 30, counter: 0 });

describe('HOTP', () => {
  it('makes the codes of RFC 4226, appendix D, one after the other', () => {
    const token = hotp(0);
    const codes = Array.from({ length: 10 }, () => token.nextCode().reveal());
    assert.deepEqual(codes, ['755224', '287082', '359152', '969429', '338314', '254676', '287922', '162583', '399871', '520489']);
    assert.equal(token.counter, 10);
  });

  it('starts where the counter says', () => {
    assert.equal(hotp(9).nextCode().reveal(), '520489');
  });

  it('has no time', () => {
    assert.throws(() => hotp(0).stepAt(0), MisuseError);
    assert.throws(() => hotp(0).codeOfStep(0), MisuseError);
  });
});

describe('TOTP', () => {
  /** RFC 6238, appendix B. */
  const VECTORS: readonly (readonly [seconds: number, sha1: string, sha256: string, sha512: string])[] = [
    [59, '94287082', '46119246', '90693936'],
    [1_111_111_109, '07081804', '68084774', '25091201'],
    [1_111_111_111, '14050471', '67062674', '99943326'],
    [1_234_567_890, '89005924', '91819424', '93441116'],
    [2_000_000_000, '69279037', '90698825', '38618901'],
    [20_000_000_000, '65353130', '77737706', '47863826'],
  ];

  for (const [seconds, ...codes] of VECTORS) {
    it(`makes the codes of RFC 6238, appendix B, at ${seconds} s`, () => {
      const made = (['sha1', 'sha256', 'sha512'] as const).map((hash) => {
        const token = totp(hash);
        return token.codeOfStep(token.stepAt(seconds * 1000)).reveal();
      });
      assert.deepEqual(made, codes);
    });
  }

  it('makes codes of six digits, with leading zeros', () => {
    const token = totp('sha1', 6);
    assert.equal(token.codeOfStep(token.stepAt(1_111_111_109_000)).reveal(), '081804');
  });

  it('changes its code at the end of a period and not before', () => {
    assert.equal(totp('sha1').stepAt(29_999), 0);
    assert.equal(totp('sha1').stepAt(30_000), 1);
  });

  it('has no counter', () => {
    assert.throws(() => totp('sha1').nextCode(), MisuseError);
    assert.throws(() => totp('sha1').counter, MisuseError);
  });

  it('does not show its key', () => {
    const token = totp('sha1');
    assert.doesNotMatch(JSON.stringify(token) + String(token), /1234567890|49, ?50/);
  });
});
