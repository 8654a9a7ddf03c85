/** Whether to believe the gateway: authorities, names, dates, pins and the question to a person (spec "Client command-line contract", 3.3 and 6). */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { SERVER_NAME } from '../support/lab.ts';
import { ALICE } from '../support/ocserv.ts';
import { type Issued, Pki, type ServerOptions } from '../support/pki.ts';
import type { Finished } from '../support/program.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { ALICES_LINE, LoginLab } from './login-lab.ts';

const skip = missing('root', 'netns', 'ocserv', 'openssl');

const BY_PASSWORD = ['--cookieonly', '--user', ALICE.name, '--passwd-on-stdin'];
const DAY = 86_400_000;

let pki: Pki;
before(() => {
  pki = new Pki();
});
after(() => pki[Symbol.dispose]());

/** A gateway with a certificate of its own. */
async function withCertificate(options: ServerOptions): Promise<{ login: LoginLab; server: Issued; pin: string }> {
  const server = pki.issueServer(options);
  const login = await LoginLab.open({ certificate: { certificate: server.certificatePath, key: server.keyPath } });
  return { login, server, pin: login.ocserv.pin };
}

const digest = (hash: string, bytes: Uint8Array, encoding: 'hex' | 'base64') => createHash(hash).update(bytes).digest(encoding);

/** Logs in, with nobody there to be asked. */
const attempt = (login: LoginLab, args: readonly string[]): Promise<Finished> =>
  login.run([...BY_PASSWORD, '--non-inter', ...args], { input: ALICES_LINE });

/** What a refusal says, for whoever reads it: the reason, and the pin to trust next time. */
function assertRefused({ code, stdout, stderr }: Finished, host: string, reason: string, pin: string): void {
  assert.equal(code, 1, stderr);
  assert.equal(stdout, '');
  const hint = [
    `Server certificate verify failed: ${reason}`,
    '',
    `Certificate from VPN server "${host}" failed verification.`,
    `Reason: ${reason}`,
    'To trust this server in future, perhaps add this to your command line:',
    `    --servercert ${pin}`,
  ];
  assert.ok(stderr.includes(`${hint.join('\n')}\n`), stderr);
  assert.match(stderr, /\nFailed to open HTTPS connection to \S+\n.*\nFailed to complete authentication\n$/);
}

describe('certificate of the gateway', { skip, timeout: HANG_LIMIT }, () => {
  it('is good by its authority, under each of its names and addresses', async () => {
    const { ipv4, ipv6 } = { ipv4: '198.51.100.2', ipv6: '2001:db8:3::2' };
    const { login } = await withCertificate({ names: [SERVER_NAME], addresses: [ipv4, ipv6] });
    await using _ = login;
    for (const host of [SERVER_NAME, ipv4, `[${ipv6}]`]) {
      for (const trust of [
        ['--cafile', pki.root.certificatePath],
        ['--no-system-trust', '--cafile', pki.root.certificatePath],
      ]) {
        const run = await attempt(login, [...trust, host]);
        assert.equal(run.code, 0, run.output);
        assert.doesNotMatch(run.output, /verify failed/);
      }
    }
  });

  it('is good by an authority of the system, unless --no-system-trust', async () => {
    const { login, pin } = await withCertificate({ names: [SERVER_NAME] });
    await using _ = login;
    const env = { SSL_CERT_FILE: pki.root.certificatePath };
    const good = await login.run([...BY_PASSWORD, SERVER_NAME], { input: ALICES_LINE, env });
    assert.equal(good.code, 0, good.output);
    const args = [...BY_PASSWORD, '--non-inter', '--no-system-trust', SERVER_NAME];
    assertRefused(await login.run(args, { input: ALICES_LINE, env }), SERVER_NAME, 'signer not found', pin);
  });

  const faults: readonly (readonly [name: string, options: ServerOptions, reason: string])[] = [
    ['of another host', { names: ['other.test'] }, 'certificate does not match hostname'],
    ['that has expired', { notBefore: new Date(Date.now() - 9 * DAY), notAfter: new Date(Date.now() - DAY) }, 'certificate expired'],
    ['that is not valid yet', { notBefore: new Date(Date.now() + DAY) }, 'certificate not yet activated'],
    ['that is not for servers', { purpose: 'clientAuth' }, 'certificate is not for servers'],
  ];
  for (const [name, options, reason] of faults) {
    it(`${name} is refused where nobody is there, with the pin to trust it by`, async () => {
      const { login, pin } = await withCertificate({ names: [SERVER_NAME], ...options });
      await using _ = login;
      const authority = ['--cafile', pki.root.certificatePath];
      assertRefused(await attempt(login, [...authority, SERVER_NAME]), SERVER_NAME, reason, pin);
      const trusted = await attempt(login, [...authority, '--servercert', pin, SERVER_NAME]);
      assert.equal(trusted.code, 0, trusted.output);
    });
  }

  it('by an unknown authority is refused, whatever else is wrong with it', async () => {
    const { login, pin } = await withCertificate({ names: ['other.test'], notAfter: new Date(Date.now() - 60_000) });
    await using _ = login;
    assertRefused(await attempt(login, [SERVER_NAME]), SERVER_NAME, 'signer not found', pin);
  });

  it('cannot be judged without the file of --cafile', async () => {
    await using login = await LoginLab.open();
    const run = await attempt(login, ['--cafile', '/nonexistent.pem', SERVER_NAME]);
    assert.equal(run.code, 1);
    assert.match(run.stderr, /\/nonexistent\.pem: .*No such file or directory/);
  });
});

describe('pin', { skip, timeout: HANG_LIMIT }, () => {
  it('is taken in every form, and as a beginning of at least four characters', async () => {
    const { login, server, pin } = await withCertificate({});
    await using _ = login;
    const key = server.certificate.publicKey.export({ type: 'spki', format: 'der' });
    const [sha1, sha256] = [digest('sha1', key, 'hex'), digest('sha256', key, 'hex')];
    const legacy = digest('sha1', server.certificate.raw, 'hex');
    const right = [
      pin,
      pin.slice(0, 'pin-sha256:'.length + 4),
      `sha256:${sha256.toUpperCase()}`,
      `sha1:${sha1}`,
      legacy,
      legacy.slice(0, 4),
    ];
    for (const form of right) {
      const run = await attempt(login, ['--servercert', form, login.ocserv.gateway]);
      assert.equal(run.code, 0, `${form}: ${run.output}`);
    }
    const wrong = [
      `sha256:${sha1}`,
      pin.slice(0, 'pin-sha256:'.length + 3),
      `${pin}x`,
      pin.toLowerCase(),
      digest('sha1', Buffer.from('x'), 'hex'),
    ];
    for (const form of wrong) {
      const run = await attempt(login, ['--servercert', form, login.ocserv.gateway]);
      assert.equal(run.code, 1, `${form}: ${run.output}`);
    }
  });

  it('is one of several; where none is right nobody is asked', async () => {
    await using login = await LoginLab.open();
    const { pin, gateway } = login.ocserv;
    const others = ['--servercert', 'pin-sha256:AAAAAAAA', '--servercert', 'sha256:00000000'];
    assert.equal((await attempt(login, [...others, '--servercert', pin, gateway])).code, 0);
    const run = await login.run([...BY_PASSWORD, ...others, gateway], { input: `${ALICES_LINE}yes\n` });
    assert.equal(run.code, 1);
    assert.ok(
      run.stderr.includes(`None of the 2 fingerprint(s) specified via --servercert match server's certificate: ${pin}\n`),
      run.stderr,
    );
    assert.doesNotMatch(run.stderr, /Enter 'yes'/);
  });

  it('of an unknown kind is named', async () => {
    await using login = await LoginLab.open();
    const run = await attempt(login, ['--servercert', 'md5:00', login.ocserv.gateway]);
    assert.equal(run.code, 1);
    assert.match(run.stderr, /^Unknown certificate hash: md5:00\.$/m);
  });
});

describe('question about the certificate, at a terminal', { skip: skip || missing('script'), timeout: HANG_LIMIT }, () => {
  const QUESTION = /Enter 'yes' to accept, 'no' to abort; anything else to view: $/;
  const args = ['--cookieonly', '--user', ALICE.name];

  it('is answered with yes, and then not asked again in this process', async () => {
    await using login = await LoginLab.open();
    const options = ['--printcookie', '--user', ALICE.name, '--interface', 'tun0', '--script', 'true'];
    const client = await login.startAtTerminal([...options, login.ocserv.gateway]);
    await client.waitFor(QUESTION);
    client.write('yes\n');
    await client.waitFor(/Password:$/);
    client.write(ALICES_LINE);
    await client.waitFor(/^Configured as /m); // over a connection of its own
    client.write('\x03');
    assert.equal((await client.finish()).code, 0);
    assert.equal(client.output.split(QUESTION.source.slice(0, -1)).length, 2);
    assert.match(client.output, /^Reason: signer not found\r$/m);
  });

  it('is answered with no: the gateway gets nothing', async () => {
    await using login = await LoginLab.open();
    const client = await login.startAtTerminal([...args, login.ocserv.gateway]);
    await client.waitFor(QUESTION);
    client.write('no\n');
    const { code, output } = await client.finish();
    assert.equal(code, 1);
    assert.match(output, /\nFailed to complete authentication\r\n$/);
    assert.deepEqual(login.requests(), []);
  });

  it('shows the certificate for anything else, and asks again', async () => {
    await using login = await LoginLab.open();
    const client = await login.startAtTerminal([...args, login.ocserv.gateway]);
    await client.waitFor(QUESTION);
    client.write('view\n');
    await client.waitFor(/^Server key hash: pin-sha256:\S+\r$/m);
    await client.waitFor(QUESTION, { after: client.output.indexOf('Server key hash') });
    assert.match(client.output, /^\tSubject: CN=gateway\.test\r$/m);
    client.write('no\n');
    assert.equal((await client.finish()).code, 1);
  });

  it('is answered with no by the end of the input and by Ctrl-C', async () => {
    await using login = await LoginLab.open();
    for (const key of ['\x04', '\x03']) {
      const client = await login.startAtTerminal([...args, login.ocserv.gateway]);
      await client.waitFor(QUESTION);
      client.write(key);
      assert.equal((await client.finish()).code, 1, client.describe());
    }
    assert.deepEqual(login.requests(), []);
  });
});
