import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseOcctlJson } from './occtl.ts';

describe('parseOcctlJson', () => {
  it('reads a session with the comma that 1.1.6 leaves behind its last member', () => {
    const text = '[\n  {\n    "Session":  "KIweyM",\n    "in_use":  1,\n  }\n]\n';
    assert.deepEqual(parseOcctlJson(text), [{ Session: 'KIweyM', in_use: 1 }]);
  });

  it('reads any JSON as it is, commas and brackets in strings too', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => assert.deepEqual(parseOcctlJson(JSON.stringify(value)), JSON.parse(JSON.stringify(value)))),
    );
    assert.deepEqual(parseOcctlJson('{"a": "x,}", "b": "\\",]",}'), { a: 'x,}', b: '",]' });
  });
});
