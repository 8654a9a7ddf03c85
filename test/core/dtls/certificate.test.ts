/** DTLS in which the server shows a certificate: ECDHE and RSA, over good links and bad ones. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import type { CertificateIdentity } from '../../../src/core/crypto/provider.ts';
import { ERR_DTLS_CERTIFICATE } from '../../../src/core/dtls/certificate-exchange.ts';
import { DtlsClient, type DtlsClientOptions } from '../../../src/core/dtls/client.ts';
import type { DtlsVersion } from '../../../src/core/dtls/dialect.ts';
import { answerStranger } from '../../../src/core/dtls/hello-cookie.ts';
import { DtlsServer } from '../../../src/core/dtls/server.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import { certificateIdentity } from '../../../src/node/crypto/certificates.ts';
import { DatagramSink } from '../../support/datagram-sink.ts';
import { LayerPair } from '../../support/layer-pair.ts';
import type { LinkConditions } from '../../support/link-model.ts';
import { LossyLink } from '../../support/lossy-link.ts';
import { missing } from '../../support/requirements.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { sized } from '../../support/size.ts';
import { throwawayCertificate } from '../../support/throwaway-certificate.ts';

interface Kind {
  readonly version: DtlsVersion;
  readonly suite: number;
  readonly key: 'rsa' | 'ec';
}

const KINDS: readonly Kind[] = [
  { version: '1.2', suite: 0xc030, key: 'rsa' },
  { version: '1.2', suite: 0xcca8, key: 'rsa' },
  { version: '1.2', suite: 0xc02b, key: 'ec' },
  { version: '1.2', suite: 0x009d, key: 'rsa' },
  { version: '1.2', suite: 0xc014, key: 'rsa' },
  { version: '1.0', suite: 0xc013, key: 'rsa' },
  { version: '1.0', suite: 0xc00a, key: 'ec' },
  { version: '1.0', suite: 0x002f, key: 'rsa' },
];

function identityOf(type: 'rsa' | 'ec'): CertificateIdentity {
  const { certificatePem, keyPem } = throwawayCertificate(type);
  return certificateIdentity([new Uint8Array(new X509Certificate(certificatePem).raw)], createPrivateKey(keyPem));
}

describe('DTLS with certificates', { skip: missing('openssl') }, () => {
  const identities = { rsa: identityOf('rsa'), ec: identityOf('ec') };
  const accepting = { kind: 'certificate', faultOf: () => undefined } as const;

  function clientOf(
    { version, suite }: Kind,
    seed: number,
    credentials: DtlsClientOptions['credentials'] = { ...accepting, suites: [suite] },
  ) {
    return new DtlsClient({ crypto: new SeededCrypto(seed), version, credentials });
  }

  function serverOf({ version, suite, key }: Kind, seed: number, identity: CertificateIdentity = identities[key]) {
    return new DtlsServer({
      crypto: new SeededCrypto(seed),
      version,
      credentials: { kind: 'certificate', identity, suites: [suite] },
      cookie: { secret: new Uint8Array(16).fill(seed), peer: utf8('192.0.2.1:4444') },
    });
  }

  function pairOf(kind: Kind, conditions: Partial<LinkConditions> = { delay: 5 }, seed = 1) {
    return new LayerPair(clientOf(kind, 2 * seed), serverOf(kind, 2 * seed + 1), new LossyLink(conditions, seed));
  }

  type Pair = ReturnType<typeof pairOf>;
  const areUp = ({ left, right }: Pair) => left.state.name === 'up' && right.state.name === 'up';

  for (const kind of KINDS) {
    it(`agrees on a session and carries packets (DTLS ${kind.version}, suite ${kind.suite.toString(16)})`, () => {
      const pair = pairOf(kind);
      assert.ok(
        pair.run(() => areUp(pair), 1000),
        `${JSON.stringify(pair.left.state)} ${JSON.stringify(pair.right.state)}`,
      );
      assert.ok(pair.left.state.name === 'up' && pair.right.state.name === 'up');
      assert.deepEqual(pair.left.state.session, pair.right.state.session);
      assert.equal(pair.left.state.session.suite.id, kind.suite);
      assert.ok(pair.left.state.session.hasExtendedMasterSecret);
      pair.send('left', utf8('to the right'));
      pair.send('right', utf8('to the left'));
      pair.settle(pair.now + 100);
      assert.deepEqual([pair.sinks.left.takeTexts(), pair.sinks.right.takeTexts()], [['to the left'], ['to the right']]);
    });
  }

  it('comes up whatever is lost, repeated or overtaken', () => {
    const count = sized(40, 2000);
    for (let seed = 1; seed <= count; seed++) {
      const kind = KINDS[seed % KINDS.length] ?? assert.fail();
      const pair = pairOf(kind, { loss: (seed % 4) * 0.1, duplication: (seed % 3) * 0.2, delay: 10, jitter: (seed % 5) * 100 }, seed);
      assert.ok(
        pair.run(() => areUp(pair), 600_000),
        `seed ${seed}: ${pair.left.state.name}, ${pair.right.state.name}`,
      );
      assert.equal(pair.left.counters.forged + pair.right.counters.forged, 0, `seed ${seed}`);
    }
  });

  it('shows the chain to the client, which may refuse it', () => {
    const kind = KINDS[0] ?? assert.fail();
    let shown: readonly Uint8Array[] = [];
    const faultOf = (chain: readonly Uint8Array[]) => {
      shown = chain;
      return 'it is not the one of the log-in';
    };
    const pair = new LayerPair(clientOf(kind, 1, { kind: 'certificate', faultOf }), serverOf(kind, 2), new LossyLink({ delay: 5 }, 1));
    pair.settle(2000);
    assert.deepEqual(shown, identities.rsa.chain);
    assert.ok(pair.left.state.name === 'failed');
    assert.equal(pair.left.state.error.code, ERR_DTLS_CERTIFICATE);
    assert.equal(pair.left.state.error.message, "The DTLS server's certificate is not accepted: it is not the one of the log-in.");
    assert.equal(pair.right.state.name, 'failed');
  });

  it('does not believe a certificate whose key is not the one that signs', () => {
    for (const kind of [KINDS[0] ?? assert.fail(), KINDS[5] ?? assert.fail()]) {
      const thief = { ...identityOf('rsa'), chain: identities.rsa.chain };
      const pair = new LayerPair(clientOf(kind, 1), serverOf(kind, 2, thief), new LossyLink({ delay: 5 }, 1));
      pair.settle(2000);
      assert.ok(pair.left.state.name === 'failed');
      assert.match(pair.left.state.error.message, /signature of ServerKeyExchange/);
    }
  });

  it('comes to nothing with RSA where the server has not the key, without saying why', () => {
    const kind = KINDS[3] ?? assert.fail();
    const thief = { ...identityOf('rsa'), chain: identities.rsa.chain };
    const pair = new LayerPair(clientOf(kind, 1), serverOf(kind, 2, thief), new LossyLink({ delay: 5 }, 1));
    pair.settle(5000);
    assert.equal(pair.left.state.name, 'handshaking');
    assert.equal(pair.right.state.name, 'handshaking');
    assert.ok(pair.right.counters.forged > 0, 'its Finished cannot be opened');
  });

  it('goes on from a hello whose cookie somebody without a memory has asked for', () => {
    const kind = KINDS[0] ?? assert.fail();
    const cookie = { secret: new Uint8Array(16).fill(7), peer: utf8('192.0.2.1:4444') };
    const crypto = new SeededCrypto(9);
    const client = clientOf(kind, 1);
    const sink = new DatagramSink();
    client.handleTimeout(0, sink);
    const request = answerStranger(crypto, cookie, sink.takeBytes());
    assert.ok(request instanceof Uint8Array);
    client.receive(request, 1, sink);
    const second = sink.takeBytes();
    assert.equal(answerStranger(crypto, cookie, second), 'valid');
    assert.equal(answerStranger(crypto, { ...cookie, peer: utf8('192.0.2.1:4445') }, second) === 'valid', false);
    assert.equal(answerStranger(crypto, cookie, Uint8Array.of(1, 2, 3)), undefined);
    const credentials = { kind: 'certificate', identity: identities.rsa } as const;
    const server = new DtlsServer({ crypto, version: '1.2', credentials, cookie });
    const answers = new DatagramSink();
    server.receive(second, 2, answers);
    const pair = new LayerPair(client, server, new LossyLink({ delay: 5 }, 1));
    for (const datagram of answers.take()) client.receive(datagram, 3, pair.sinks.left);
    assert.ok(pair.run(() => client.state.name === 'up' && server.state.name === 'up', 2000));
  });

  it('chooses by the kind of key that the server has', () => {
    for (const key of ['rsa', 'ec'] as const) {
      const client = new DtlsClient({ crypto: new SeededCrypto(1), version: '1.2', credentials: accepting });
      const credentials = { kind: 'certificate', identity: identities[key] } as const;
      const server = new DtlsServer({ crypto: new SeededCrypto(2), version: '1.2', credentials });
      const pair = new LayerPair(client, server, new LossyLink({ delay: 5 }, 1));
      assert.ok(pair.run(() => client.state.name === 'up', 1000));
      assert.ok(client.state.name === 'up');
      assert.equal(client.state.session.suite.id, key === 'rsa' ? 0xc030 : 0xc02c);
    }
  });
});
