import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { MisuseError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { HostConfig } from '../../../src/gateway/config/gateway-config.ts';
import { readHostMaterial } from '../../../src/gateway/main/worker-material.ts';
import { HostContexts } from '../../../src/gateway/worker/host-contexts.ts';
import type { HostMaterial } from '../../../src/gateway/worker/host-material.ts';
import { FrontServer } from '../../support/front-server.ts';
import { PlayedVisitor } from '../../support/gateway-visitor.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import { talkRaw } from '../../support/raw-exchange.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const POLICY: HostMaterial['policy'] = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', prefersServerOrder: true };

describe('The hosts’ TLS', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  let pki: Pki;
  let first: Issued;
  let second: Issued;
  before(() => {
    pki = new Pki();
    first = pki.issueServer();
    second = pki.issueServer();
  });
  after(() => pki[Symbol.dispose]());

  const materialOf = (issued: Issued, more: Partial<HostMaterial> = {}): HostMaterial => ({
    certificates: [{ certificate: issued.certificatePem, key: new Secret(issued.keyPem) }],
    ...{ policy: POLICY, clientCertificates: 'no' },
    ...more,
  });
  /** Only the part of a host's configuration that is read here. */
  const configOf = (tls: Partial<HostConfig['tls']>) =>
    ({ name: 'vpn.example', tls: { policy: POLICY, clientCertificates: 'no', certificates: [], ...tls } }) as unknown as HostConfig;

  it('is read from the files that the configuration names', async () => {
    const [chain, pin, ocsp] = [pki.file('chain.pem'), pki.file('pin'), pki.file('response')];
    writeFileSync(chain, first.certificatePem + pki.root.certificatePem);
    writeFileSync(pin, 'open sesame\nanother line\n');
    writeFileSync(ocsp, Uint8Array.of(0x30, 0x80));
    pki.openssl(['pkcs8', '-topk8', '-in', first.keyPath, '-out', 'sealed.key', '-passout', 'file:pin']);
    const config = configOf({
      certificates: [{ certificate: chain, key: pki.file('sealed.key'), pinFile: pin }],
      clientAuthority: pki.root.certificatePath,
      ocspResponse: ocsp,
    });
    const material = await readHostMaterial(config);
    assert.equal(material.name, 'vpn.example');
    assert.equal(material.certificates[0]?.pin?.reveal(), 'open sesame');
    assert.equal(String(material.certificates[0]?.key), '[secret]');
    assert.equal(material.clientAuthority, pki.root.certificatePem);
    assert.deepEqual(material.ocspResponse, Uint8Array.of(0x30, 0x80));
    const contexts = new HostContexts([material]);
    assert.deepEqual(Buffer.from(contexts.issuerOf(first.certificate.raw) ?? []), pki.root.certificate.raw);
    assert.equal(contexts.issuerOf(second.certificate.raw), undefined);
  });

  it('names the file that cannot be read', async () => {
    await assert.rejects(readHostMaterial(configOf({ clientAuthority: pki.file('nowhere.pem') })), (error) => {
      assert.ok(error instanceof MisuseError);
      assert.match(error.message, /nowhere\.pem: No such file/);
      return true;
    });
  });

  it('does without an OCSP response that is not there yet, as ocserv does', async () => {
    const { ocspResponse } = await readHostMaterial(configOf({ ocspResponse: pki.file('nowhere.ocsp') }));
    assert.equal(ocspResponse, undefined);
  });

  it('is set up anew when something has changed, for the connections that come then', async () => {
    const shown: string[] = [];
    const visitor = new PlayedVisitor();
    await using server = await FrontServer.start(
      ({ certificate }) => {
        shown.push(Buffer.from(certificate).equals(first.certificate.raw) ? 'first' : 'second');
        return visitor;
      },
      [materialOf(first)],
    );
    const visit = () => talkRaw({ host: '127.0.0.1', port: server.port, requests: ['GET /logout HTTP/1.1\r\n\r\n'] });
    await visit();
    assert.equal(server.contexts.replace([materialOf(first)]), false);
    assert.equal(server.contexts.replace([materialOf(second)]), true);
    await visit();
    assert.throws(
      () =>
        server.contexts.replace([
          materialOf(first, { certificates: [{ certificate: first.certificatePem, key: new Secret(second.keyPem) }] }),
        ]),
      MisuseError,
    );
    await visit();
    assert.deepEqual(shown, ['first', 'second', 'second']);
  });

  it('knows no clients where no authority is named, whoever the machine trusts', async () => {
    const client = pki.issueClient();
    const visitor = new PlayedVisitor();
    for (const [material, isKnown] of [
      [materialOf(first, { clientCertificates: 'optional' }), false],
      [materialOf(first, { clientCertificates: 'optional', clientAuthority: pki.root.certificatePem }), true],
      [
        materialOf(first, { clientCertificates: 'optional', clientAuthority: pki.root.certificatePem, revocationList: pki.revoke(client) }),
        false,
      ],
    ] as const) {
      await using server = await FrontServer.start(visitor, [material]);
      const certificate = { cert: client.certificatePem, key: client.keyPem };
      const { answers } = await talkRaw({ host: '127.0.0.1', port: server.port, requests: ['GET /logout HTTP/1.1\r\n\r\n'], certificate });
      assert.match(answers[0] ?? '', /200 OK/);
      assert.equal(server.facts[0]?.certificateChain !== undefined, isKnown);
    }
  });

  it('speaks the versions and ciphers of its policy only', async () => {
    const strict = {
      ...POLICY,
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
      groups: 'P-256',
      signatures: 'ECDSA+SHA256',
    } as const;
    await using server = await FrontServer.start(new PlayedVisitor(), [materialOf(first, { policy: strict })]);
    await talkRaw({ host: '127.0.0.1', port: server.port, requests: ['GET /logout HTTP/1.1\r\n\r\n'] });
    assert.equal(server.facts[0]?.cipherSuite, 'TLSv1.2-TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256');
  });
});
