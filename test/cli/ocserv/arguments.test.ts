import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { type OcservCommandLine, parseOcservArguments } from '../../../src/cli/ocserv/arguments.ts';
import { noConfigText } from '../../../src/cli/ocserv/test-config.ts';
import { missing } from '../../support/requirements.ts';

function parse(...argv: readonly string[]): OcservCommandLine {
  return parseOcservArguments(argv, { programName: 'ocserv', posixlyCorrect: false, openssl: '3.5.0', ownVersion: '9.9.9' });
}

const NOTHING = { testsConfig: false, foreground: false, changesFolder: true, traceable: false };

describe('the command line of ocserv', () => {
  it('is read as getopt_long does', () => {
    assert.deepEqual(parse(), { type: 'run', options: NOTHING, said: '' });
    assert.deepEqual(parse('-ftx', '-d9', '-c', 'a.conf', '--pid=/run/p', '--no-chdir'), {
      type: 'run',
      options: {
        testsConfig: true,
        foreground: true,
        changesFolder: false,
        traceable: true,
        debugLevel: 9,
        configFile: 'a.conf',
        pidFile: '/run/p',
      },
      said: '',
    });
  });

  it('takes any debug level for one from 0 to 9', () => {
    const level = (text: string) => {
      const line = parse('-d', text);
      return line.type === 'run' ? line.options.debugLevel : undefined;
    };
    assert.deepEqual(['3', '12', 'x', '-3', '4x'].map(level), [3, 9, 0, 0, 4]);
  });

  it('says its version with the one it stands for first', () => {
    const { said } = parse('-v');
    assert.match(
      said,
      /^ocserv 1\.1\.6\n\nCompiled with: .*AnyConnect\nOpenSSL version: 3\.5\.0\nSallyport 9\.9\.9 in the place of ocserv\n$/,
    );
  });
});

describe('the command line, compared with ocserv', { skip: missing('ocserv') }, () => {
  const NO_CONFIG = '/nonexistent/ocserv.conf';

  /** What ocserv says up to where it reads its configuration, which is not there. */
  function theirs(argv: readonly string[]): { said: string; stdout: string; status: number | null } {
    const { stderr, stdout, status } = spawnSync('ocserv', ['-c', NO_CONFIG, ...argv], {
      encoding: 'utf8',
      timeout: 60_000,
      env: { PATH: `${process.env.PATH}:/usr/sbin`, LC_ALL: 'C.UTF-8' },
    });
    return { said: stderr, stdout, status };
  }

  function ours(argv: readonly string[]): { said: string; stdout: string; status: number | null } {
    const line = parse('-c', NO_CONFIG, ...argv);
    if (line.type === 'leave') return { said: line.said, stdout: '', status: line.status };
    return { said: line.said + noConfigText(line.options.configFile, 'ocserv'), stdout: '', status: 1 };
  }

  const LINES: readonly (readonly string[])[] = [
    [],
    ['-z'],
    ['--bad'],
    ['extra'],
    ['-t', 'extra'],
    ['-t', '--', 'x'],
    ['-d'],
    ['-d', '12', '-t'],
    ['--no'],
    ['--no-chdir=3'],
    ['--n'],
    ['-ft', '-x'],
    ['-p'],
    ['--pid-file'],
    ['-zy', '--what=ever'],
    ['--'],
    ['--test=3'],
  ];
  for (const argv of LINES) {
    it(`says the same, on the same stream, with the same status: ${argv.join(' ') || '(nothing)'}`, () => {
      assert.deepEqual(ours(argv), theirs(argv));
    });
  }

  it('lists the same options in the same words', () => {
    const options = (text: string) => /^Usage:.*?\n\n(.*?)\n\n/ms.exec(text)?.[1];
    for (const argv of [['-h'], ['-z', '--help', 'extra']]) {
      const [we, they] = [ours(argv), theirs(argv)];
      assert.ok(options(they.said) !== undefined);
      assert.equal(options(we.said), options(they.said));
      assert.deepEqual([we.status, we.stdout], [they.status, they.stdout]);
    }
  });

  it('begins its version with the same line, whatever follows', () => {
    for (const argv of [['-v'], ['extra', '--version'], ['-v', '-h']]) {
      const [we, they] = [ours(argv), theirs(argv)];
      assert.equal(we.said.split('\n')[0], they.said.split('\n')[0]);
      assert.deepEqual([we.status, we.stdout], [they.status, they.stdout]);
    }
  });
});
