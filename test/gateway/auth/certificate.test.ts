import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { certificateNames } from '../../../src/gateway/auth/certificate-names.ts';
import { parseRevocationList } from '../../../src/gateway/auth/revocation-lists.ts';
import type { AuthConfig } from '../../../src/gateway/config/gateway-config.ts';
import { toleratingOwnErrors } from '../../support/own-errors.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';
import { type HostWishes, sampleConfig, sampleHost } from '../config-samples.ts';
import { AuthScene, cookieOf, formOf, ip } from './auth-scene.ts';

const UID = { oid: '0.9.2342.19200300.100.1.1' };
const OU = { oid: '2.5.4.11' };

/** A certificate of the root's with a subject and alternative names of openssl's notation. */
function certificateOf(pki: Pki, subject: string, ...extensions: readonly string[]): Uint8Array {
  const file = pki.file('made.pem');
  const added = extensions.flatMap((extension) => ['-addext', extension]);
  const signer = ['-CA', pki.root.certificatePath, '-CAkey', pki.root.keyPath, '-days', '2'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', pki.file('made.key')];
  pki.openssl(['req', '-x509', ...key, ...signer, '-utf8', '-multivalue-rdn', '-subj', subject, ...added, '-out', file]);
  return new X509Certificate(readFileSync(file)).raw;
}

const chainOf = (...certificates: readonly Issued[]) => certificates.map(({ certificate }) => new Uint8Array(certificate.raw));

async function scene(auth: AuthConfig, more: HostWishes = {}): Promise<AuthScene> {
  const opened = new AuthScene();
  opened.now = Date.now(); // certificates and lists are of today
  const hash = execFileSync('openssl', ['passwd', '-5', 'pw'], { encoding: 'utf8' }).trim();
  writeFileSync(opened.file('passwords'), `alice:staff,guests:${hash}\nbob:*:${hash}\n`);
  const required = auth.required.map((method) =>
    method.method === 'plain' ? { ...method, passwordFile: opened.file('passwords') } : method,
  );
  const alternatives = auth.alternatives.map((method) =>
    method.method === 'plain' ? { ...method, passwordFile: opened.file('passwords') } : method,
  );
  await opened.open(
    sampleConfig(sampleHost({ ...more, auth: { certificateUser: UID, certificateGroup: OU, ...auth, required, alternatives } })),
  );
  return opened;
}

/** A host that takes this authority's clients. */
const trusting = (pki: Pki): HostWishes => ({ tls: { clientAuthority: pki.root.certificatePath } });

const ALONE: AuthConfig = { required: [{ method: 'certificate' }], alternatives: [] };
const BOTH: AuthConfig = { required: [{ method: 'plain' }, { method: 'certificate' }], alternatives: [] };
const EITHER: AuthConfig = { required: [{ method: 'plain' }], alternatives: [{ method: 'certificate' }] };

describe('names in certificates', { skip: missing('openssl') }, () => {
  it('are found by their object identifier, all of them and in their order', () => {
    using pki = new Pki();
    const der = certificateOf(pki, '/CN=Alice Ärmel/UID=alice/OU=staff/OU=admins');
    assert.deepEqual(certificateNames(der, UID), ['alice']);
    assert.deepEqual(certificateNames(der, OU), ['staff', 'admins']);
    assert.deepEqual(certificateNames(der, { oid: '2.5.4.3' }), ['Alice Ärmel']);
    assert.deepEqual(certificateNames(der, { oid: '2.5.4.10' }), []);
  });

  it('are found in a part of several attributes', () => {
    using pki = new Pki();
    assert.deepEqual(certificateNames(certificateOf(pki, '/CN=x+UID=alice'), UID), ['alice']);
  });

  it('can be the mail address of the alternative names', () => {
    using pki = new Pki();
    const der = certificateOf(pki, '/CN=x', 'subjectAltName=DNS:host.test,email:alice@example.com');
    assert.deepEqual(certificateNames(der, { alternativeName: 'rfc822name' }), ['alice@example.com']);
    const without = certificateOf(pki, '/CN=x', 'subjectAltName=DNS:host.test');
    assert.deepEqual(certificateNames(without, { alternativeName: 'rfc822name' }), []);
  });

  it('come from no bytes that are not a certificate', () => {
    using pki = new Pki();
    const der = new Uint8Array(pki.issueClient({ uid: 'alice' }).certificate.raw);
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = der.with(at, (der[at] ?? 0) ^ change);
        toleratingOwnErrors(() => certificateNames(damaged, UID));
        toleratingOwnErrors(() => certificateNames(damaged, { alternativeName: 'rfc822name' }));
        toleratingOwnErrors(() => parseRevocationList(damaged));
      }),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => toleratingOwnErrors(() => certificateNames(bytes, UID))));
  });
});

describe('log-in by certificate', { skip: missing('openssl') }, () => {
  it('admits at once where there is no group to choose', async () => {
    using pki = new Pki();
    await using auth = await scene(ALONE, trusting(pki));
    const { step } = await auth.service.begin(auth.hints({ certificateChain: chainOf(pki.issueClient({ uid: 'alice' })) }));
    assert.equal(step.type === 'admitted' && step.user, 'alice');
    const [listed] = await auth.service.sessions();
    assert.equal(listed?.hasCertificate, true);
  });

  it('is for who the host’s own authority has vouched for, whatever a worker says', async () => {
    using pki = new Pki();
    using stranger = new Pki();
    await using auth = await scene(ALONE, trusting(pki));
    const begin = async (chain: readonly Uint8Array[]) => (await auth.service.begin(auth.hints({ certificateChain: chain }))).step.type;
    const between = pki.issueAuthority();
    const [alice, below, server] = [
      pki.issueClient({ uid: 'alice' }),
      pki.issueClient({ uid: 'alice', issuer: between }),
      pki.issueServer(),
    ];
    assert.equal(await begin(chainOf(alice)), 'admitted');
    assert.equal(await begin(chainOf(alice, pki.root)), 'admitted');
    assert.equal(await begin(chainOf(below)), 'refused', 'its issuer is not there');
    assert.equal(await begin(chainOf(below, between)), 'admitted');
    assert.equal(await begin(chainOf(below)), 'admitted', 'a resumed TLS session: its issuer was there before');
    const theirs = stranger.issueClient({ uid: 'alice' });
    assert.equal(await begin(chainOf(theirs)), 'refused', 'of another authority with the same name');
    assert.equal(await begin(chainOf(theirs, stranger.root, pki.root, alice)), 'refused', 'whatever comes with it');
    const forged = pki.issueClient({ uid: 'alice', issuer: server });
    assert.equal(await begin(chainOf(forged, server)), 'refused', 'issued by who may not issue');
    assert.equal(await begin(chainOf(forged)), 'refused');
    assert.equal(await begin([Uint8Array.of(0x30, 0x00)]), 'refused');
    auth.now += 100 * 365 * 86_400_000;
    assert.equal(await begin(chainOf(alice)), 'refused', 'its time is over');
  });

  it('is for nobody where the host has no authority', async () => {
    using pki = new Pki();
    await using auth = await scene(ALONE);
    const { step } = await auth.service.begin(auth.hints({ certificateChain: chainOf(pki.issueClient({ uid: 'alice' })) }));
    assert.equal(step.type, 'refused');
  });

  it('asks for the group in ocserv’s words, with those of the certificate first', async () => {
    using pki = new Pki();
    const chain = chainOf(pki.issueClient({ uid: 'alice', organizationalUnit: 'staff' }));
    const groups = [{ name: 'x1', label: 'Group X' }];
    await using auth = await scene(ALONE, { ...trusting(pki), login: { groups, defaultGroupLabel: 'DEF' } });
    const { dialogue, step } = await auth.service.begin(auth.hints({ certificateChain: chain }));
    const form = formOf(step);
    assert.equal(form.message, 'Please select your group.');
    const [field] = form.fields;
    assert.deepEqual(field?.kind === 'choice' && field.choices.map(({ label }) => label), ['DEF', 'staff', 'Group X']);
    const admitted = await auth.service.answer(dialogue, { group_list: 'staff' }, ip('192.0.2.7'));
    assert.equal(admitted?.type === 'admitted' && admitted.group, 'staff');
    const named = await auth.service.begin(auth.hints({ certificateChain: chain, group: 'DEF' }));
    assert.equal(
      named.step.type === 'admitted' && named.step.group,
      'staff',
      'as ocserv does for a group that came with the first request',
    );
    const foreign = await auth.service.begin(auth.hints({ certificateChain: chain, group: 'x1' }));
    assert.equal(foreign.step.type, 'refused', 'alice is not in x1');
  });

  it('refuses a client without a certificate, and one without the field, whatever else it could do', async () => {
    using pki = new Pki();
    await using alone = await scene(ALONE, trusting(pki));
    assert.equal((await alone.service.begin(alone.hints())).step.type, 'refused');
    await using either = await scene(EITHER, trusting(pki));
    const nameless = chainOf(pki.issueClient({ commonName: 'alice' }));
    assert.equal((await either.service.begin(either.hints({ certificateChain: nameless }))).step.type, 'refused');
    assert.deepEqual(
      either.logged.map(({ fields }) => fields?.reason),
      ['the certificate has no name in the field that is configured for the user'],
    );
  });

  it('takes either of two ways', async () => {
    using pki = new Pki();
    await using auth = await scene(EITHER, trusting(pki));
    const byCertificate = await auth.service.begin(auth.hints({ certificateChain: chainOf(pki.issueClient({ uid: 'alice' })) }));
    assert.equal(byCertificate.step.type, 'admitted');
    assert.equal((await auth.logInAs('alice', 'pw')).type, 'admitted');
  });

  it('needs both where both are asked for, of the same user', async () => {
    using pki = new Pki();
    const chain = chainOf(pki.issueClient({ uid: 'alice', organizationalUnit: 'staff' }));
    await using auth = await scene(BOTH, trusting(pki));
    const logIn = (username: string, password: string) => auth.logIn([{ username }, { password }], { certificateChain: chain });
    assert.equal((await logIn('alice', 'pw')).type, 'admitted');
    assert.equal((await logIn('alice', 'wrong')).type, 'ask');
    assert.equal((await logIn('bob', 'pw')).type, 'refused');
    assert.equal((await auth.service.begin(auth.hints())).step.type, 'refused');
  });

  it('gives no group that the certificate does not have', async () => {
    using pki = new Pki();
    const chain = chainOf(pki.issueClient({ uid: 'alice', organizationalUnit: 'guests' }));
    await using auth = await scene(BOTH, { ...trusting(pki), login: { groups: [{ name: 'staff', label: 'staff' }] } });
    const own = await auth.logIn([{ username: 'alice' }, { password: 'pw' }], { certificateChain: chain });
    assert.equal(own.type === 'admitted' && own.group, 'guests');
    const other = await auth.logIn([{ username: 'alice', group_list: 'staff' }, { password: 'pw' }], { certificateChain: chain });
    assert.equal(other.type, 'refused');
  });

  it('ignores a certificate where none is asked for', async () => {
    using pki = new Pki();
    await using auth = await scene({ required: [{ method: 'plain' }], alternatives: [] });
    const step = await auth.logIn([{ username: 'alice' }, { password: 'pw' }], {
      certificateChain: chainOf(pki.issueClient({ uid: 'bob' })),
    });
    assert.equal(step.type === 'admitted' && step.user, 'alice');
    assert.equal((await auth.service.session(cookieOf(step), ip('192.0.2.7')))?.user, 'alice');
  });
});

describe('revoked certificates', { skip: missing('openssl') }, () => {
  function writeList(pki: Pki, name: string, days = '1', signer: Issued = pki.root): string {
    const keys = ['-cert', signer.certificatePath, '-keyfile', signer.keyPath];
    pki.openssl(['ca', '-config', 'openssl.cnf', '-gencrl', '-md', 'sha256', '-crldays', days, ...keys, '-out', name]);
    return pki.file(name);
  }

  function revoke(pki: Pki, { certificatePath }: Issued): void {
    const keys = ['-cert', pki.root.certificatePath, '-keyfile', pki.root.keyPath, '-md', 'sha256'];
    pki.openssl(['ca', '-config', 'openssl.cnf', '-revoke', certificatePath, ...keys]);
  }

  const tlsOf = (pki: Pki, revocationList: string) => ({ tls: { revocationList, clientAuthority: pki.root.certificatePath } });

  it('are refused as soon as the list says so', async () => {
    using pki = new Pki();
    const client = pki.issueClient({ uid: 'alice' });
    const other = pki.issueClient({ uid: 'bob' });
    const list = writeList(pki, 'list.pem');
    await using auth = await scene(ALONE, tlsOf(pki, list));
    const begin = async (who: Issued) => (await auth.service.begin(auth.hints({ certificateChain: chainOf(who) }))).step.type;
    assert.equal(await begin(client), 'admitted');
    revoke(pki, client);
    writeList(pki, 'list.pem');
    assert.equal(await begin(client), 'refused');
    assert.equal(await begin(other), 'admitted');
  });

  it('are refused all of them while the list has run out, is not the authority’s, or cannot be read', async () => {
    using pki = new Pki();
    using stranger = new Pki();
    const client = pki.issueClient({ uid: 'alice' });
    const list = writeList(pki, 'list.pem');
    await using auth = await scene(ALONE, tlsOf(pki, list));
    const begin = async () => (await auth.service.begin(auth.hints({ certificateChain: chainOf(client) }))).step.type;
    assert.equal(await begin(), 'admitted');
    auth.now += 2 * 86_400_000;
    assert.equal(await begin(), 'refused');
    auth.now -= 2 * 86_400_000;
    writeFileSync(list, readFileSync(writeList(stranger, 'list.pem')));
    assert.equal(await begin(), 'refused', 'signed with another key under the same name');
    writeFileSync(list, '');
    assert.equal(await begin(), 'refused', 'an empty file, as one that is just being written');
    writeFileSync(list, '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n');
    assert.equal(await begin(), 'refused');
  });
});
