import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls, { type TLSSocket, type TlsOptions } from 'node:tls';
import { CancelledError, NetworkError } from '../../src/core/errors.ts';
import { type TlsOptions as ClientOptions, TlsConnection } from '../../src/node/tls-connection.ts';
import { type Issued, Pki } from '../support/pki.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { RecordCounter } from '../support/tls-records.ts';

describe('TLS connection', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  let pki: Pki;
  let certificate: Issued;
  before(() => {
    pki = new Pki();
    certificate = pki.issueServer({ names: ['vpn.example'], addresses: ['127.0.0.1'] });
  });
  after(() => pki[Symbol.dispose]());

  /** A TLS server on loopback, and a client's connection to it, whose records are counted on the way. */
  async function connect(server: TlsOptions = {}, client: Partial<ClientOptions> = {}) {
    const listener = tls.createServer({ key: certificate.keyPem, cert: certificate.certificatePem, ...server });
    listener.on('tlsClientError', () => undefined); // the client tells
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const sent = await RecordCounter.start((listener.address() as AddressInfo).port);
    const raw = net.connect(sent.port, '127.0.0.1');
    await once(raw, 'connect');
    const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
    accepted.catch(() => undefined); // where there is no connection
    const [connection, [peer]] = await Promise.all([open(raw, client), accepted]).catch((error: unknown) => {
      sent.close();
      listener.close();
      throw error;
    });
    peer.on('error', () => undefined);
    return {
      connection,
      peer,
      sent,
      [Symbol.asyncDispose]: async () => {
        connection.destroy();
        peer.destroy();
        sent.close();
        listener.close();
      },
    };
  }

  function open(raw: net.Socket, client: Partial<ClientOptions> = {}): Promise<TlsConnection> {
    const options = {
      host: 'vpn.example',
      context: tls.createSecureContext({ ca: pki.root.certificatePem }),
      judge: async () => undefined,
    };
    return TlsConnection.open(raw, { ...options, signal: new AbortController().signal, ...client });
  }

  /** Reads until so many bytes have come. */
  async function receive(peer: TLSSocket, length: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let received = 0;
    for await (const chunk of peer.iterator({ destroyOnReturn: false })) {
      chunks.push(chunk);
      received += chunk.length;
      if (received >= length) break;
    }
    return Buffer.concat(chunks);
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`sends each write as one record, however many wait (${version})`, async () => {
      await using pair = await connect({ minVersion: version, maxVersion: version });
      const { connection, peer, sent } = pair;
      const frames = Array.from({ length: 500 }, (_, i) => Buffer.alloc(1 + ((i * 97) % 1500), i));
      const before = sent.applicationRecords;
      for (const frame of frames) connection.write(frame); // all in one turn: the socket cannot send them meanwhile
      const all = Buffer.concat(frames);
      assert.ok((await receive(peer, all.length)).equals(all));
      assert.equal(sent.applicationRecords - before, frames.length);
    });

    it(`sends the largest record whole (${version})`, async () => {
      await using pair = await connect({ minVersion: version, maxVersion: version });
      const before = pair.sent.applicationRecords;
      for (let i = 0; i < 20; i++) pair.connection.write(Buffer.alloc(16_384, i));
      await receive(pair.peer, 20 * 16_384);
      assert.equal(pair.sent.applicationRecords - before, 20);
    });

    it(`exports the keying material and the Finished message that the peer knows too (${version})`, async () => {
      await using pair = await connect({ minVersion: version, maxVersion: version });
      const label = 'EXPORTER-openconnect-psk';
      // Without a context, in TLS 1.2 another value than with an empty one.
      const theirs = pair.peer.exportKeyingMaterial(32, label, undefined as unknown as Buffer);
      assert.deepEqual(Buffer.from(await pair.connection.exportKeyingMaterial(label, 32)), theirs);
      assert.deepEqual(pair.connection.finished, pair.peer.getPeerFinished());
    });
  }

  it('knows its ends, its cipher and the peer’s certificate', async () => {
    await using pair = await connect();
    const { connection, sent } = pair;
    assert.equal(connection.remote.port, sent.port);
    assert.deepEqual(connection.local.address, connection.remote.address);
    assert.equal(connection.cipherSuite, 'TLSv1.3-TLS_AES_256_GCM_SHA384');
    assert.deepEqual(Buffer.from(connection.peerCertificate), certificate.certificate.raw);
  });

  it('names the host in its hello, or what it is told to, and never an address', async () => {
    for (const [client, name] of [
      [{}, 'vpn.example'],
      [{ sni: 'front.example' }, 'front.example'],
      [{ host: '127.0.0.1' }, false],
      [{ sni: '192.0.2.1' }, false],
    ] as const) {
      await using pair = await connect({}, client);
      assert.equal(pair.peer.servername, name);
    }
  });

  it('is judged by all that is known, before a byte is sent', async () => {
    let judged: unknown;
    const judge: ClientOptions['judge'] = async (presented) => {
      judged = presented;
    };
    await using pair = await connect({}, { judge });
    assert.deepEqual(judged, { chain: [certificate.certificate.raw], host: 'vpn.example', authorizationError: undefined });
    assert.ok(pair.connection.remote.port > 0);
  });

  it('is not made where the judge says no', async () => {
    const refusal = new NetworkError('not trusted');
    const judge = () => Promise.reject(refusal);
    await assert.rejects(connect({}, { judge }), refusal);
  });

  it('can be cancelled before it begins, while the peer says nothing, and while it is judged', async () => {
    const silent = net.createServer((socket) => socket.on('error', () => undefined).resume()).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const controller = new AbortController();
    const raw = net.connect((silent.address() as AddressInfo).port, '127.0.0.1');
    await once(raw, 'connect');
    const opening = open(raw, { signal: controller.signal });
    controller.abort();
    await assert.rejects(opening, CancelledError);
    assert.ok(raw.destroyed);
    silent.close();
    await assert.rejects(open(new net.Socket(), { signal: controller.signal }), CancelledError);

    const whileJudged = new AbortController();
    const judge = () => {
      whileJudged.abort();
      return new Promise<never>(() => undefined); // a person who does not answer
    };
    await assert.rejects(connect({}, { judge, signal: whileJudged.signal }), CancelledError);
  });

  it('is not made where it breaks while it is judged, even if the judge says yes', async () => {
    const sent = Promise.withResolvers<RecordCounter>();
    const judge = async () => {
      const relay = await sent.promise;
      relay.reset();
      await once(raw, 'close');
    };
    const listener = tls.createServer({ key: certificate.keyPem, cert: certificate.certificatePem }).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const relay = await RecordCounter.start((listener.address() as AddressInfo).port);
    sent.resolve(relay);
    const raw = net.connect(relay.port, '127.0.0.1');
    await once(raw, 'connect');
    await assert.rejects(open(raw, { judge }), /closed the connection while its certificate was judged/);
    relay.close();
    listener.close();
  });

  it('says what is wrong with a peer that is none', async () => {
    const cases: readonly (readonly [(socket: net.Socket) => unknown, RegExp])[] = [
      [(socket) => socket.end(), /closed the connection during the TLS handshake|failed/],
      [(socket) => socket.resetAndDestroy(), /Connection reset by peer/],
      [
        (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
        /handshake with vpn\.example failed: (?:wrong version number|packet length too long|record layer failure)\.$/,
      ],
    ];
    for (const [answer, message] of cases) {
      const server = net
        .createServer((socket) => socket.on('error', () => undefined).once('data', () => answer(socket)))
        .listen(0, '127.0.0.1');
      await once(server, 'listening');
      const raw = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
      await assert.rejects(open(raw), (error) => {
        assert.ok(error instanceof NetworkError);
        assert.equal(error.code, 'ERR_TLS');
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /:error:|\.c\b|\.\./); // nothing of OpenSSL's inside
        return true;
      });
      server.close();
    }
  });

  it('says that there is no version or suite in common', async () => {
    const context = tls.createSecureContext({ maxVersion: 'TLSv1.2' });
    await assert.rejects(connect({ minVersion: 'TLSv1.3' }, { context }), /handshake with vpn\.example failed: .*version.*\.$/i);
  });

  it('sends what is queued and says goodbye when it closes, and is closed then', async () => {
    await using pair = await connect();
    const { connection, peer } = pair;
    const ended = once(peer, 'end'); // only a close_notify ends a TLS stream without an error
    const closed = Promise.withResolvers<unknown>();
    connection.onClose(closed.resolve);
    const received = receive(peer, 100_000);
    for (let i = 0; i < 10; i++) connection.write(Buffer.alloc(10_000, i));
    await connection.close(5_000);
    assert.equal((await received).length, 100_000);
    peer.resume();
    await ended;
    assert.equal(await closed.promise, undefined);
    await connection.close(5_000); // again
  });

  it('gives up closing a connection whose peer takes nothing', async () => {
    await using pair = await connect();
    pair.peer.pause();
    for (let i = 0; i < 2_000; i++) pair.connection.write(Buffer.alloc(16_384));
    assert.ok(pair.connection.queued > 0);
    const closed = Promise.withResolvers<unknown>();
    pair.connection.onClose(closed.resolve);
    await pair.connection.close(50);
    await closed.promise;
  });

  it('tells whoever listens that the peer has left, or that the connection broke', async () => {
    await using left = await connect();
    const closed = Promise.withResolvers<Error | undefined>();
    left.connection.onClose(closed.resolve);
    left.connection.onData(() => undefined);
    left.peer.end();
    assert.equal(await closed.promise, undefined);

    await using broken = await connect();
    const failed = Promise.withResolvers<Error | undefined>();
    broken.connection.onClose(failed.resolve);
    broken.connection.onData(() => undefined);
    broken.sent.reset();
    assert.match((await failed.promise)?.message ?? '', /^The connection to vpn\.example failed: Connection reset by peer\.$/);
  });

  it('pushes back on a peer that sends more than is read', async () => {
    await using pair = await connect();
    const { connection, peer } = pair;
    let received = 0;
    connection.onData((bytes) => {
      received += bytes.length;
    });
    connection.pause();
    const flood = Buffer.alloc(1 << 20);
    for (let i = 0; i < 32; i++) peer.write(flood);
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(peer.writableLength > 0);
    connection.resume();
    await once(peer, 'drain');
    assert.ok(received > 0);
  });
});
