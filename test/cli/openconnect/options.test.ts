import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { completionLines } from '../../../src/cli/openconnect/completion.ts';
import { helpLines } from '../../../src/cli/openconnect/help.ts';
import { manPage } from '../../../src/cli/openconnect/man-page.ts';
import { isNotBuilt, OPTIONS_NOT_BUILT, PROTOCOLS } from '../../../src/cli/openconnect/not-built.ts';
import { OPTIONS, optionSyntax } from '../../../src/cli/openconnect/options.ts';
import { ownVersion, versionLines } from '../../../src/cli/openconnect/version.ts';
import { run } from './fake-world.ts';

const FACTS = { platform: 'linux', openssl: '3.5.8', defaultScript: '/etc/script' } as const;
const PAGE = path.resolve(import.meta.dirname, '../../../docs/man/sallyport-openconnect.1');

describe('table of options', () => {
  it('has no name and no letter twice', () => {
    const names = OPTIONS.map(({ name }) => name);
    const letters = OPTIONS.flatMap(({ short }) => short ?? []);
    assert.equal(new Set(names).size, names.length);
    assert.equal(new Set(letters).size, letters.length);
    assert.ok(letters.every((letter) => /^[a-zA-Z]$/.test(letter)));
  });

  it('has the letters of openconnect', () => {
    const letters = OPTIONS.flatMap(({ short }) => short ?? []);
    assert.equal(letters.toSorted().join(''), 'CDFPQSUVbcdeghiklmpqsuvx');
  });

  it('leaves out on Windows what only Unix has', () => {
    const windows = optionSyntax('win32').map(({ name }) => name);
    const missing = optionSyntax('linux').filter(({ name }) => !windows.includes(name));
    const expected = ['background', 'csd-user', 'csd-wrapper', 'pid-file', 'script-tun', 'setuid', 'syslog'];
    assert.deepEqual(missing.map(({ name }) => name).toSorted(), expected);
  });

  it('completes the protocols and token modes that exist', () => {
    const choices = (name: string) => {
      const completes = OPTIONS.find((option) => option.name === name)?.completes;
      return completes?.kind === 'choices' ? completes.choices : [];
    };
    assert.deepEqual(
      choices('protocol'),
      PROTOCOLS.filter(({ isBuilt }) => isBuilt).map(({ name }) => name),
    );
    assert.deepEqual(choices('token-mode'), ['totp', 'hotp', 'oidc']);
  });
});

describe('help', () => {
  const help = helpLines(FACTS);

  it('begins as the one of openconnect', () => {
    assert.equal(help[0], 'Usage:  openconnect [options] <server>');
  });

  it('shows every option that is neither hidden nor missing, once, with its letter and argument', () => {
    for (const { name, short, argument, hidden } of OPTIONS) {
      const left = `${short === undefined ? '    ' : `-${short}, `}--${name}${argument === undefined ? '' : `=${argument}`} `;
      const count = help.filter((line) => line.slice(2).startsWith(left)).length;
      assert.equal(count, hidden || isNotBuilt(name) ? 0 : 1, name);
    }
  });

  it('fits a terminal', () => {
    assert.deepEqual(
      help.filter((line) => line.length > 110),
      [],
    );
  });

  it('is what --help prints, with status 1', async () => {
    for (const argv of [['--help'], ['-h', 'x', 'y']]) {
      const { stdout, stderr, status } = await run(argv);
      assert.equal(stdout, `${helpLines({ ...FACTS, defaultScript: '/usr/share/vpnc-scripts/vpnc-script' }).join('\n')}\n`);
      assert.equal(stderr, '');
      assert.equal(status, 1);
    }
  });
});

describe('version', () => {
  const lines = versionLines({ openssl: '3.5.8', defaultScript: '/etc/script', ownVersion: '1.2.3' });

  it('has the four lines of openconnect, and ours', () => {
    assert.deepEqual(lines, [
      'OpenConnect version v9.01',
      'Using OpenSSL 3.5.8. Features present: HOTP software token, TOTP software token, DTLS, ESP',
      'Supported protocols: anyconnect (default), nc, gp, pulse, f5, fortinet, array',
      'Default vpnc-script (override with --script): /etc/script',
      'Sallyport 1.2.3 in the place of OpenConnect',
    ]);
  });

  it('is understood by tools that ask for a release', () => {
    const [, release] = /^OpenConnect version v?([0-9.]+)/.exec(lines[0] ?? '') ?? [];
    assert.ok(Number(release) >= 9.01);
  });

  it('is printed with status 0', async () => {
    const { stdout, status } = await run(['-V']);
    assert.equal(stdout.split('\n')[0], lines[0]);
    assert.equal(status, 0);
  });

  it('knows the version of this package', () => {
    const manifest = JSON.parse(readFileSync(path.resolve(import.meta.dirname, '../../../package.json'), 'utf8')) as { version: string };
    assert.equal(ownVersion(), manifest.version);
  });
});

describe('manual page', () => {
  it('is what the table makes: "node tools/man-pages.ts" writes it', () => {
    assert.equal(readFileSync(PAGE, 'utf8'), manPage());
  });

  it('names every option', () => {
    const page = manPage().replaceAll('\\-', '-');
    for (const { name, short } of OPTIONS) {
      assert.ok(page.includes(`${short === undefined ? '' : `\\fB-${short}\\fR, `}\\fB--${name}\\fR`), name);
    }
  });

  it('has no text that the formatter would take for a command', () => {
    const commands = manPage()
      .split('\n')
      .flatMap((line) => /^[.']\S*/.exec(line) ?? []);
    assert.deepEqual([...new Set(commands)].toSorted(), [
      '.B',
      '.BR',
      '.PP',
      '.RE',
      '.RI',
      '.RS',
      '.SH',
      '.SS',
      '.TH',
      '.TP',
      '.fi',
      '.nf',
    ]);
  });
});

describe('completion', () => {
  it('knows every option', () => {
    const completed = completionLines(['--'], 1, 'linux');
    assert.deepEqual(completed?.toSorted(), OPTIONS.map(({ name }) => `--${name}`).toSorted());
  });

  it('offers what exists only', () => {
    assert.deepEqual(completionLines(['--protocol', ''], 2, 'linux'), ['anyconnect', 'nc', 'gp', 'pulse', 'f5', 'fortinet', 'array']);
    assert.deepEqual(completionLines(['--token-mode='], 1, 'linux'), ['--token-mode=totp', '--token-mode=hotp', '--token-mode=oidc']);
  });

  it('completes an attached value where openconnect fails', () => {
    assert.deepEqual(completionLines(['--script=x'], 1, 'linux'), ['EXECUTABLE', "''", '--script=']);
    assert.deepEqual(completionLines(['--quiet='], 1, 'linux'), []);
  });

  it('has nothing for a word that is not there', () => {
    for (const index of [0, 2, -1, Number.NaN]) assert.equal(completionLines(['x'], index, 'linux'), undefined);
  });
});

describe('what does not exist yet', () => {
  it('says so, with status 1 and without the help', async () => {
    for (const [name, message] of Object.entries(OPTIONS_NOT_BUILT)) {
      const argument = OPTIONS.find((option) => option.name === name)?.argument === undefined ? [] : ['x'];
      const result = await run([`--${name}`, ...argument, 'vpn.example']);
      assert.deepEqual(result, { stdout: '', stderr: `${message}\n`, status: 1 });
      assert.match(message, /does not exist yet/);
    }
  });

  it('says so for protocols and token modes', async () => {
    const { stderr } = await run(['--protocol=NullPPP', 'vpn.example']);
    assert.equal(stderr, '--protocol=nullppp does not exist yet in Sallyport.\n');
    for (const mode of ['rsa', 'YubiOATH']) assert.match((await run(['--token-mode', mode, 'x'])).stderr, /does not exist yet/);
  });

  it('takes what is harmless', async () => {
    const argv = ['--gnutls-debug=9', '-Q16', '--force-trojan=60', '--no-external-auth', '--protocol=AnyConnect', 'vpn.example'];
    assert.deepEqual(await run(argv), { stdout: '', stderr: '', status: undefined });
  });
});
