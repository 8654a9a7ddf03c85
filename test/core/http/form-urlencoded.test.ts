import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError } from '../../../src/core/errors.ts';
import { encodeForm, MAX_FORM_FIELDS, parseForm, percentDecode } from '../../../src/core/http/form-urlencoded.ts';
import { Secret } from '../../../src/core/secret.ts';

describe('a form', () => {
  it('is written as the reference client writes it', () => {
    const fields: [string, string | Secret][] = [
      ['group_list', 'GB'],
      ['username', 'alice'],
      ['password', new Secret('testpass')],
      ['tgroup', 'a b'],
    ];
    assert.equal(encodeForm(fields), 'group_list=GB&username=alice&password=testpass&tgroup=a%20b');
  });

  it('escapes all but unreserved characters, as UTF-8', () => {
    assert.equal(encodeForm([['a&=', "+/'()*!~ü€😀\r\n"]]), 'a%26%3D=%2B%2F%27%28%29%2A%21~%C3%BC%E2%82%AC%F0%9F%98%80%0D%0A');
  });

  it('is read in any dialect', () => {
    assert.deepEqual(parseForm('group%5flist=G+B&&x&y=&=z&pass%20word=1%2b1=2&bad=%zz%4&e=%E2%82%AC'), [
      ['group_list', 'G B'],
      ['x', ''],
      ['y', ''],
      ['', 'z'],
      ['pass word', '1+1=2'],
      ['bad', '%zz%4'],
      ['e', '€'],
    ]);
    assert.deepEqual(parseForm(''), []);
  });

  it('is read back as it was written', () => {
    const text = fc.string({ unit: 'grapheme' });
    const fields = fc.array(fc.tuple(fc.string({ unit: 'grapheme', minLength: 1 }), text), { maxLength: 10 });
    fc.assert(fc.property(fields, (given) => assert.deepEqual(parseForm(encodeForm(given)), given)));
  });

  it('has a limit to its fields', () => {
    assert.equal(parseForm('a&'.repeat(MAX_FORM_FIELDS - 1)).length, MAX_FORM_FIELDS - 1);
    assert.throws(() => parseForm('a&'.repeat(MAX_FORM_FIELDS)), PeerMisbehavedError);
  });
});

describe('percent escapes', () => {
  it('are undone without touching a plus: Base64 in a query keeps it', () => {
    assert.equal(percentDecode('a+b%3D%2b'), 'a+b=+');
  });

  it('that are no UTF-8 become U+FFFD', () => {
    assert.equal(percentDecode('%ff%41'), '\ufffdA');
  });
});
