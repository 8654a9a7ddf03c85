import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseTokenSecret } from '../../../src/core/auth/token-secret.ts';
import type { TokenMode } from '../../../src/core/auth/tokens.ts';
import { MisuseError, SallyportError, UnsupportedError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { toBase64, utf8 } from '../../../src/core/wire/text.ts';

const parse = (mode: TokenMode, text: string) => parseTokenSecret(mode, new Secret(text));
const firstTotp = (text: string) => parse('totp', text).token.codeOfStep(1).reveal();

/** The key of RFC 4226, appendix D, in each form; its codes of six digits are 755224, 287082, 359152 … */
const RAW = '12345678901234567890';
const HEX = '0x3132333435363738393031323334353637383930';
const BASE32 = 'base32:GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

describe('token secret', () => {
  it('is the bytes of a text, hex, or base32', () => {
    for (const text of [RAW, HEX, BASE32]) assert.equal(firstTotp(text), '287082', text);
  });

  it('may be base32 as people type it: in lower case, in groups, padded', () => {
    assert.equal(firstTotp('base32:gezd gnbv-gy3t qojq GEZD GNBV GY3T QOJQ'), '287082');
    assert.equal(firstTotp('base32:MFRGG==='), firstTotp('abc'));
  });

  it('says the hash in front', () => {
    assert.equal(firstTotp(`sha1:${HEX}`), '287082');
    assert.equal(firstTotp(`sha256:${digitsOf(32)}`), '119246');
    assert.equal(firstTotp(`sha512:base32:${'GEZDGNBVGY3TQOJQ'.repeat(6)}GEZDGNA`), '693936');
  });

  it('ends in the counter, for HOTP only', () => {
    assert.equal(parse('hotp', RAW).token.nextCode().reveal(), '755224');
    assert.equal(parse('hotp', `${RAW},2`).token.nextCode().reveal(), '359152');
    assert.equal(firstTotp(`${RAW},2`), firstTotp(`0x${Buffer.from(`${RAW},2`).toString('hex')}`), 'a comma of the key');
  });

  it('is written again as it was, with the new counter: what a file must hold for the next log-in', () => {
    for (const text of [`${HEX},7`, `sha256:${BASE32},7\n`, `${RAW},7\r\n`, 'a,b,7']) {
      const secret = parse('hotp', text);
      assert.equal(secret.render().reveal(), text);
      secret.token.nextCode();
      assert.equal(secret.render().reveal(), text.replace(',7', ',8'));
    }
    const without = parse('hotp', `${BASE32}\n`);
    without.token.nextCode();
    assert.equal(without.render().reveal(), `${BASE32},1\n`);
  });

  it('is written again unchanged for TOTP', () => {
    assert.equal(parse('totp', `${HEX}\n`).render().reveal(), `${HEX}\n`);
    assert.equal(firstTotp(`${HEX}\n`), '287082');
  });

  it('is refused without being shown', () => {
    const bad = [
      '',
      '\n',
      'sha1:',
      '0x',
      '0x123',
      '0xgg',
      'base32:',
      'base32:A',
      'base32:ABC',
      'base32:ABCDEF',
      'base32:AB1=',
      'x'.repeat(70_000),
    ];
    for (const text of bad) {
      assert.throws(
        () => parse('totp', text),
        (error) => error instanceof MisuseError && (text.length < 8 || !error.message.includes(text.slice(7, 20))),
        text.slice(0, 20),
      );
    }
    assert.throws(() => parse('hotp', `${RAW},99999999999999999999`), /counter/);
  });

  it('reads back the counter it wrote', () => {
    const key = fc.oneof(
      fc.constant(HEX),
      fc.constant(BASE32),
      fc.string({ minLength: 1 }).filter((text) => !/^0x|^base32:|^sha|^\s*<|[\r\n]$/.test(text)),
    );
    fc.assert(
      fc.property(key, fc.nat(1_000_000), fc.nat(5), (text, counter, steps) => {
        const secret = parse('hotp', `${text},${counter}`);
        for (let i = 0; i < steps; i++) secret.token.nextCode();
        const again = parse('hotp', secret.render().reveal());
        assert.equal(again.token.counter, counter + steps);
        assert.equal(again.token.nextCode().reveal(), secret.token.nextCode().reveal());
      }),
    );
  });
});

/** Figure 5 of RFC 6030 with another key, and what its profile for TOTP adds. */
const pskc = (algorithm: string, data: string, parameters = '<ResponseFormat Length="8" Encoding="DECIMAL"/>', prefix = '') =>
  `<?xml version="1.0" encoding="UTF-8"?>
<${prefix}KeyContainer Version="1.0" xmlns${prefix === '' ? '' : `:${prefix.slice(0, -1)}`}="urn:ietf:params:xml:ns:keyprov:pskc">
  <${prefix}KeyPackage>
    <${prefix}DeviceInfo><${prefix}SerialNo>987654321</${prefix}SerialNo></${prefix}DeviceInfo>
    <${prefix}Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:${algorithm}">
      <${prefix}AlgorithmParameters>${parameters}</${prefix}AlgorithmParameters>
      <${prefix}Data>${data}</${prefix}Data>
    </${prefix}Key>
  </${prefix}KeyPackage>
</${prefix}KeyContainer>
`;
const KEY = `<Secret><PlainValue>${toBase64(utf8(RAW))}</PlainValue></Secret>`;

describe('token secret in PSKC', () => {
  it('has key, digits and counter', () => {
    const secret = parse('hotp', pskc('hotp', `${KEY}<Counter><PlainValue>1</PlainValue></Counter>`));
    assert.equal(secret.token.counter, 1);
    assert.equal(secret.token.nextCode().reveal(), '94287082');
  });

  it('has the time interval and the hash', () => {
    const text = pskc('totp', `${KEY}<TimeInterval><PlainValue>60</PlainValue></TimeInterval>`, '<Suite>HMAC-SHA256</Suite>');
    const { token } = parse('totp', text);
    assert.equal(token.stepAt(60_000), 1);
    assert.equal(token.codeOfStep(1).reveal(), firstTotp(`sha256:${RAW}`));
  });

  it('is written again with nothing but the counter changed', () => {
    const text = pskc('hotp', `${KEY}<!-- <Counter> --><Counter><PlainValue>41</PlainValue></Counter>`);
    const secret = parse('hotp', text);
    assert.equal(secret.render().reveal(), text);
    secret.token.nextCode();
    assert.equal(secret.render().reveal(), text.replace('>41<', '>42<'));
  });

  it('gets a counter where it had none, in the namespace of its neighbours', () => {
    for (const prefix of ['', 'pskc:']) {
      const key = KEY.replaceAll(/<(\/?)/g, `<$1${prefix}`);
      const secret = parse('hotp', pskc('hotp', key, '', prefix));
      assert.equal(secret.token.nextCode().reveal(), '755224');
      const written = secret.render().reveal();
      assert.ok(written.includes(`<${prefix}Counter><${prefix}PlainValue>1</${prefix}PlainValue></${prefix}Counter></${prefix}Data>`));
      assert.equal(parse('hotp', written).token.counter, 1);
    }
  });

  it('may hold several keys: the first of the mode is taken, and its counter changed', () => {
    const packages = (algorithm: string, counter: number) =>
      pskc(algorithm, `${KEY}<Counter><PlainValue>${counter}</PlainValue></Counter>`).replace(
        /^[\s\S]*?(<KeyPackage>[\s\S]*<\/KeyPackage>)[\s\S]*$/,
        '$1',
      );
    const text = `<KeyContainer>${packages('totp', 3)}${packages('hotp', 4)}${packages('hotp', 5)}</KeyContainer>`;
    const secret = parse('hotp', text);
    assert.equal(secret.token.counter, 4);
    secret.token.nextCode();
    assert.equal(secret.render().reveal(), text.replace('<PlainValue>4<', '<PlainValue>5<'));
  });

  it('is refused where it is encrypted, with what to do', () => {
    const text = pskc('hotp', '<Secret><EncryptedValue><CipherData/></EncryptedValue></Secret>');
    assert.throws(
      () => parse('hotp', text),
      new UnsupportedError('the token secret (PSKC) is encrypted: export it again without encryption'),
    );
  });

  it('is refused where it has no key for the mode, or makes no sense', () => {
    assert.throws(() => parse('totp', pskc('hotp', KEY)), /no key for TOTP/);
    assert.throws(() => parse('hotp', pskc('hotp', '')), /has no key/);
    assert.throws(() => parse('hotp', pskc('hotp', '<Secret><PlainValue>!</PlainValue></Secret>')), /not base64/);
    assert.throws(() => parse('hotp', pskc('hotp', KEY, '<ResponseFormat Length="99" Encoding="DECIMAL"/>')), /code length/);
    assert.throws(() => parse('hotp', pskc('hotp', KEY, '<ResponseFormat Length="8" Encoding="HEXADECIMAL"/>')), /HEXADECIMAL/);
    assert.throws(() => parse('hotp', pskc('hotp', KEY, '<Suite>HMAC-MD5</Suite>')), /HMAC-MD5/);
    assert.throws(() => parse('hotp', pskc('hotp', `${KEY}<Counter><PlainValue>-1</PlainValue></Counter>`)), /counter/);
    assert.throws(() => parse('totp', pskc('totp', `${KEY}<TimeInterval><PlainValue>0</PlainValue></TimeInterval>`)), /time interval/);
    assert.throws(() => parse('hotp', '<a>'.repeat(100)), /nested/);
  });

  it('throws nothing but its own errors, and keeps its counter, whatever the text', () => {
    const pieces = fc.constantFrom(
      ...[
        '<Counter>',
        '</Counter>',
        '<PlainValue>',
        '</PlainValue>',
        '<Data>',
        '</Data>',
        '</Key>',
        '<Key Algorithm="hotp">',
        '<Secret>',
        '</Secret>',
      ],
      ...['7', '&#55;', '<![CDATA[5]]>', '&b;', '<', '>', ' ', '<!--', '-->', '<Counter><PlainValue>', '</PlainValue></Counter>'],
    );
    let good = 0;
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), fc.boolean(), (parts, hasKey) => {
        const middle = parts.join('');
        try {
          const secret = parse('hotp', hasKey ? `<Key><Data>${KEY}${middle}</Data></Key>` : `<${middle}`);
          const counter = secret.token.counter;
          secret.token.nextCode();
          assert.equal(parse('hotp', secret.render().reveal()).token.counter, counter + 1);
          good++;
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
      }),
      { numRuns: 3000 },
    );
    assert.ok(good > 100, `only ${good} texts held a key`);
  });
});

function digitsOf(length: number): string {
  return '1234567890'.repeat(7).slice(0, length);
}
