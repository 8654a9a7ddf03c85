/**
 * Log-ins to our gateway with what the machine or others know: certificates, PAM, RADIUS. With openconnect.
 *
 * Read first: spec "Gateway contract", sections 2.2 and 3.
 */
import assert from 'node:assert/strict';
import type { webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { FreeRadius } from '../../support/freeradius.ts';
import { OUR_GATEWAY } from '../../support/gateway-program.ts';
import { Lab } from '../../support/lab.ts';
import { ALICE, Ocserv, type OcservOptions } from '../../support/ocserv.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import type { Finished } from '../../support/program.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { ALICES_LINE, type LoginLab } from '../login-lab.ts';
import { skip } from '../tunnel-scene.ts';
import { openLogin } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: HANG_LIMIT };

describe('log-in to our gateway with a certificate', OPTIONS, () => {
  let pki: Pki;
  before(() => {
    pki = new Pki();
  });
  after(() => pki[Symbol.dispose]());

  const byCertificate = (options: OcservOptions = {}): Promise<LoginLab> =>
    openLogin({ login: 'certificate', clientAuthority: pki.root.certificatePath, ...options });

  const shown = ({ certificatePath, keyPath }: Issued): string[] => ['--certificate', certificatePath, '--sslkey', keyPath];

  it('lets in by it alone, with the name and the group in it', async () => {
    await using login = await byCertificate();
    for (const keyType of ['ec', 'rsa'] as const) {
      const identity = pki.issueClient({ keyType, uid: 'carol', organizationalUnit: 'staff' });
      const run = await login.runPeer(['--cookieonly', ...shown(identity), ...login.pinned]);
      assert.equal(run.code, 0, run.output);
    }
    const [session] = await login.ocserv.control.sessions();
    assert.deepEqual([session?.Username, session?.Groupname, session?.tls_auth_ok], ['carol', 'staff', 1]);
  });

  it('refuses none, that of somebody else’s authority, and an expired one', async () => {
    await using login = await byCertificate();
    using foreign = new Pki();
    const expired = pki.issueClient({ uid: 'carol', notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') });
    for (const args of [[], shown(foreign.issueClient({ uid: 'carol' })), shown(expired)]) {
      assert.equal((await login.runPeer(['--cookieonly', ...args, ...login.pinned])).code, 1);
    }
  });

  it('refuses one that its authority has revoked, after a reload as well', async () => {
    const [early, late, good] = [pki.issueClient({ uid: 'dave' }), pki.issueClient({ uid: 'erin' }), pki.issueClient({ uid: 'frank' })];
    const crl = pki.file('crl.pem');
    writeFileSync(crl, pki.revoke(early));
    await using login = await byCertificate({ settings: { crl } });
    const codeOf = async (identity: Issued) => (await login.runPeer(['--cookieonly', ...shown(identity), ...login.pinned])).code;
    assert.deepEqual([await codeOf(early), await codeOf(late), await codeOf(good)], [1, 0, 0]);
    writeFileSync(crl, pki.revoke(late));
    await login.ocserv.control.run('reload');
    assert.deepEqual([await codeOf(early), await codeOf(late), await codeOf(good)], [1, 1, 0]);
  });

  it('wants the password as well where both are needed', async () => {
    await using login = await byCertificate({ login: 'certificate-and-password', users: [{ ...ALICE, groups: ['staff'] }] });
    login.secrets.add('a guess');
    const [own, others] = [ALICE.name, 'carol'].map((uid) => shown(pki.issueClient({ uid, organizationalUnit: 'staff' })));
    const logIn = (args: readonly string[] = [], input = ALICES_LINE) =>
      login.runPeer(['--cookieonly', '--user', ALICE.name, ...args, ...login.pinned], { input });
    const run = await logIn(own);
    assert.equal(run.code, 0, run.output);
    assert.equal((await logIn(own, 'a guess\n'.repeat(3))).code, 1);
    assert.equal((await logIn([])).code, 1, 'no certificate');
    assert.equal((await logIn(others)).code, 1, 'the certificate of somebody else');
  });

  it('takes either where either is enough', async () => {
    await using login = await byCertificate({ login: 'certificate-or-password' });
    const certificate = await login.runPeer(['--cookieonly', ...shown(pki.issueClient({ uid: ALICE.name })), ...login.pinned]);
    assert.equal(certificate.code, 0, certificate.output);
    const password = await login.runPeer(['--cookieonly', '--user', ALICE.name, ...login.pinned], { input: ALICES_LINE });
    assert.equal(password.code, 0, password.output);
  });
});

/** A machine that is set up before our gateway starts on it. */
async function gatewayOn(lab: Lab, auth: string): Promise<(user: string, input: string) => Promise<Finished>> {
  const gateway = await Ocserv.start(lab, { program: OUR_GATEWAY, settings: { auth: [auth] } });
  const [program, ...leading] = OPENCONNECT;
  return (user, input) =>
    lab.client.finish(program, [...leading, '--cookieonly', '--user', user, '--servercert', gateway.pin, gateway.gateway], { input });
}

describe('log-in to our gateway by PAM', { ...OPTIONS, skip: skip || missing('useradd', 'chpasswd', 'chage') }, () => {
  it('asks what PAM asks: a password, and a new one where it has run out', async () => {
    await using lab = await Lab.open();
    const stack = ['auth required pam_unix.so nodelay', 'account required pam_unix.so', 'password required pam_unix.so'];
    writeFileSync(lab.server.file('/etc/pam.d/ocserv'), `${stack.join('\n')}\n`);
    for (const user of ['alice', 'bob']) await lab.server.run('useradd', ['--user-group', user]);
    await lab.server.run('chpasswd', [], { input: 'alice:correct horse\nbob:sesame open\n' });
    await lab.server.run('chage', ['--lastday', '0', 'bob']);
    const logIn = await gatewayOn(lab, 'pam');
    const alice = await logIn('alice', 'correct horse\n');
    assert.equal(alice.code, 0, alice.output);
    assert.equal((await logIn('alice', 'wrong\n'.repeat(3))).code, 1);
    assert.equal((await logIn('nobody-here', 'wrong\n'.repeat(3))).code, 1);
    const renewed = 'battery staple 9';
    const bob = await logIn('bob', `sesame open\nsesame open\n${renewed}\n${renewed}\n`);
    assert.equal(bob.code, 0, bob.output);
    assert.equal((await logIn('bob', `${renewed}\n`)).code, 0, 'the new password holds');
  });
});

describe('log-in to our gateway by RADIUS', { ...OPTIONS, skip: skip || missing('freeradius') }, () => {
  const USERS = `
alice Cleartext-Password := "correct horse"
\tClass = "OU=staff;admins",
\tFramed-IP-Address = 10.77.0.9,
\tFramed-Route = "10.5.0.0/16 10.0.0.1 1"

bob Cleartext-Password := "123456"
`;
  /** bob's password is asked for with a challenge, so that the one who is checked is the answer to it. */
  const CHALLENGE = `
if (&User-Name == "bob" && !&State) {
  update control {
    &Response-Packet-Type := Access-Challenge
  }
  update reply {
    &Reply-Message := "Code from your token, please:"
    &State := 0x2a2b2c
  }
  handled
}
`;

  it('lets in who the server lets in, asks what it asks, and refuses the others', async () => {
    await using lab = await Lab.open();
    await using radius = await FreeRadius.start({ users: USERS, authorize: CHALLENGE, namespace: lab.server });
    const logIn = await gatewayOn(lab, `radius[config=${path.resolve(radius.clientFile())},groupconfig=true]`);
    const alice = await logIn('alice', 'correct horse\n');
    assert.equal(alice.code, 0, alice.output);
    const bob = await logIn('bob', 'any\n123456\n');
    assert.equal(bob.code, 0, bob.output);
    assert.match(bob.stderr, /Code from your token, please:/);
    assert.equal((await logIn('alice', 'wrong\n'.repeat(3))).code, 1);
    assert.equal((await logIn('bob', 'any\nwrong\n')).code, 1);
  });
});

describe('log-in to our gateway by a token of an OpenID provider', OPTIONS, () => {
  it('lets in whose token the provider has signed, as openconnect sends it', async () => {
    await using lab = await Lab.open();
    const [own, others] = [await generateKeyPair('ES256'), await generateKeyPair('ES256')];
    const file = path.join(lab.folder, 'oidc.json');
    const keys = path.join(lab.folder, 'keys.json');
    writeFileSync(keys, JSON.stringify({ keys: [{ ...(await exportJWK(own.publicKey)), alg: 'ES256' }] }));
    const claims = { aud: 'vpn', iss: 'https://id.test' };
    writeFileSync(file, JSON.stringify({ jwks_file: keys, user_name_claim: 'preferred_username', required_claims: claims }));
    const gateway = await Ocserv.start(lab, { program: OUR_GATEWAY, settings: { auth: [`oidc[config=${file}]`] } });
    const logIn = async (key: webcrypto.CryptoKey, more: object = {}) => {
      const token = new SignJWT({ ...claims, preferred_username: 'alice', ...more }).setProtectedHeader({ alg: 'ES256' });
      const text = await token.setExpirationTime('10m').sign(key);
      const args = ['--cookieonly', '--token-mode=oidc', `--token-secret=${text}`, '--servercert', gateway.pin, gateway.gateway];
      const run = await lab.client.finish('openconnect', args);
      assert.ok(!gateway.log.includes(text), 'the token is in the log');
      return run;
    };
    const run = await logIn(own.privateKey);
    assert.equal(run.code, 0, run.output);
    assert.equal((await gateway.control.sessions())[0]?.Username, 'alice');
    assert.equal((await logIn(others.privateKey)).code, 1, 'signed by somebody else');
    assert.equal((await logIn(own.privateKey, { aud: 'web' })).code, 1, 'for another service');
  });
});
