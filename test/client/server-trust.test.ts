import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CertificateNotTrustedError, ServerTrust } from '../../src/client/server-trust.ts';
import { Pki } from '../support/pki.ts';
import { missing } from '../support/requirements.ts';
import { throwawayCertificate } from '../support/throwaway-certificate.ts';

describe('what is known of a gateway', { skip: missing('openssl') }, () => {
  const good = throwawayCertificate();
  const other = throwawayCertificate();
  const presented = (der: Uint8Array) => ({ chain: [der], host: 'localhost', authorizationError: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  const trust = (options: Partial<ConstructorParameters<typeof ServerTrust>[0]>) =>
    new ServerTrust({ anchors: { ca: [], allowPartialTrustChain: true }, fingerprints: [], log: { log: () => undefined }, ...options });
  const gateway = { host: 'localhost', port: 443 };

  it('is the key that was found good there, and no other', async () => {
    const pinned = trust({ fingerprints: [good.pin] });
    assert.equal(pinned.knows(gateway), false);
    await pinned.judge(presented(good.der), 443);
    assert.equal(pinned.knows(gateway), true);
    assert.equal(pinned.knows(gateway, good.der), true);
    assert.equal(pinned.knows(gateway, other.der), false);
    assert.equal(pinned.knows({ ...gateway, port: 8443 }, good.der), false);
    await assert.rejects(pinned.judge(presented(other.der), 443), CertificateNotTrustedError);
    assert.equal(pinned.knows(gateway, other.der), false, 'nor one that was refused');
  });

  it('is what a person has accepted', async () => {
    const asked = trust({ confirm: async ({ pin }) => pin === good.pin });
    await asked.judge(presented(good.der), 443);
    await assert.rejects(asked.judge(presented(other.der), 443), CertificateNotTrustedError);
    assert.deepEqual([asked.knows(gateway, good.der), asked.knows(gateway, other.der)], [true, false]);
  });

  it('is what an authority, or a fingerprint, vouches for on any connection; what is in doubt is not put to anybody', () => {
    const confirm = () => assert.fail('nobody is to be asked');
    const asked = trust({ confirm });
    assert.equal(asked.admits(presented(good.der), 443), false);
    assert.equal(asked.knows(gateway), false);
    assert.equal(asked.admits({ ...presented(good.der), authorizationError: undefined }, 443), true);
    assert.equal(asked.admits({ ...presented(good.der), host: 'elsewhere', authorizationError: undefined }, 443), false);
    assert.deepEqual([asked.knows(gateway, good.der), asked.knows(gateway, other.der)], [true, false]);

    const pinned = trust({ fingerprints: [good.pin], confirm });
    assert.equal(pinned.admits({ ...presented(other.der), authorizationError: undefined }, 443), false, 'the fingerprint alone decides');
    assert.equal(pinned.admits(presented(good.der), 443), true);
    assert.equal(pinned.knows(gateway, good.der), true);
  });

  it('lets another key by where its chain is good, unless fingerprints were named', async () => {
    using pki = new Pki();
    const der = ({ certificate }: { readonly certificate: { readonly raw: Buffer } }) => new Uint8Array(certificate.raw);
    const own = der(pki.issueServer({ names: ['localhost'] }));
    const anchors = { ca: [pki.root.certificatePem], allowPartialTrustChain: true as const };
    const open = trust({ anchors });
    await open.judge({ ...presented(good.der), authorizationError: undefined }, 443);
    assert.equal(open.faultElsewhere(gateway, [good.der]), undefined);
    assert.equal(open.faultElsewhere(gateway, [own]), undefined);
    assert.equal(open.faultElsewhere(gateway, [other.der]), 'its key is not the one of the log-in, and it is signed by itself');
    assert.equal(trust({ anchors, fingerprints: [good.pin] }).faultElsewhere(gateway, [own]), 'its key is not the one of the log-in');
    assert.equal(open.faultElsewhere(gateway, []), 'there is none');
  });
});
