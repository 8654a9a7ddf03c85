/**
 * The real openconnect and our command as the programs that they are, given the same command lines: both streams, the exit status, and that no signal
 * ended them. Nobody listens at the server named here.
 */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { shellQuoted } from '../../../src/cli/openconnect/authenticate-output.ts';
import { assertBuilt, DROP_IN } from '../../support/drop-in.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const NOWHERE = '127.0.0.1:1';
const TIMEOUT_MS = 20_000;
let folder = '';

function runAs(command: readonly string[], argv: readonly string[], input: string): SpawnSyncReturns<string> {
  const [program = '', ...leading] = command;
  const result = spawnSync(program, [...leading, ...argv], {
    input,
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
    env: { PATH: process.env.PATH },
  });
  // It may have left before it read its input.
  if (result.error !== undefined && (result.error as NodeJS.ErrnoException).code !== 'EPIPE') throw result.error;
  return result;
}

/** The help is ours, and so are the lines of the version after its first. */
function comparable({ stdout, stderr, status, signal }: SpawnSyncReturns<string>) {
  return {
    signal,
    status,
    stderr,
    stdout: stdout.replace(/^Usage: {2}openconnect[\s\S]*/m, '[usage]').replace(/^(OpenConnect version v[\d.]+)[\s\S]*/, '$1'),
  };
}

const LINES: readonly { readonly argv: readonly string[]; readonly input?: string }[] = [
  { argv: [] },
  { argv: ['--help'] },
  { argv: ['--version'] },
  { argv: ['a', 'b'] },
  { argv: ['--nosuch', NOWHERE] },
  { argv: ['--quiet=1', NOWHERE] },
  { argv: ['--protocol=zz', NOWHERE] },
  { argv: ['--config', '/nonexistent', NOWHERE] },
  { argv: ['--setuid', 'nosuchuser', NOWHERE] },
  { argv: ['--os=x', NOWHERE] },
  { argv: ['--no-cert-check', NOWHERE] },
  { argv: ['http://x'] },
  { argv: [NOWHERE] },
  { argv: ['-q', NOWHERE] },
  { argv: ['[::1]:1'] },
  { argv: ['https://127.0.0.1:1/path?query'] },
  { argv: ['--usergroup', 'group', NOWHERE] },
  { argv: ['-m', '100', '-Q', '0', NOWHERE] },
  { argv: ['--cookie', 'x', NOWHERE] },
  { argv: ['--cookie', 'x', '[::1]:1'] },
  { argv: ['--cookie-on-stdin', NOWHERE], input: 'x\n' },
  { argv: ['--passwd-on-stdin', '--authenticate', NOWHERE], input: 'x\n' },
  { argv: ['--cookieonly', NOWHERE] },
  { argv: ['--background', NOWHERE] },
  { argv: ['--proxy', NOWHERE, 'vpn.example'] },
  { argv: ['--proxy', 'zz://x', NOWHERE] },
  { argv: ['--token-mode=totp', NOWHERE] },
  { argv: ['--token-mode=hotp', '--token-secret=0xzz', NOWHERE] },
  { argv: ['--token-mode=totp', '--token-secret=@/nonexistent', NOWHERE] },
  { argv: ['--servercert', 'pin-sha256:AAAA', '--resolve', 'vpn.example:127.0.0.1', 'vpn.example:1'] },
];

describe('the command, compared with openconnect', { skip: missing('openconnect'), timeout: HANG_LIMIT }, () => {
  let command: readonly string[] = [];

  before(() => {
    assertBuilt();
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-peer-'));
    const [node, script] = DROP_IN;
    const link = path.join(folder, 'openconnect');
    symlinkSync(script ?? '', link);
    command = [node, link];
  });
  after(() => rmSync(folder, { recursive: true }));

  it('speaks the character set of the locale, as it is spoken to', () => {
    const spoken = (locale: string, bytes: string) => {
      const shell = `${command.map(shellQuoted).join(' ')} "--os=$(printf '${bytes}')" x`;
      const { stderr } = spawnSync('sh', ['-c', shell], { env: { PATH: process.env.PATH, LC_ALL: locale } });
      return stderr.toString('latin1').split('\n', 1)[0];
    };
    assert.equal(spoken('cs_CZ.ISO8859-2', '\\350\\271'), 'Invalid OS identity "\xe8\xb9"');
    assert.equal(spoken('C.UTF-8', '\\304\\215'), 'Invalid OS identity "\xc4\x8d"');
    assert.equal(spoken('C', '\\304\\215'), 'Invalid OS identity "?"'); // observed: so says openconnect
  });

  it('runs in a folder that is gone', () => {
    const nowhere = ['sh', '-c', 'cd "$(mktemp -d)" && rmdir "$PWD" && exec "$@"', 'sh'];
    const [ours, theirs] = [command, ['openconnect']].map((one) => comparable(runAs([...nowhere, ...one], ['--cookie', 'x', NOWHERE], '')));
    assert.deepEqual(ours, theirs);
  });

  for (const { argv, input = '' } of LINES) {
    it(`says and does the same for "openconnect ${argv.join(' ')}"`, () => {
      const ours = runAs(command, argv, input);
      assert.equal(ours.signal, null);
      assert.ok(ours.status !== null && ours.status <= 2, `status ${ours.status}`);
      assert.deepEqual(comparable(ours), comparable(runAs(['openconnect'], argv, input)));
    });
  }
});
