import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../../src/core/errors.ts';
import { fromBase64, fromHex, fromUtf8, printable, toBase64, toHex, utf8 } from '../../../src/core/wire/text.ts';

describe('hex and base64', () => {
  it('agree with Node on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        assert.equal(toHex(bytes), Buffer.from(bytes).toString('hex'));
        assert.equal(toBase64(bytes), Buffer.from(bytes).toString('base64'));
        assert.deepEqual(fromHex(toHex(bytes).toUpperCase()), bytes);
        assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
        assert.deepEqual(fromBase64(toBase64(bytes).replace(/=+$/, '')), bytes);
      }),
    );
  });

  it('throw only their own errors, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const parse of [fromHex, fromBase64]) {
          try {
            parse(text);
          } catch (error) {
            assert.ok(error instanceof SallyportError);
          }
        }
      }),
    );
  });

  it('refuse what is not theirs', () => {
    assert.throws(() => fromHex('abc'), /odd number/);
    assert.throws(() => fromHex('zz'), /not a hex digit/);
    assert.throws(() => fromBase64('a'), /not base64/);
    assert.throws(() => fromBase64('ab=c'), /not base64/);
    assert.throws(() => fromBase64('ab-_'), /not base64/);
  });
});

describe('UTF-8', () => {
  it('reads back what it writes', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => assert.equal(fromUtf8(utf8(text)), text)));
  });
});

describe('printable', () => {
  it('removes escape sequences and control characters but keeps lines and tabs', () => {
    assert.equal(printable('a\u001b[31mred\u0007\r\nb\tc\u0000'), 'a[31mred\nb\tc');
  });

  it('removes bidirectional overrides, which can make a prompt read as another one', () => {
    assert.equal(printable('drow\u202essap'), 'drowssap');
  });
});
