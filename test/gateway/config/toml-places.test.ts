import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parse } from 'smol-toml';
import { type TomlPath, TomlPlaces } from '../../../src/gateway/config/toml-places.ts';

const DOCUMENTED = readFileSync(path.resolve(import.meta.dirname, '../../../docs/gateway.toml'), 'utf8');

/** All paths of a value and what is in it. */
function pathsOf(value: unknown, at: TomlPath = []): TomlPath[] {
  if (Array.isArray(value)) return [at, ...value.flatMap((member, i) => pathsOf(member, [...at, i]))];
  if (typeof value !== 'object' || value === null) return [at];
  return [...(at.length === 0 ? [] : [at]), ...Object.entries(value).flatMap(([key, member]) => pathsOf(member, [...at, key]))];
}

describe('places in TOML', () => {
  it('are those of every key of the documented file', () => {
    const places = new TomlPlaces(DOCUMENTED);
    const lines = DOCUMENTED.split('\n');
    const paths = pathsOf(parse(DOCUMENTED));
    assert.ok(paths.length > 80);
    for (const at of paths) {
      const { line, column = 0 } = places.of(at);
      const key = at.findLast((part) => typeof part === 'string') ?? '';
      const rest = lines[line - 1]?.slice(column - 1) ?? '';
      const isMember = typeof at.at(-1) === 'number';
      assert.ok(
        isMember || rest.startsWith(key) || rest.startsWith(`"${key}"`) || /^\[+[^\]]*\]/.exec(rest)?.[0].includes(key),
        `${at.join('.')} at ${line}:${column}: ${rest}`,
      );
    }
  });

  it('are found behind strings with brackets, quotes and line ends', () => {
    const text =
      'a = "[ \\" # ="\nb = """\n[x]\ny = 1"""\nc = \'\'\'\'q\'\'\'\'\n[t] # c\n"d.e" = [1, # ]\n  { f = "}", g.h = 2 }]\n[[l]]\n[[l]]\ni = 1\n';
    const values = parse(text);
    const places = new TomlPlaces(text);
    const lineOf = (...at: TomlPath) => places.of(at).line;
    assert.equal(values.b, '[x]\ny = 1');
    assert.deepEqual([lineOf('a'), lineOf('b'), lineOf('c'), lineOf('t')], [1, 2, 5, 6]);
    assert.deepEqual([lineOf('t', 'd.e', 0), lineOf('t', 'd.e', 1), lineOf('t', 'd.e', 1, 'g', 'h')], [7, 8, 8]);
    assert.deepEqual([lineOf('l', 0), lineOf('l', 1), lineOf('l', 1, 'i')], [9, 10, 11]);
    assert.deepEqual(places.of(['l', 1, 'missing']), { line: 10, column: 1 });
    assert.deepEqual(places.of(['missing']), { line: 0 });
  });

  it('come to an end for any text', () => {
    const piece = fc.constantFrom('[', ']', '{', '}', '=', '"', "'", '"""', ',', '#', '\n', 'a', '.', ' ', '\\');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        new TomlPlaces(pieces.join(''));
      }),
      { numRuns: 500 },
    );
  });
});
