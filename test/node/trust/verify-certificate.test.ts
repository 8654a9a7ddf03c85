import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { PeerMisbehavedError } from '../../../src/core/errors.ts';
import { pinOf } from '../../../src/node/trust/fingerprints.ts';
import { loadTrustAnchors, type TrustAnchors } from '../../../src/node/trust/trust-anchors.ts';
import { judgeCertificate, type PresentedCertificate, presentedBy } from '../../../src/node/trust/verify-certificate.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';

const DAY = 86_400_000;
const PAST = { notBefore: new Date(Date.now() - 20 * DAY), notAfter: new Date(Date.now() - 10 * DAY) };
const FUTURE = { notBefore: new Date(Date.now() + 10 * DAY), notAfter: new Date(Date.now() + 20 * DAY) };
const HERE = { names: ['localhost'], addresses: ['127.0.0.1', '::1'] };
const NOBODY: TrustAnchors = { ca: [], allowPartialTrustChain: true };

describe('server certificate', { skip: missing('openssl') }, () => {
  let pki: Pki;
  let anchors: TrustAnchors;
  before(async () => {
    pki = new Pki();
    anchors = await loadTrustAnchors({ caFile: pki.root.certificatePath, systemTrust: false });
  });
  after(() => pki[Symbol.dispose]());

  /** What a real connection to a server with this certificate presents to one who has these anchors. */
  async function presented(server: Issued, trusted: TrustAnchors, host = 'localhost', ...chain: Issued[]): Promise<PresentedCertificate> {
    const cert = [server, ...chain].map((each) => each.certificatePem).join('');
    const listener = tls.createServer({ key: server.keyPem, cert, ciphers: 'DEFAULT@SECLEVEL=0' }); // or it refuses its own weak one
    listener.on('tlsClientError', () => undefined); // the client leaves at once
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const socket = tls.connect({
      port: (listener.address() as AddressInfo).port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...trusted,
    });
    try {
      await once(socket, 'secureConnect');
      return presentedBy(socket, host);
    } finally {
      socket.destroy();
      listener.close();
    }
  }

  const fault = async (server: Issued, trusted: TrustAnchors = anchors, host = 'localhost', ...chain: Issued[]) => {
    const { verdict, fault, complaints } = judgeCertificate(await presented(server, trusted, host, ...chain), {
      anchors: trusted,
      fingerprints: [],
    });
    assert.equal(verdict, fault === undefined ? 'trusted' : 'doubtful');
    assert.deepEqual(complaints, []);
    return fault;
  };

  it('is trusted if an authority that we trust signed it for this name', async () => {
    assert.equal(await fault(pki.issueServer(HERE)), undefined);
  });

  it('is trusted through intermediates that the server sends', async () => {
    const first = pki.issueAuthority();
    const second = pki.issueAuthority({ issuer: first, commonName: 'second' });
    const server = pki.issueServer({ ...HERE, issuer: second });
    assert.equal(await fault(server, anchors, 'localhost', second, first), undefined);
    assert.equal(await fault(server), 'signer not found');
    const { chain } = await presented(server, anchors, 'localhost', second, first);
    assert.deepEqual(
      chain.slice(0, 3),
      [server, second, first].map((each) => each.certificate.raw),
    );
  });

  it('is trusted if the user trusts just it, or just an intermediate', async () => {
    const selfSigned = pki.selfSigned(HERE);
    const intermediate = pki.issueAuthority();
    const server = pki.issueServer({ ...HERE, issuer: intermediate });
    for (const [trusted, sent, chain] of [
      [selfSigned, selfSigned, []],
      [server, server, [intermediate]],
      [intermediate, server, [intermediate]],
    ] as const) {
      const only = await loadTrustAnchors({ caFile: trusted.certificatePath, systemTrust: false });
      assert.equal(await fault(sent, only, 'localhost', ...chain), undefined);
    }
  });

  it('is trusted by any of the authorities that are in one text, as the system’s are', async () => {
    using stranger = new Pki();
    const text = `# strangers\n${stranger.root.certificatePem}\n# ours\n${pki.root.certificatePem}`;
    const trusted: TrustAnchors = { ca: [text], allowPartialTrustChain: true };
    assert.equal(await fault(pki.issueServer(HERE), trusted), undefined);
    assert.equal(await fault(pki.issueServer({ ...HERE, ...PAST }), trusted), 'certificate expired');
  });

  it('has an unknown signer, whatever else is wrong with it', async () => {
    assert.equal(await fault(pki.issueServer(HERE), NOBODY), 'signer not found');
    assert.equal(await fault(pki.issueServer({ ...HERE, ...PAST }), NOBODY), 'signer not found');
    assert.equal(await fault(pki.issueServer({ ...HERE, ...FUTURE }), NOBODY), 'signer not found');
    assert.equal(await fault(pki.issueServer({ names: ['other.test'] }), NOBODY), 'signer not found');
    assert.equal(await fault(pki.selfSigned(HERE)), 'signer not found');
    assert.equal(await fault(pki.selfSigned({ ...HERE, ...PAST })), 'signer not found');
    using stranger = new Pki(); // the same names, another key
    assert.notEqual(await fault(stranger.issueServer(HERE)), undefined);
  });

  it('has expired, or is not valid yet', async () => {
    assert.equal(await fault(pki.issueServer({ ...HERE, ...PAST })), 'certificate expired');
    assert.equal(await fault(pki.issueServer({ names: ['other.test'], ...PAST })), 'certificate expired');
    assert.equal(await fault(pki.issueServer({ ...HERE, ...FUTURE })), 'certificate not yet activated');
  });

  it('is another host’s', async () => {
    const names = { names: ['vpn.example.test', '*.wild.test'], addresses: ['192.0.2.1', '2001:db8::1'] };
    const server = pki.issueServer({ ...names, commonName: 'localhost' });
    for (const host of ['vpn.example.test', 'VPN.Example.test', 'a.wild.test', '192.0.2.1', '2001:db8::1', '[2001:db8:0::1]']) {
      assert.equal(await fault(server, anchors, host), undefined, host);
    }
    for (const host of ['example.test', 'a.b.wild.test', 'wild.test', '192.0.2.2', '[2001:db8::2]', 'localhost']) {
      assert.equal(await fault(server, anchors, host), 'certificate does not match hostname', host);
    }
  });

  it('may name its host in the old way, in the subject', async () => {
    const server = pki.issueServer({ commonName: 'vpn.example.test' });
    assert.equal(await fault(server, anchors, 'vpn.example.test'), undefined);
    assert.equal(await fault(server, anchors, 'example.test'), 'certificate does not match hostname');
  });

  it('is signed by someone who may not sign', async () => {
    const notAnAuthority = pki.issueServer({ names: ['x.test'] });
    const server = pki.issueServer({ ...HERE, issuer: notAnAuthority });
    assert.equal(await fault(server, anchors, 'localhost', notAnAuthority), 'signer not a CA certificate');
  });

  it('is not meant for servers', async () => {
    assert.equal(await fault(pki.issueServer({ ...HERE, purpose: 'clientAuth' })), 'certificate is not for servers');
  });

  it('is signed with an algorithm that is too weak', async () => {
    assert.equal(await fault(pki.issueServer({ ...HERE, digest: 'sha1' })), 'insecure algorithm');
  });

  it('has a signature that is wrong', async () => {
    const good = pki.issueServer(HERE);
    const der = Buffer.from(good.certificate.raw);
    der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
    const certificatePem = `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
    assert.equal(await fault({ ...good, certificatePem }), 'signature verification failed');
  });

  it('is revoked, or at fault in a way that has no words of its own', () => {
    const server = pki.issueServer(HERE);
    const chain = [server.certificate.raw];
    const faultFor = (authorizationError: string) =>
      judgeCertificate({ chain, host: 'localhost', authorizationError }, { anchors, fingerprints: [] }).fault;
    assert.equal(faultFor('CERT_REVOKED'), 'certificate revoked');
    assert.equal(faultFor('PATH_LENGTH_EXCEEDED'), 'path length exceeded');
    assert.equal(faultFor('UNSPECIFIED'), 'unspecified');
  });

  it('is believed by its fingerprint alone, and then the fault is still told', async () => {
    const server = pki.issueServer({ names: ['other.test'], ...PAST });
    const pin = pinOf(server.certificate.raw);
    const shown = await presented(server, NOBODY);
    assert.deepEqual(judgeCertificate(shown, { anchors: NOBODY, fingerprints: [pin] }), {
      verdict: 'trusted',
      fault: 'signer not found',
      complaints: [],
      pin,
    });
    const sha1 = server.certificate.fingerprint.replaceAll(':', '');
    assert.equal(judgeCertificate(shown, { anchors: NOBODY, fingerprints: ['0000', sha1] }).verdict, 'trusted');
  });

  it('is refused if fingerprints were given and none matches, also where the chain is good', async () => {
    const server = pki.issueServer(HERE);
    const pin = pinOf(server.certificate.raw);
    const decision = judgeCertificate(await presented(server, anchors), { anchors, fingerprints: ['0000', 'md5:abcd', '123'] });
    assert.deepEqual(decision, {
      verdict: 'refused',
      fault: undefined,
      complaints: [
        'The size of the provided fingerprint is less than the minimum required (4).',
        'Unknown certificate hash: md5:abcd.',
        `None of the 3 fingerprint(s) specified via --servercert match server's certificate: ${pin}`,
      ],
      pin,
    });
  });

  it('must be there and be one', () => {
    const judge = (chain: readonly Uint8Array[]) =>
      judgeCertificate({ chain, host: 'localhost', authorizationError: undefined }, { anchors, fingerprints: [] });
    assert.throws(() => judge([]), PeerMisbehavedError);
    assert.throws(() => judge([Uint8Array.of(0x30, 0)]), PeerMisbehavedError);
    const cut = pki.root.certificate.raw.subarray(0, -1);
    assert.throws(() => judge([cut]), PeerMisbehavedError);
  });
});

describe('trust anchors', { skip: missing('openssl') }, () => {
  it('come from a file in PEM, of one or of many, or in DER', async () => {
    using pki = new Pki();
    const second = pki.issueAuthority();
    const many = pki.file('many.pem');
    writeFileSync(many, `# ours\n${pki.root.certificatePem}\n# theirs\n${second.certificatePem}`);
    const single = pki.file('root.der');
    writeFileSync(single, pki.root.certificate.raw);
    const load = async (caFile: string) => (await loadTrustAnchors({ caFile, systemTrust: false })).ca;
    assert.deepEqual(await load(many), [pki.root.certificate.toString(), second.certificate.toString()]);
    assert.deepEqual(await load(single), [pki.root.certificate.toString()]);
  });

  it('cannot come from a file that is missing or none', async () => {
    await assert.rejects(loadTrustAnchors({ caFile: '/nonexistent' }), { code: 'ERR_MISUSE', message: /^\/nonexistent: / });
    await assert.rejects(loadTrustAnchors({ caFile: import.meta.filename }), { code: 'ERR_MISUSE' });
  });

  it('are the system’s unless the user says otherwise; fingerprints say otherwise', async () => {
    assert.ok((await loadTrustAnchors({})).ca.join('').includes('BEGIN CERTIFICATE'));
    assert.deepEqual((await loadTrustAnchors({ systemTrust: false })).ca, []);
    assert.deepEqual(await loadTrustAnchors({ fingerprints: ['0000'] }), { ca: [], allowPartialTrustChain: false });
    assert.ok((await loadTrustAnchors({ fingerprints: ['0000'], systemTrust: true })).ca.length > 0);
  });

  it('are those of SSL_CERT_FILE where that is set, and only those', async () => {
    using pki = new Pki();
    process.env.SSL_CERT_FILE = pki.root.certificatePath;
    try {
      assert.deepEqual((await loadTrustAnchors({})).ca, [pki.root.certificate.toString()]);
      process.env.SSL_CERT_FILE = '/nonexistent';
      await assert.rejects(loadTrustAnchors({}), { code: 'ERR_MISUSE' });
    } finally {
      delete process.env.SSL_CERT_FILE;
    }
  });
});
