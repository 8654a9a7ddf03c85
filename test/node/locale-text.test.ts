import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeLocale, encodeExactly, encodeLocale, localeCharset } from '../../src/node/locale-text.ts';

const MODULE = path.resolve(import.meta.dirname, '../../src/node/locale-text.ts');

describe('locale character set', { skip: process.platform === 'win32' && 'the environment does not decide there' }, () => {
  it('is what the first of LC_ALL, LC_CTYPE and LANG names that is not empty', () => {
    assert.equal(localeCharset({ LC_ALL: 'cs_CZ.ISO8859-2', LC_CTYPE: 'ru_RU.KOI8-R', LANG: 'C' }), 'iso-8859-2');
    assert.equal(localeCharset({ LC_ALL: '', LC_CTYPE: 'ru_RU.KOI8-R', LANG: 'C' }), 'koi8-r');
    assert.equal(localeCharset({ LANG: 'en_US.UTF-8' }), 'utf-8');
  });

  it('knows the spellings of C libraries', () => {
    const spellings = {
      'C.utf8': 'utf-8',
      'de_DE@euro': 'iso-8859-15',
      'de_DE.ISO8859-15@euro': 'iso-8859-15',
      'de_DE.ISO-8859-1': 'iso-8859-1',
      'de_DE.iso88591': 'iso-8859-1',
      'cs_CZ.iso88592': 'iso-8859-2',
      'ru_RU.CP1251': 'windows-1251',
      'ru_RU.koi8r': 'koi8-r',
      'ja_JP.eucJP': 'euc-jp',
      'ja_JP.SJIS': 'shift_jis',
      'zh_CN.GB18030': 'gb18030',
      'zh_HK.BIG5-HKSCS': 'big5',
      'th_TH.TIS-620': 'windows-874',
    };
    const found = Object.fromEntries(Object.keys(spellings).map((locale) => [locale, localeCharset({ LC_ALL: locale })]));
    assert.deepEqual(found, spellings);
  });

  it('is US-ASCII in the C locale, UTF-8 where a locale names none', () => {
    assert.equal(localeCharset({}), 'us-ascii');
    assert.equal(localeCharset({ LC_ALL: 'POSIX' }), 'us-ascii');
    assert.equal(localeCharset({ LC_ALL: 'de_DE' }), 'utf-8');
    assert.equal(localeCharset({ LC_CTYPE: 'UTF-8' }), 'utf-8'); // macOS
    assert.equal(localeCharset({ LC_ALL: 'hy_AM.ARMSCII-8' }), 'us-ascii');
  });
});

describe('text in the locale’s character set', () => {
  it('decodes what it is told, and what is wrong there as Latin-1, so that no byte is lost', () => {
    assert.equal(decodeLocale(Uint8Array.of(0xe8, 0xb9), 'iso-8859-2'), 'čš');
    assert.equal(decodeLocale(Uint8Array.of(0xc4, 0x8d), 'utf-8'), 'č');
    assert.equal(decodeLocale(Uint8Array.of(0xe8, 0x21), 'utf-8'), 'è!');
    assert.equal(decodeLocale(Uint8Array.of(0xc4, 0x8d), 'us-ascii'), 'č');
    assert.equal(decodeLocale(Uint8Array.of(0x80, 0xe8), 'iso-8859-1'), '\u0080è');
    assert.equal(decodeLocale(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61), 'utf-8'), '\ufeffa');
  });

  it('encodes what it decodes, in every character set of one or two bytes', () => {
    const texts = {
      'iso-8859-1': 'Größe, naïveté',
      'iso-8859-2': 'Příliš žluťoučký kůň',
      'iso-8859-7': 'Ελληνικά',
      'koi8-r': 'Съешь же ещё',
      'windows-1251': 'Съешь же ещё',
      'euc-jp': '日本語パスワード',
      shift_jis: '日本語パスワード',
      gbk: '密码',
      big5: '密碼',
      'euc-kr': '비밀번호',
      'utf-8': 'ﬁ 😀 日本',
    };
    for (const [charset, text] of Object.entries(texts)) {
      const encoded = encodeExactly(text, charset);
      assert.ok(encoded !== undefined, charset);
      assert.equal(decodeLocale(encoded, charset), text, charset);
    }
    assert.deepEqual(encodeExactly('čš', 'iso-8859-2'), Uint8Array.of(0xe8, 0xb9));
    assert.deepEqual(encodeExactly('日', 'euc-jp'), Uint8Array.of(0xc6, 0xfc));
  });

  it('puts a question mark for a character that the character set does not have', () => {
    assert.equal(Buffer.from(encodeLocale('a → č', 'iso-8859-2')).toString('latin1'), 'a ? \xe8');
    assert.equal(Buffer.from(encodeLocale('čas', 'us-ascii')).toString('latin1'), '?as');
    assert.equal(encodeExactly('→', 'iso-8859-2'), undefined);
  });

  it('keeps every byte of a Latin-1 text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 50 }), (bytes) => {
        assert.deepEqual(Buffer.from(encodeLocale(decodeLocale(bytes, 'iso-8859-1'), 'iso-8859-1')), Buffer.from(bytes));
      }),
    );
  });
});

describe('command line arguments', { skip: process.platform !== 'linux' && 'only Linux tells the bytes' }, () => {
  /** What a child process, started with these bytes as arguments (octal escapes of printf's %b), reads. */
  function argumentsRead(locale: string, escaped: readonly string[], before = ''): string[] {
    const program = `import { localeArguments } from ${JSON.stringify(MODULE)}; ${before}; console.log(JSON.stringify(localeArguments()));`;
    const quoted = escaped.map((each) => `"$(printf '%b' '${each}')"`).join(' ');
    const command = `exec "$0" --no-warnings --input-type=module -e "$1" -- script ${quoted}`;
    const environment = { ...process.env, LC_ALL: locale };
    const output = execFileSync('/bin/sh', ['-c', command, process.execPath, program], { env: environment, encoding: 'utf8' });
    return JSON.parse(output) as string[];
  }

  it('are read in the locale’s character set, which need not be installed', () => {
    assert.deepEqual(argumentsRead('cs_CZ.ISO8859-2', ['--key-password', '\\0350\\0271', '', 'x']), ['--key-password', 'čš', '', 'x']);
    assert.deepEqual(argumentsRead('C.UTF-8', ['\\0304\\0215']), ['č']);
    assert.deepEqual(argumentsRead('C', ['\\0304\\0215', '\\0350']), ['č', 'è']);
  });

  it('are Node’s where the process has another title: that overwrites them', () => {
    assert.deepEqual(argumentsRead('cs_CZ.ISO8859-2', ['a', '\\0350'], 'process.title = "x"'), ['a', '\ufffd']);
  });
});
