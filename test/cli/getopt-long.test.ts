import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Argument, type OptionSyntax, readArguments } from '../../src/cli/getopt-long.ts';

const SYNTAX: readonly OptionSyntax[] = [
  { name: 'authenticate', takesArgument: false },
  { name: 'authgroup', takesArgument: true },
  { name: 'user', short: 'u', takesArgument: true },
  { name: 'useragent', takesArgument: true },
  { name: 'verbose', short: 'v', takesArgument: false },
  { name: 'quiet', short: 'q', takesArgument: false },
  { name: 'quirk', takesArgument: false, exactOnly: true },
];

function read(argv: readonly string[], posixlyCorrect = false): Argument[] {
  return [...readArguments(argv, SYNTAX, { programName: 'openconnect', posixlyCorrect })];
}

/** The short form of a result, as `user=x`, `quiet`, `(operand)`, `!message`. */
function brief(argv: readonly string[], posixlyCorrect = false): string[] {
  return read(argv, posixlyCorrect).map((argument) => {
    if (argument.type === 'operand') return `(${argument.value})`;
    if (argument.type === 'error') return `!${argument.message}`;
    return argument.value === undefined ? argument.name : `${argument.name}=${argument.value}`;
  });
}

describe('getopt_long', () => {
  it('takes a value behind an equals sign, in the next word, or attached to a short option', () => {
    assert.deepEqual(brief(['--user=a', '--user', 'b', '-uc', '-u', 'd', '--user=', '-u=e']), [
      'user=a',
      'user=b',
      'user=c',
      'user=d',
      'user=',
      'user==e',
    ]);
  });

  it('takes the next word as a value whatever it looks like', () => {
    assert.deepEqual(brief(['--user', '--quiet', '-u', '--', '-q']), ['user=--quiet', 'user=--', 'quiet']);
  });

  it('reads clusters, in which an option with a value is the last', () => {
    assert.deepEqual(brief(['-vqux', '-qv', '-vu', 'y']), ['verbose', 'quiet', 'user=x', 'quiet', 'verbose', 'verbose', 'user=y']);
  });

  it('mixes options and operands', () => {
    assert.deepEqual(brief(['one', '-q', 'two', '--verbose']), ['(one)', 'quiet', '(two)', 'verbose']);
  });

  it('ends the options at the first operand if POSIXLY_CORRECT says so', () => {
    assert.deepEqual(brief(['-q', 'one', '-v', '--', 'two'], true), ['quiet', '(one)', '(-v)', '(--)', '(two)']);
  });

  it('ends the options at a double dash, once', () => {
    assert.deepEqual(brief(['-q', '--', '-v', '--', 'x']), ['quiet', '(-v)', '(--)', '(x)']);
  });

  it('takes a single dash and an empty word as operands', () => {
    assert.deepEqual(brief(['-', '']), ['(-)', '()']);
  });

  it('finds an option by a prefix that it has alone', () => {
    assert.deepEqual(brief(['--verb', '--authe', '--userag=x']), ['verbose', 'authenticate', 'useragent=x']);
  });

  it('prefers an exact name to the longer ones that begin with it', () => {
    assert.deepEqual(brief(['--user=x']), ['user=x']);
  });

  it('does not find an option by a prefix that is exact only', () => {
    assert.deepEqual(brief(['--qui', '--quirk']), ['quiet', 'quirk']);
  });

  it('names the possibilities of an ambiguous prefix in their order', () => {
    assert.deepEqual(brief(['--auth']), ["!openconnect: option '--auth' is ambiguous; possibilities: '--authenticate' '--authgroup'"]);
    assert.deepEqual(brief(['--use=x']), ["!openconnect: option '--use=x' is ambiguous; possibilities: '--user' '--useragent'"]);
  });

  it('says what is wrong in the words of the C library', () => {
    assert.deepEqual(brief(['--foo=3']), ["!openconnect: unrecognized option '--foo=3'"]);
    assert.deepEqual(brief(['--verb=3']), ["!openconnect: option '--verbose' doesn't allow an argument"]);
    assert.deepEqual(brief(['--authg']), ["!openconnect: option '--authgroup' requires an argument"]);
    assert.deepEqual(brief(['-u']), ["!openconnect: option requires an argument -- 'u'"]);
    assert.deepEqual(brief(['-vZ']), ['verbose', "!openconnect: invalid option -- 'Z'"]);
  });

  it('goes on after a mistake where C would', () => {
    assert.deepEqual(brief(['-Zq', '--foo', 'x']), [
      "!openconnect: invalid option -- 'Z'",
      'quiet',
      "!openconnect: unrecognized option '--foo'",
      '(x)',
    ]);
  });

  it('reads back any options and operands in any spelling', () => {
    const word = fc.string({ maxLength: 6 });
    const operand = word.map((text) => ({ words: [`x${text}`], means: `(x${text})` }));
    const user = fc.tuple(word, fc.constantFrom('--user=', '--user', '-u', '-vu', '-vu ')).map(([text, spelling]) => {
      const verbose = spelling.startsWith('-v') ? ['verbose'] : [];
      const separate = spelling === '--user' || spelling.endsWith(' ') || (text === '' && !spelling.endsWith('='));
      const words = separate ? [spelling.trim(), text] : [spelling + text];
      return { words, means: [...verbose, `user=${text}`].join(' & ') };
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(operand, user), { maxLength: 8 }), (parts) => {
        assert.equal(brief(parts.flatMap(({ words }) => words)).join(' & '), parts.map(({ means }) => means).join(' & '));
      }),
    );
  });

  it('never throws, whatever the words', () => {
    const words = fc.array(
      fc.oneof(fc.string({ maxLength: 5 }), fc.string({ unit: fc.constantFrom('-', 'u', 'v', '=', 'x', '\u{1f600}') })),
    );
    fc.assert(fc.property(words, fc.boolean(), (argv, posixly) => void read(argv, posixly)));
  });
});
