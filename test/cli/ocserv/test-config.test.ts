import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { configFileOf, testConfig } from '../../../src/cli/ocserv/test-config.ts';
import { ConfigFolder, VECTOR_NAMES } from '../../gateway/config/config-folder.ts';
import { missing } from '../../support/requirements.ts';

let folder: ConfigFolder;

before(async () => {
  folder = await ConfigFolder.make();
});

after(() => folder[Symbol.dispose]());

function theirTest(file: string): { status: number | null; text: string } {
  const { stderr, stdout, status } = spawnSync('ocserv', ['--test-config', '--config', file], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: `${process.env.PATH}:/usr/sbin`, LC_ALL: 'C.UTF-8' },
  });
  assert.equal(stdout, '');
  return { status, text: stderr };
}

describe('--test-config', () => {
  it('ends with 0 for a configuration that starts, and says what does nothing', async () => {
    const { status, text } = await testConfig(folder.vector('debian-sample'));
    assert.equal(status, 0);
    assert.match(text, /^warning: .*debian-sample\.conf:11: 'isolate-workers' has no effect here: /m);
  });

  it('ends with 1 for workers that cannot run as who they are to, and says the lines', async () => {
    const text = readFileSync(folder.vector('minimal'), 'utf8');
    const file = folder.write('accounts.conf', `run-as-user = no-such-user\nrun-as-group = no-such-group\n${text}`);
    const test = await testConfig(file);
    assert.equal(test.status, 1);
    assert.ok(test.text.includes(`error: ${file}:1: unknown user: no-such-user\n`), test.text);
    assert.ok(test.text.includes(`error: ${file}:2: unknown group: no-such-group\n`), test.text);
    const numbers = folder.write('numbers.conf', `run-as-user = 65534\nrun-as-group = 65534\n${text}`);
    assert.equal((await testConfig(numbers)).status, 0);
  });

  it('ends with 1 for any other, and says all that is wrong, with lines', async () => {
    const file = folder.write('wrong.conf', 'auth = foo\nroute = 10.0.0.0\ndevice = vpns\n');
    const { status, text } = await testConfig(file);
    assert.equal(status, 1);
    assert.ok(text.startsWith(`error: ${file}:1: vhost:default: unknown or unsupported auth method: foo\n`), text);
    assert.ok(text.includes(`error: ${file}:2: route '10.0.0.0' in wrong format`));
    assert.ok(text.includes(`error: ${file}: the tcp-port option is mandatory!\n`));
  });

  it('looks at the certificate and its key', async () => {
    const minimal = 'auth = pam\ntcp-port = 1\nsocket-file = /s\ndevice = v\nipv4-network = 10.0.0.0/24\n';
    const pair = (certificate: string, key: string) =>
      testConfig(folder.write('pair.conf', `${minimal}server-cert = @FOLDER@/${certificate}\nserver-key = @FOLDER@/${key}\n`));
    assert.equal((await pair('server-cert.pem', 'server-key.pem')).status, 0);
    assert.match(
      (await pair('none.pem', 'server-key.pem')).text,
      /^error: .*pair\.conf:6: cannot open file '.*none\.pem' \(the certificate\): No such file/m,
    );
    assert.match((await pair('server-key.pem', 'server-key.pem')).text, /^error: .*is no certificate in PEM/m);
    assert.match((await pair('server-cert.pem', 'server-cert.pem')).text, /^error: .*pair\.conf:6: .*is no private key in PEM/m);
    assert.match((await pair('ca.pem', 'server-key.pem')).text, /^error: .*does not belong to/m);
  });

  it('takes the file that is named, or none', () => {
    const file = folder.vector('minimal');
    assert.equal(configFileOf(file), file);
    assert.equal(configFileOf('/nonexistent/ocserv.conf'), undefined);
    assert.equal(configFileOf(''), undefined);
  });
});

describe('--test-config, compared with ocserv', { skip: missing('ocserv') }, () => {
  /**
   * In any order, each once: we read a file to its end before we judge it. Observed: ocserv writes one colon too many for virtual hosts, and repeats
   * what it says of their names for each key.
   */
  const notes = (text: string) => [...new Set((text.match(/^note: .*$/gm) ?? []).map((line) => line.replace(': : ', ': ')))].toSorted();

  for (const name of VECTOR_NAMES) {
    it(`understands the same of ${name}`, async () => {
      const file = folder.vector(name);
      const [ours, theirs] = [await testConfig(file), theirTest(file)];
      assert.deepEqual([ours.status, theirs.status], [0, 0]);
      assert.deepEqual(notes(ours.text), notes(theirs.text));
    });
  }

  for (const line of [
    'auth = foo',
    'auth = pam',
    'enable-auth = pam',
    'acct = foo',
    'dns = local',
    'listen-clear-file = /x',
    'match-tls-dtls-ciphers = true',
    'rekey-method = x',
    'restrict-user-to-ports = x',
    'route = 10.0.0.0',
    'select-group = a[b',
    'tls-priorities = FOO',
    'nonsense',
    'ipv6-network = fd00::',
    'ipv6-network = fd00::/64\nipv6-subnet-prefix = 64',
    'server-cert = /x',
    '[vhost:a]\nbanner = x',
    '[vhost:]\nbanner = x',
    `banner = ${'x'.repeat(300)}`,
    `banner = ${'x'.repeat(3000)}`,
  ]) {
    it(`refuses what ocserv refuses: ${line.slice(0, 60).replaceAll('\n', ' · ')}`, async () => {
      const minimal = 'auth = "plain[passwd=@FOLDER@/ocpasswd]"\ntcp-port = 1\nsocket-file = /s\ndevice = v\nipv4-network = 10.0.0.0/24\n';
      const file = folder.write(
        'refused.conf',
        `${minimal}server-cert = @FOLDER@/server-cert.pem\nserver-key = @FOLDER@/server-key.pem\n${line}\n`,
      );
      const [ours, theirs] = [await testConfig(file), theirTest(file)];
      assert.deepEqual([ours.status, theirs.status], [1, 1], ours.text + theirs.text);
    });
  }
});
