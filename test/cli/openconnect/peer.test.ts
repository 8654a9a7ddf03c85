/**
 * The real openconnect and ours, given the same command lines: what they print before they would connect, and their exit status. The servers
 * named here are none (`ftp://` is refused), so that the peer never connects.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { OPTIONS, optionSyntax } from '../../../src/cli/openconnect/options.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { type CommandResult, type FakeWorldOptions, run } from './fake-world.ts';

const TIMEOUT_MS = 10_000;
let folder = '';

function runPeer(argv: readonly string[], options: FakeWorldOptions = {}): CommandResult {
  writeFileSync(path.join(folder, 'stdin'), options.input ?? '');
  const stdin = openSync(path.join(folder, 'stdin'), 'r'); // not a pipe: the peer may leave before all is written
  const { status, stdout, stderr, error } = spawnSync('openconnect', argv, {
    stdio: [stdin, 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...options.environment },
    encoding: 'utf8',
    timeout: TIMEOUT_MS,
  });
  closeSync(stdin);
  if (error !== undefined) throw error;
  return { status: status ?? undefined, stdout, stderr };
}

/** What has to be the same: standard error, the status, and the first line of standard output. */
function comparable({ stdout, stderr, status }: CommandResult) {
  return {
    status,
    stderr: stderr
      .replace(/^fgets \(stdin\): .*$/gm, 'fgets (stdin): ...') // the peer ends it with a stale errno
      .replace(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] /gm, '[time] '),
    stdout: stdout.split('\n', 1)[0]?.replace(/^(OpenConnect version v[\d.]+).*/, '$1'),
  };
}

async function assertSame(argv: readonly string[], options: FakeWorldOptions = {}): Promise<void> {
  const [ours, theirs] = [await run(argv, options), runPeer(argv, options)];
  assert.deepEqual(comparable(ours), comparable(theirs), `openconnect ${argv.map((word) => `'${word}'`).join(' ')}`);
}

/** Options about which we say something else on purpose. */
const DIFFERENT = [
  'libproxy',
  'external-browser',
  'juniper',
  'gnutls-priority',
  'no-http-keepalive',
  'allow-insecure-crypto',
  'dtls-local-port',
];
const COMMON = optionSyntax('linux').filter(({ name, exactOnly }) => exactOnly !== true && !DIFFERENT.includes(name));

/** Values that matter to some option; whatever option gets them, both sides have to say the same. */
const VALUES = [
  '',
  'x',
  '0',
  '100',
  '576',
  '-5',
  '12x',
  'nc',
  'ALL',
  'off',
  'none',
  'linux',
  'Linux',
  'android',
  'nobody',
  '0x',
  'a:b',
  'a:b=c',
  'a=b',
];

describe('command line, compared with openconnect', { skip: missing('openconnect') }, () => {
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-cli-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('agrees about numbers of servers', async () => {
    for (const argv of [[], ['a', 'b'], ['--server=a', 'b'], ['--server', 'a', '--', '-b'], ['--'], ['-q']]) await assertSame(argv);
  });

  it('agrees about every option without its argument, and with one it must not have', async () => {
    for (const { name, takesArgument } of COMMON) await assertSame(takesArgument ? [`--${name}`] : [`--${name}=x`]);
  });

  it('agrees about every option with many values', { timeout: HANG_LIMIT }, async () => {
    const values = sized(['', '0', '100', 'x'], VALUES);
    for (const { name } of COMMON.filter(({ takesArgument, name }) => takesArgument && !['protocol', 'config'].includes(name))) {
      // The peer takes an empty user for root; and a server alone is one to connect to.
      const harmless =
        name === 'server' ? ['ftp://x', 'x:0'] : values.filter((text) => text !== '' || (!name.endsWith('user') && name !== 'setuid'));
      for (const value of harmless) await assertSame([`--${name}`, value]);
    }
  });

  it('agrees about the beginnings of every name', async () => {
    const beginnings = new Set(COMMON.flatMap(({ name }) => [name.slice(0, 1), name.slice(0, 2), name.slice(0, 4), name.slice(0, -1)]));
    for (const beginning of sized([...beginnings].slice(0, 60), [...beginnings])) await assertSame([`--${beginning}`, '-Z']);
  });

  it('agrees about every letter', async () => {
    const letters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
    for (const letter of letters.filter((one) => one !== '-' && one !== 'l')) await assertSame([`-${letter}`]);
  });

  it('agrees about values that are right, wrong and odd', async () => {
    const lines = [
      '--protocol=zz',
      '--protocol=',
      '--protocol=ANYCONNECT',
      '--resolve=x',
      '-F x -q',
      '-F a:b',
      '-F a=b:c',
      '-F a:=c',
      '--os=Win',
      '--token-mode=zz',
      '--token-mode=TOTP ftp://x',
      '--compression=All',
      '-U nosuchuser',
      '-U 4294967',
      '--csd-user=nosuchuser',
      '--no-cert-check',
      '-m 100 --base-mtu=7 -Q0 --nosuch',
      '-m -1 -Q abc',
      '-P socks4://x ftp://y',
      '-P HTTP://x ftp://y',
      '-P zz://x ftp://y',
      '-P x:99999 ftp://y',
      '-P http://x:0 ftp://y',
      '--timestamp -P zz://x ftp://y',
      '--timestamp ftp://y',
      'http://x',
      'HTTPS://x',
      'ftp://x',
      'x:',
      'x:0',
      'x:65536',
      'x:-1/y',
      'https://x:99999/y:1',
      '-V --nosuch',
      '--nosuch -V',
      '-qhV',
      '-x /nonexistent ftp://x',
      '--server ftp://x --nosuch',
      '--timestamp --server http://x -V',
      '--server http://x --timestamp -V',
      '--server x --server y z',
      '--timestamp -x /nonexistent ftp://x',
    ];
    for (const line of lines) await assertSame(line.split(' '));
  });

  it('agrees about proxies in the environment', async () => {
    for (const argv of [['ftp://y'], ['--no-proxy', 'ftp://y'], ['-P', 'socks4://x', 'ftp://y']]) {
      await assertSame(argv, { environment: { https_proxy: 'zz://x' } });
    }
    await assertSame(['ftp://y'], { environment: { HTTPS_PROXY: 'zz://x' } });
  });

  it('agrees about POSIXLY_CORRECT', async () => {
    await assertSame(['ftp://x', '--nosuch'], { environment: { POSIXLY_CORRECT: '' } });
    await assertSame(['-q', 'ftp://x'], { environment: { POSIXLY_CORRECT: '1' } });
  });

  it('agrees about lines of standard input', async () => {
    for (const input of ['', 'x', '\n', 'x\ny\n', 'x\n\n']) {
      await assertSame(['--passwd-on-stdin', 'ftp://x'], { input });
      await assertSame(['--cookie-on-stdin', '--passwd-on-stdin', '--nosuch'], { input });
    }
  });

  it('agrees about configuration files', async () => {
    const files = [
      'quiet\nmtu=100\n',
      'mtu = 100 \r\nos=x \r\n',
      'os = = x',
      '#x\n\n nosuch=y',
      'quiet=\n',
      'quiet \nuser',
      'user = \n',
      'config=x',
      'config',
      'passwd-on-stdin\nnosuch',
      'server=ftp://x\n',
      'version',
      'help\n',
      'os=a#b\n',
      'mt=1',
    ];
    for (const [i, text] of files.entries()) {
      const file = path.join(folder, String(i));
      writeFileSync(file, text);
      await assertSame(['-Q', '0', '--config', file], { input: 'line\n' });
      await assertSame(['--config', file, '--config', file, 'ftp://y'], { input: 'line\nline\n' });
    }
    for (const file of ['/nonexistent', '', folder]) await assertSame(['--config', file]);
  });

  it('agrees about profiles', async () => {
    const file = path.join(folder, 'profile.xml');
    const host = '<HostName>Work</HostName><HostAddress>127.0.0.1:1</HostAddress><UserGroup>grp</UserGroup>';
    writeFileSync(file, `<AnyConnectProfile><ServerList><HostEntry>${host}</HostEntry></ServerList></AnyConnectProfile>`);
    for (const argv of [
      ['-x', file, 'Work'],
      ['-qx', file, 'Work'],
      ['-x', file, 'ftp://work'],
      ['-x', path.join(folder, '0'), 'ftp://work'],
    ]) {
      const [ours, theirs] = [await run(argv), runPeer(argv)];
      const about = ({ stdout, stderr }: CommandResult) =>
        `${stdout}${stderr}`.split('\n').filter((line) => /^(Host|Treating|Failed to parse)/.test(line));
      assert.deepEqual(about(ours), about(theirs));
    }
  });

  it('agrees about any mixture', { timeout: sized(HANG_LIMIT, 900_000) }, async () => {
    const value = fc.constantFrom(...VALUES);
    const option = fc
      .tuple(
        fc.constantFrom(
          ...COMMON.filter(
            ({ name }) =>
              !['config', 'setuid', 'csd-user', 'protocol', 'token-mode', 'proxy', 'server', 'key-password-from-fsid'].includes(name),
          ),
        ),
        value,
      )
      .chain(([{ name, short, takesArgument }, text]) => {
        const long = takesArgument ? [[`--${name}=${text}`], [`--${name}`, text]] : [[`--${name}`]];
        const clusters = short === undefined ? [] : takesArgument ? [[`-v${short}`, text], [`-${short}${text}`]] : [[`-${short}v`]];
        return fc.constantFrom(...long, ...clusters);
      });
    const odd = fc.constantFrom(
      ['ftp://x'],
      ['--'],
      ['-'],
      ['-vZ'],
      ['--auth'],
      ['--no-dt'],
      ['--nosuch=x'],
      ['--verb=1'],
      ['x'],
      ['ftp://y'],
    );
    const argvs = fc
      .array(fc.oneof({ weight: 4, arbitrary: option }, { weight: 1, arbitrary: odd }), { maxLength: 6 })
      .map((words) => words.flat());
    // A lone "x", "-" or "" would be a server that the peer tries to reach.
    const tame = argvs.map((argv) => ['ftp://x', ...argv]);
    const property = fc.asyncProperty(tame, async (argv) => assertSame(argv, { input: 'one\ntwo\nthree\n' }));
    await fc.assert(property, { numRuns: sized(150, 3000) });
  });

  it('completes what the peer completes', async () => {
    const complete = (word: number, ...words: string[]) => {
      const environment = { COMP_CWORD: String(word) };
      return [words, environment] as const;
    };
    const cases = [
      complete(1, ''),
      complete(1, 'a'),
      complete(1, '-c'),
      complete(1, '--compr'),
      complete(1, '--user'),
      complete(1, '--bogus'),
      complete(1, '-Z'),
      complete(1, '-qv'),
      complete(1, '-vc'),
      complete(1, '-sx'),
      complete(1, '-cfoo'),
      complete(1, '--certificate='),
      complete(1, '--comp=a'),
      complete(1, '--token-secret=@/x'),
      complete(1, '--user='),
      complete(2, '--compr', ''),
      complete(2, '--compression', 's'),
      complete(2, '--os', ''),
      complete(2, '--os', 'l'),
      complete(2, '-q', ''),
      complete(2, '--', '-'),
      complete(2, 'host', '--au'),
      complete(2, '-vs', ''),
      complete(2, '-u', '-'),
      complete(2, '--token-secret', '@'),
      complete(2, '--token-secret', 'x'),
      complete(3, '-c', 'x', ''),
      complete(3, '-c', 'x', '--v'),
      complete(1, '-c', 'x'),
      complete(3, '--server', 'h', ''),
      complete(0, 'x'),
      complete(5, '-c'),
      ...OPTIONS.filter(
        ({ name, argument }) => argument !== undefined && !['protocol', 'token-mode', 'openssl-ciphers', 'sni'].includes(name),
      ).map(({ name }) => complete(2, `--${name}`, '')),
    ];
    for (const [words, environment] of cases) {
      const argv = ['--autocomplete', ...words];
      assert.deepEqual(await run(argv, { environment }), runPeer(argv, { environment }), argv.join(' '));
    }
  });

  it('completes every option that the peer completes', async () => {
    const options = { environment: { COMP_CWORD: '1' } };
    const [ours, theirs] = [await run(['--autocomplete', '--'], options), runPeer(['--autocomplete', '--'], options)];
    assert.ok(ours.stdout.startsWith(theirs.stdout), 'ours come after theirs');
  });

  it('speaks of completion only where the shell asks for it', async () => {
    await assertSame(['--autocomplete', 'x']);
    await assertSame(['--autocomplete'], { environment: { COMP_CWORD: '1' } });
    await assertSame(['-q', '--autocomplete', 'x'], { environment: { COMP_CWORD: '1' } });
  });
});
