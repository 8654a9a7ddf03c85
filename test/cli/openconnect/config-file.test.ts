import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readConfigLines } from '../../../src/cli/openconnect/config-file.ts';

const SYNTAX = [
  { name: 'user', takesArgument: true },
  { name: 'quiet', takesArgument: false },
] as const;

function brief(text: string): string[] {
  return [...readConfigLines(text, SYNTAX)].map((line) => {
    if (line.type === 'error') return `!${line.message}`;
    return line.value === undefined ? line.name : `${line.name}=${line.value}`;
  });
}

describe('configuration file', () => {
  it('takes a value after blanks, an equals sign, or both', () => {
    assert.deepEqual(brief('user=a\nuser b\nuser = c\nuser\t=\td\n  user=e'), ['user=a', 'user=b', 'user=c', 'user=d', 'user=e']);
  });

  it('takes no more than one equals sign away', () => {
    assert.deepEqual(brief('user==x\nuser = = x'), ['user==x', 'user== x']);
  });

  it('keeps blanks at the end, hashes and quotes', () => {
    assert.deepEqual(brief('user=x # "y" \n'), ['user=x # "y" ']);
  });

  it('skips empty lines and comments, and counts them', () => {
    assert.deepEqual(brief('\n  # one\n \t \nquiet\nnosuch=x\n'), ['quiet', "!Unrecognised option at line 5: 'nosuch=x'"]);
  });

  it('reads lines that end in carriage return and line feed', () => {
    assert.deepEqual(brief('user=x\r\nquiet\r\n'), ['user=x', 'quiet']);
  });

  it('wants the full name: no prefix, no short name, no dashes, no other case', () => {
    assert.deepEqual(brief('use=x\nu x\n--user=x\nUser=x\n=x'), [
      "!Unrecognised option at line 1: 'use=x'",
      "!Unrecognised option at line 2: 'u'",
      "!Unrecognised option at line 3: '--user=x'",
      "!Unrecognised option at line 4: 'User=x'",
      "!Unrecognised option at line 5: '=x'",
    ]);
  });

  it('wants a value where there must be one, and an empty one is none', () => {
    assert.deepEqual(
      brief('user\nuser=\nuser = '),
      [1, 2, 3].map((line) => `!Option 'user' requires an argument at line ${line}`),
    );
  });

  it('wants no value where there must be none, not even an empty one', () => {
    const refused = [2, 3, 4].map((line) => `!Option 'quiet' does not take an argument at line ${line}`);
    assert.deepEqual(brief('quiet \nquiet=\nquiet x\nquiet = '), ['quiet', ...refused]);
  });

  it('reads back any options and values however they are written', () => {
    const value = fc.string({ minLength: 1 }).filter((text) => /^[^ \t=\r\n\0][^\r\n\0]*$/.test(text));
    const user = fc
      .tuple(value, fc.constantFrom('', ' ', '\t'), fc.constantFrom('=', ' ', ' = ', '\t', '= '))
      .map(([text, indent, joint]) => ({ line: `${indent}user${joint}${text}`, means: `user=${text}` }));
    const others = fc.constantFrom({ line: '  quiet ', means: 'quiet' }, { line: '', means: '' }, { line: ' #x', means: '' });
    fc.assert(
      fc.property(fc.array(fc.oneof(user, others)), fc.constantFrom('\n', '\r\n'), (parts, end) => {
        assert.deepEqual(
          brief(parts.map(({ line }) => line).join(end)),
          parts.map(({ means }) => means).filter((means) => means !== ''),
        );
      }),
    );
  });

  it('never throws, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('user', 'quiet', ' ', '=', '\n', '\r', '#', '\0', 'é') }), (text) => void brief(text)),
    );
  });
});
