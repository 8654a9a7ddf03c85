import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { formatCidr } from '../../../src/core/wire/ip-address.ts';
import { ConfigError } from '../../../src/gateway/config/config-report.ts';
import type { ConfigNotice } from '../../../src/gateway/config/gateway-config.ts';
import { loadOcservConfig } from '../../../src/gateway/config/ocserv-conf.ts';
import { missing } from '../../support/requirements.ts';
import { ConfigFolder, VECTOR_NAMES } from './config-folder.ts';

let folder: ConfigFolder;

before(async () => {
  folder = await ConfigFolder.make();
});

after(() => folder[Symbol.dispose]());

/** The warnings of each file: keys that do nothing here, what 1.1.6 skips too. Files that are not here have none. */
const EXPECTED_WARNINGS: Readonly<Record<string, readonly RegExp[]>> = {
  'debian-sample': [/'isolate-workers' has no effect here/],
  'full-tunnel': [/'try-mtu-discovery' has no effect here/],
  legacy: [/'use-seccomp' has no effect here/, /'use-utmp' has no effect here/],
  limits: [
    /'ban-points-kkdcp' has no effect here/,
    /'net-priority' has no effect here/,
    /'output-buffer' has no effect here/,
    /'sec-mod-scale' has no effect here/,
  ],
  'odd-blanks': [
    /the line begins with a blank: it is read as another value of 'route'/,
    /'dpd' is a number, not '90s': it is read as 90/,
    /'try-mtu-discovery' is true or false, not 'on': it is read as false/,
    /skipping unknown option 'nosuchkey'/,
    /skipping unknown section 'nosuchsection'/,
  ],
  vhosts: [/device is ignored on www\.example\.com virtual host/],
};

function warningsOf(notices: readonly ConfigNotice[]): string[] {
  return notices.filter(({ level }) => level === 'warning').map(({ message }) => message);
}

describe('the ocserv.conf files of the vectors', () => {
  it('are 20 or more', () => assert.ok(VECTOR_NAMES.length >= 20));

  for (const name of VECTOR_NAMES) {
    it(`${name} is taken, with a warning for each line that does nothing and for no other`, async () => {
      const { config, notices } = await loadOcservConfig(folder.vector(name));
      const warnings = warningsOf(notices);
      const expected = EXPECTED_WARNINGS[name] ?? [];
      assert.equal(warnings.length, expected.length, warnings.join('\n'));
      for (const pattern of expected)
        assert.ok(
          warnings.some((warning) => pattern.test(warning)),
          `${pattern} in ${warnings.join('\n')}`,
        );
      for (const notice of notices) if (notice.level === 'warning') assert.ok(notice.line > 0, notice.message);
      assert.ok(config.hosts.length >= 1);
    });
  }

  it('say of the odd one what ocserv understands', async () => {
    const { config } = await loadOcservConfig(folder.vector('odd-blanks'));
    const [host] = config.hosts;
    assert.equal(config.listen.udpPort, 443);
    assert.deepEqual(config.processes, { user: 'nobody', group: 'daemon', socketFile: `${folder.path}/ocserv-socket`, workers: 0 });
    assert.equal(config.network.device, 'vpns');
    assert.equal(config.control.isEnabled, true);
    assert.equal(host?.policy.banner, 'a "quoted" word');
    assert.deepEqual(host?.policy.routes.map(formatCidr), ['10.0.0.0/8', '172.16.0.0/12']);
  });

  it('give virtual hosts their own values, and the priorities of the default host', async () => {
    const { config } = await loadOcservConfig(folder.vector('vhosts'));
    assert.deepEqual(
      config.hosts.map(({ name }) => name),
      [undefined, 'www.example.com', 'xn--bcher-kva.example', 'pam.example'],
    );
    assert.deepEqual(
      config.hosts.map(({ tls }) => tls.clientCertificates),
      ['no', 'required', 'no', 'no'],
    );
    assert.ok(config.hosts.every(({ tls }) => tls.policy.maxVersion === 'TLSv1.2'));
    // Observed: ocserv's virtual hosts begin with its built-in values, not with those of the default host.
    assert.deepEqual(
      config.hosts.map(({ policy }) => policy.dpd),
      [90_000, 60_000, 60_000, 60_000],
    );
    assert.equal(config.network.device, 'vpns');
  });

  it('read the old names as the new ones', async () => {
    const { config } = await loadOcservConfig(folder.vector('legacy'));
    const [host] = config.hosts;
    assert.equal(config.control.isEnabled, true);
    assert.equal(host?.login.isCiscoCompatible, true);
    assert.deepEqual(host?.auth.required, [{ method: 'plain', passwordFile: `${folder.path}/ocpasswd` }]);
    assert.equal(host?.policy.dns.length, 1);
    assert.equal(host?.policy.nbns.length, 1);
  });
});

describe('a file that names what is not there', () => {
  const minimal = [
    ...['auth = "plain[passwd=@FOLDER@/ocpasswd]"', 'server-cert = @FOLDER@/server-cert.pem', 'server-key = @FOLDER@/server-key.pem'],
    ...['socket-file = @FOLDER@/socket', 'tcp-port = 443', 'device = vpns', 'ipv4-network = 10.11.0.0/24', ''],
  ].join('\n');

  const missingThings = [
    {
      line: 'ca-cert = /nowhere/ca.pem',
      says: "the authority of client certificates '/nowhere/ca.pem' cannot be read: No such file or directory",
    },
    { line: 'crl = /nowhere/crl.pem', says: "the revocation list '/nowhere/crl.pem' cannot be read: No such file or directory" },
    { line: 'user-profile = @FOLDER@/users', says: "/users' cannot be read: Is a directory" },
    { line: 'pin-file = /nowhere/pin', says: "the file of the key's password '/nowhere/pin' cannot be read: No such file or directory" },
    { line: 'chroot-dir = /nowhere', says: "the root folder of the workers '/nowhere' cannot be used: No such file or directory" },
    { line: 'chroot-dir = @FOLDER@/ca.pem', says: "ca.pem' cannot be used: Not a directory" },
    { line: 'listen-netns = nowhere', says: 'There is no network namespace "nowhere"' },
  ];
  for (const { line, says } of missingThings) {
    it(`is refused with its line where the gateway could not start: ${line}`, async () => {
      await assert.rejects(loadOcservConfig(folder.write('missing.conf', minimal + line)), (error) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, /missing\.conf:8: /);
        assert.ok(error.message.includes(says), error.message);
        return true;
      });
    });
  }

  it('is refused where the password of its key is another one, which is not repeated', async () => {
    const key = createPrivateKey(readFileSync(`${folder.path}/server-key.pem`));
    folder.write('sealed.pem', String(key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'sesame' })));
    folder.write('pin', 'sesame\n');
    const sealed = (pin: string) => folder.write('sealed.conf', `${minimal.replace('server-key.pem', 'sealed.pem')}${pin}`);
    for (const pin of ['pin-file = @FOLDER@/pin', 'key-pin = sesame'])
      assert.deepEqual(warningsOf((await loadOcservConfig(sealed(pin))).notices), []);
    await assert.rejects(loadOcservConfig(sealed('key-pin = swordfish')), (error) => {
      assert.match(String(error), /sealed\.conf:3: the key '.*sealed\.pem' has another password than the one that is given/);
      return !String(error).includes('swordfish');
    });
  });

  it('is taken with a warning where it can come later, as an OCSP response', async () => {
    const { notices } = await loadOcservConfig(folder.write('later.conf', `${minimal}ocsp-response = /nowhere/ocsp`));
    assert.deepEqual(warningsOf(notices), ["the OCSP response '/nowhere/ocsp' cannot be read: No such file or directory"]);
  });
});

describe('the same files, given to ocserv', { skip: missing('ocserv') }, () => {
  for (const name of VECTOR_NAMES) {
    it(`${name} passes ocserv --test-config, which skips the same unknown options`, async () => {
      const file = folder.vector(name);
      const { status, stderr } = spawnSync('ocserv', ['--test-config', '--config', file], {
        encoding: 'utf8',
        timeout: 60_000,
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin`, LC_ALL: 'C.UTF-8' },
      });
      assert.equal(status, 0, stderr);
      const skipped = (text: string) => [...text.matchAll(/skipping unknown (?:option|section) '[^']*'/g)].map(([words]) => words);
      const { notices } = await loadOcservConfig(file);
      const later = /camouflage|cisco-svc-client-compat|select-group-by-url/;
      assert.deepEqual(
        skipped(warningsOf(notices).join('\n')),
        skipped(stderr).filter((words) => !later.test(words)),
      );
    });
  }

  it("and Debian's own file is taken once it names a certificate", async () => {
    const text = readFileSync('/etc/ocserv/ocserv.conf', 'utf8');
    const pair = 'server-cert = @FOLDER@/server-cert.pem\nserver-key = @FOLDER@/server-key.pem\n';
    const { notices } = await loadOcservConfig(folder.write('debian.conf', text + pair));
    const [first = '', ...others] = warningsOf(notices).filter((warning) => !/cannot be read/.test(warning));
    assert.match(first, /'isolate-workers' has no effect here/);
    assert.deepEqual(others, []);
  });
});
