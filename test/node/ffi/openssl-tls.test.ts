/** TLS by OpenSSL's functions, on the bytes of a socket of node:net, with node:tls at the other end. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls, { type TLSSocket, type TlsOptions } from 'node:tls';
import { MisuseError } from '../../../src/core/errors.ts';
import { NOT_READ, TlsSession } from '../../../src/node/ffi/openssl-tls.ts';
import { TlsBytes } from '../../../src/node/ffi/openssl-tls-bytes.ts';
import { OpenSslTls } from '../../../src/node/ffi/openssl-tls-calls.ts';
import type { TlsSettings } from '../../../src/node/ffi/openssl-tls-context.ts';
import { type PresentedCertificate, presentedBy } from '../../../src/node/trust/verify-certificate.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const SETTINGS: TlsSettings = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:ECDHE+AESGCM',
  serverName: 'vpn.example',
};

describe("TLS by OpenSSL's functions", { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  let pki: Pki;
  let server: Issued;
  before(() => {
    pki = new Pki();
    server = pki.issueServer({ names: ['vpn.example'], addresses: ['127.0.0.1'] });
  });
  after(() => pki[Symbol.dispose]());

  /** A session that has shaken hands with a server of node:tls. */
  async function connect(options: TlsOptions = {}, settings: Partial<TlsSettings> = {}) {
    const openssl = OpenSslTls.bind();
    const { arena, network } = openssl;
    const listener = tls.createServer({ key: server.keyPem, cert: server.certificatePem, ...options });
    listener.on('tlsClientError', () => undefined); // the client tells
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const socket = net.connect((listener.address() as AddressInfo).port, '127.0.0.1');
    await once(socket, 'connect');
    const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
    accepted.catch(() => undefined);
    const session = TlsSession.create(openssl, { ...SETTINGS, ...settings });

    /** Sends what waits; answers how many bytes that was. */
    function flush(): number {
      const length = session.unsent;
      if (length === 0) return 0;
      assert.notEqual(session.unsentAddress, 0);
      session.sent(length); // they pass through the network room as they go
      socket.write(Uint8Array.from(arena.bytes.subarray(network, network + length)));
      return length;
    }
    const chunks: Buffer[] = [];
    socket.on('data', (bytes) => chunks.push(bytes));
    async function fed(): Promise<void> {
      if (chunks.length === 0) await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      for (const bytes of chunks.splice(0)) {
        arena.bytes.set(bytes, network);
        session.feed(arena.address(network), bytes.length);
      }
    }
    let state = session.handshake();
    for (; state === 'waiting'; state = session.handshake()) {
      flush();
      await fed();
    }
    flush();
    return {
      openssl,
      session,
      state,
      flush,
      fed,
      peer: async () => (await accepted)[0],
      [Symbol.asyncDispose]: async () => {
        session.close();
        socket.destroy();
        listener.close();
      },
    };
  }

  /** What node:tls finds of a server's chain, but for the name. */
  async function asNodeSees(shown: TlsOptions, believed: readonly Issued[]): Promise<PresentedCertificate> {
    const listener = tls.createServer(shown).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    const socket = tls.connect({
      port,
      host: '127.0.0.1',
      servername: 'vpn.example',
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ca: believed.map(({ certificatePem }) => certificatePem),
      allowPartialTrustChain: true,
    });
    await once(socket, 'secureConnect');
    try {
      return presentedBy(socket, 'vpn.example');
    } finally {
      socket.destroy();
      listener.close();
    }
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`agrees with node:tls about everything that a tunnel asks of a connection (${version})`, async () => {
      await using c = await connect({ maxVersion: version });
      assert.equal(c.state, 'done');
      const peer = await c.peer();
      assert.equal(peer.servername, 'vpn.example');
      assert.equal(c.session.cipherSuite, `${version}-${peer.getCipher().standardName}`);
      const { raw } = new X509Certificate(server.certificatePem);
      assert.ok(raw.equals(c.session.peerCertificate ?? Buffer.of()));
      assert.deepEqual(Buffer.from(c.session.finished), peer.getPeerFinished());
      const exported = peer.exportKeyingMaterial(32, 'EXPORTER-test', undefined as unknown as Buffer);
      assert.deepEqual(Buffer.from(c.session.exportKeys('EXPORTER-test', 32) ?? []), exported);
      assert.equal(c.session.updatesKeys, version === 'TLSv1.3');
    });

    it(`makes each write one record, and reads back what comes (${version})`, async () => {
      await using c = await connect({ maxVersion: version });
      const { arena, network } = c.openssl;
      const peer = await c.peer();
      const sizes = [1, 1400, 16_384];
      const around = 5 + (version === 'TLSv1.3' ? 1 + 16 : 8 + 16); // header; type or explicit nonce; tag
      let sealed = 0;
      for (const size of sizes) {
        arena.bytes.fill(size, network, network + size);
        assert.ok(c.session.write(arena.address(network), size));
        sealed += size + around;
      }
      assert.equal(c.flush(), sealed);
      let received = 0;
      for await (const chunk of peer.iterator({ destroyOnReturn: false })) {
        received += (chunk as Buffer).length;
        if (received === 1 + 1400 + 16_384) break;
      }
      peer.write('and back');
      let length: number = NOT_READ.nothingYet;
      while (length === NOT_READ.nothingYet) {
        await c.fed();
        length = c.session.read(arena.address(network), 16_384); // in TLS 1.3 the tickets come first
      }
      assert.equal(arena.bytes.toString('latin1', network, network + length), 'and back');
    });
  }

  it('makes records of one length of a write where it is told to, and a whole one of the next', async () => {
    await using c = await connect({ maxVersion: 'TLSv1.3' });
    const { arena, network } = c.openssl;
    const peer = await c.peer();
    const pieces = [
      { length: 46 * 1408 + 70, recordLength: 1408, records: 47 },
      { length: 1408, recordLength: 1408, records: 1 },
      { length: 16_384, recordLength: 16_384, records: 1 },
      { length: 2 * 512, recordLength: 512, records: 2 },
      { length: 3000, recordLength: 1500, records: 2 },
    ];
    const sent = pieces.map(({ length, recordLength, records }, i) => {
      arena.bytes.fill(i + 1, network, network + length);
      assert.ok(c.session.write(arena.address(network), length, recordLength));
      assert.equal(c.flush(), length + records * (5 + 1 + 16));
      return Buffer.alloc(length, i + 1);
    });
    const expected = Buffer.concat(sent);
    const received: Buffer[] = [];
    for await (const chunk of peer.iterator({ destroyOnReturn: false })) {
      received.push(chunk as Buffer);
      if (Buffer.concat(received).length >= expected.length) break;
    }
    assert.ok(Buffer.concat(received).equals(expected));
  });

  it('renews the keys of TLS 1.3 in the middle of a connection', async () => {
    await using c = await connect();
    const { arena, network } = c.openssl;
    const peer = await c.peer();
    for (let i = 0; i < 3; i++) {
      assert.ok(c.session.updateKeys());
      arena.bytes.write('under new keys', network, 'latin1');
      assert.ok(c.session.write(arena.address(network), 14));
      c.flush();
      const [bytes] = (await once(peer, 'data')) as [Buffer];
      assert.equal(bytes.toString(), 'under new keys');
      peer.write(`answer ${i}`);
      let length: number = NOT_READ.nothingYet;
      while (length === NOT_READ.nothingYet) {
        await c.fed();
        length = c.session.read(arena.address(network), 16_384);
      }
      assert.equal(arena.bytes.toString('latin1', network, network + length), `answer ${i}`);
    }
  });

  it('shows a certificate with its issuer, and wipes the key that it was given', async () => {
    const client = pki.issueClient();
    const key = createPrivateKey(client.keyPem).export({ type: 'pkcs8', format: 'der' });
    const chain = [new X509Certificate(client.certificatePem).raw, new X509Certificate(pki.root.certificatePem).raw];
    await using c = await connect({ requestCert: true, ca: pki.root.certificatePem }, { identity: { chain, key } });
    const peer = await c.peer();
    assert.equal(peer.authorized, true);
    assert.equal(peer.getPeerX509Certificate()?.raw.equals(chain[0] ?? Buffer.of()), true);
    assert.ok(key.every((byte) => byte === 0));
  });

  it('finds the same right and wrong with a chain as node:tls does', async () => {
    const stranger = new Pki();
    const middle = pki.issueAuthority();
    const [HOUR, names] = [3_600_000, ['vpn.example']];
    const of = (issued: Issued, ...issuers: readonly Issued[]) => ({
      key: issued.keyPem,
      cert: [issued, ...issuers].map(({ certificatePem }) => certificatePem).join(''),
    });
    const past = { notBefore: new Date(Date.now() - 2 * HOUR), notAfter: new Date(Date.now() - HOUR) };
    const below = pki.issueServer({ names, issuer: middle });
    const outcomes = new Set<string | undefined>();
    for (const [what, shown, ca] of [
      ['good', of(server), [pki.root]],
      ['good by the second of two', of(server), [stranger.root, pki.root]],
      ['with its issuer', of(below, middle), [pki.root]],
      ['without its issuer', of(below), [pki.root]],
      ['whose issuer is believed, though no root', of(below), [middle]],
      ['of strangers', of(server), [stranger.root]],
      ['of nobody', of(server), []],
      ['signed by itself', of(pki.selfSigned({ names })), [pki.root]],
      ['that has expired', of(pki.issueServer({ names, ...past })), [pki.root]],
      ['that is not valid yet', of(pki.issueServer({ names, notBefore: new Date(Date.now() + HOUR) })), [pki.root]],
      ['of a client', of(pki.issueClient()), [pki.root]],
      ['by a server', of(pki.issueServer({ names, issuer: server }), server), [pki.root]],
      ['with SHA-1', of(pki.issueServer({ names, digest: 'sha1' })), [pki.root]],
    ] as const) {
      await using c = await connect(shown, { authorities: ca.map(({ certificatePem }) => new X509Certificate(certificatePem).raw) });
      assert.equal(c.state, 'done');
      const { chain, fault } = c.session.verification;
      const theirs = await asNodeSees(shown, ca);
      // Node's is the last fault that OpenSSL finds; ours, which ends the search, the first.
      const expected = what === 'by a server' ? 'INVALID_CA' : theirs.authorizationError;
      assert.equal(fault, expected, what);
      assert.deepEqual(Buffer.from(chain[0] ?? []), Buffer.from(theirs.chain[0] ?? []), what);
      outcomes.add(fault);
    }
    assert.ok(outcomes.size >= 6, [...outcomes].join());
    stranger[Symbol.dispose]();
  });

  it("says in OpenSSL's words why there is no connection", async () => {
    await using c = await connect({ minVersion: 'TLSv1.3' }, { maxVersion: 'TLSv1.2' });
    assert.equal(c.state, 'failed');
    assert.match(c.session.failure, /alert protocol version/);
  });

  it('goes on after it was asked for keys that it may not export', async () => {
    await using c = await connect({ maxVersion: 'TLSv1.2' });
    assert.equal(c.session.exportKeys('master secret', 32), undefined); // RFC 5705, section 4
    assert.equal(c.session.read(c.openssl.arena.address(c.openssl.network), 16_384), NOT_READ.nothingYet);
  });

  it('hears the end of the connection from the peer', async () => {
    await using c = await connect();
    (await c.peer()).end();
    let length: number = NOT_READ.nothingYet;
    while (length === NOT_READ.nothingYet) {
      await c.fed();
      length = c.session.read(c.openssl.arena.address(c.openssl.network), 16_384);
    }
    assert.equal(length, NOT_READ.ended);
  });

  it('refuses settings that OpenSSL does not know', () => {
    const openssl = OpenSslTls.bind();
    assert.throws(() => TlsSession.create(openssl, { ...SETTINGS, ciphers: 'NONSENSE' }), MisuseError);
    assert.throws(() => TlsSession.create(openssl, { ...SETTINGS, groups: 'P-1' }), MisuseError);
    const key = Buffer.from('a key');
    const identity = { chain: [Buffer.from('no certificate')], key };
    assert.throws(() => TlsSession.create(openssl, { ...SETTINGS, identity }), MisuseError);
    assert.ok(
      key.every((byte) => byte === 0),
      'nobody will use it any more',
    );
  });

  it('renews its keys as often as anybody needs to, and not for who does nothing else', () => {
    const openssl = OpenSslTls.bind();
    const only = { ...SETTINGS, minVersion: 'TLSv1.3' } as const;
    const key = createPrivateKey(server.keyPem).export({ type: 'pkcs8', format: 'der' });
    const identity = { chain: [server.certificate.raw], key };
    const [client, host] = [TlsSession.create(openssl, only), TlsSession.create(openssl, { ...only, role: 'server', identity })].map(
      (session) => ({ session, bytes: new TlsBytes(openssl, session) }),
    );
    if (client === undefined || host === undefined) assert.fail();
    for (let turn = 0; turn < 4; turn++) {
      for (const [one, other] of [
        [client, host],
        [host, client],
      ] as const) {
        one.bytes.handshake();
        other.bytes.feed(one.bytes.takeUnsent());
      }
    }
    assert.equal(client.bytes.read(), NOT_READ.nothingYet, 'the tickets');
    const renewed = (count: number) => {
      for (let i = 0; i < count; i++) assert.ok(client.session.updateKeys());
      client.bytes.write(Buffer.from('data'));
      host.bytes.feed(client.bytes.takeUnsent());
      const read = host.bytes.read();
      return typeof read === 'number' ? read : String(Buffer.from(read));
    };
    const first = renewed(40);
    assert.equal(first, 'data', host.bytes.failure);
    assert.equal(renewed(40), NOT_READ.failed);
    assert.equal(host.bytes.failure, 'too many key updates');
    client.session.close();
    host.session.close();
  });
});
