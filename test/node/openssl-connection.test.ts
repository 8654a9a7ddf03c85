/** A server's TLS connection that moves into the packet engine: whoever is at the other end notices nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import tls, { type ConnectionOptions } from 'node:tls';
import { NetworkError } from '../../src/core/errors.ts';
import { PacketEngine } from '../../src/node/engine/packet-engine.ts';
import { OpenSslServer } from '../../src/node/openssl-server.ts';
import type { AcceptedStream } from '../../src/node/tls-acceptor.ts';
import type { TlsStream } from '../../src/node/tls-stream.ts';
import { missing } from '../support/requirements.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { throwawayCertificate } from '../support/throwaway-certificate.ts';

const LABEL = 'EXPORTER-test';

/** Bytes that come on a connection, waited for by their number. */
class Inbox {
  bytes: Buffer = Buffer.alloc(0);
  #wanted = 0;
  #reached: (() => void) | undefined;

  readonly take = (bytes: Uint8Array): void => {
    this.bytes = Buffer.concat([this.bytes, bytes]);
    if (this.bytes.length >= this.#wanted) this.#reached?.();
  };

  async upTo(length: number): Promise<Buffer> {
    this.#wanted = length;
    if (this.bytes.length < length) {
      await new Promise<void>((resolve) => {
        this.#reached = resolve;
      });
    }
    return this.bytes;
  }
}

describe('A connection of OpenSSL’s functions', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  const { keyPem, certificatePem } = throwawayCertificate();
  let engine: PacketEngine;
  before(async () => {
    engine = await PacketEngine.start();
  });
  after(() => engine.close());

  /** Both ends of a connection, with a wire between that the test can hold. */
  async function connect(options: ConnectionOptions = {}) {
    const server = new OpenSslServer([{ tls: { cert: certificatePem, key: keyPem }, clientCertificates: 'no' }]);
    const accepted = Promise.withResolvers<AcceptedStream>();
    const raw = Promise.withResolvers<Socket>();
    const listener = net.createServer((socket) => {
      raw.resolve(socket);
      server.accept(socket, { signal: new AbortController().signal }).then((made) => {
        if (made !== undefined) accepted.resolve(made.connection);
      }, accepted.reject);
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const wire = await Wire.start((listener.address() as AddressInfo).port);
    const peer = tls.connect({ port: wire.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
    peer.on('error', () => undefined); // each test looks at what the other end makes of it
    const [connection] = await Promise.all([accepted.promise, once(peer, 'secureConnect')]);
    const fromPeer = new Inbox();
    const fromServer = new Inbox();
    connection.onData(fromPeer.take);
    peer.on('data', fromServer.take);
    return {
      ...{ connection, peer, wire, fromPeer, fromServer, raw: await raw.promise },
      [Symbol.asyncDispose]: async () => {
        peer.destroy();
        connection.destroy();
        wire.close();
        listener.close();
        server.retire();
      },
    };
  }

  async function moved(connection: AcceptedStream): Promise<TlsStream> {
    assert.ok(connection.release());
    return (await connection.moveTo(engine)) ?? assert.fail('it has moved');
  }

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const only = { minVersion: version, maxVersion: version };

    it(`goes on in the engine where it was (${version})`, async () => {
      await using c = await connect(only);
      c.peer.write('before');
      c.connection.write(Buffer.from('answer'));
      assert.equal(String(await c.fromPeer.upTo(6)), 'before');
      assert.equal(String(await c.fromServer.upTo(6)), 'answer');
      const exported = c.connection.exportNow(LABEL, 32);
      const stream = await moved(c.connection);
      assert.ok(stream.carrier !== undefined);
      assert.ok(c.raw.destroyed, 'the engine has a descriptor of its own');
      stream.onData(c.fromPeer.take);
      c.peer.write('behind');
      stream.write(Buffer.from(', too'));
      assert.equal(String(await c.fromPeer.upTo(12)), 'beforebehind');
      assert.equal(String(await c.fromServer.upTo(11)), 'answer, too');
      assert.deepEqual(Buffer.from(await stream.exportKeyingMaterial(LABEL, 32)), Buffer.from(exported));
      assert.equal(stream.cipherSuite, c.connection.cipherSuite);
      assert.deepEqual(stream.finished, c.connection.finished);
      if (version === 'TLSv1.3') {
        await stream.carrier?.updateKeys();
        stream.write(Buffer.from('!'));
        c.peer.write('!');
        assert.equal(String(await c.fromServer.upTo(12)), 'answer, too!');
        assert.equal(String(await c.fromPeer.upTo(13)), 'beforebehind!');
      }
      const ended = once(c.peer, 'end');
      await stream.close(1000);
      await ended;
    });

    it(`loses nothing that is under way when it moves, wherever that is cut (${version})`, async () => {
      const random = new SeededRandom(5);
      for (let round = 0; round < 20; round++) {
        await using c = await connect(only);
        const sent = Buffer.alloc(40_000, round);
        c.wire.hold();
        for (let at = 0; at < sent.length; at += 1000) {
          sent.writeUInt32BE(at, at);
          c.peer.write(sent.subarray(at, at + 1000));
        }
        await c.wire.held(sent.length);
        c.wire.letThrough(1 + Math.floor(random.fraction() * sent.length));
        if (random.fraction() < 0.5) await c.fromPeer.upTo(1 + Math.floor(random.fraction() * 500)).catch(assert.fail);
        c.wire.letThrough(1 + Math.floor(random.fraction() * 500));
        if (random.fraction() < 0.5) await setImmediate();
        const stream = await moved(c.connection);
        stream.onData(c.fromPeer.take);
        c.wire.release();
        assert.ok((await c.fromPeer.upTo(sent.length)).equals(sent), `round ${round}`);
        stream.destroy();
      }
    });
  }

  it('goes on here where the engine has no place for it', async () => {
    await using closed = await PacketEngine.start();
    await closed.close();
    await using c = await connect();
    assert.ok(c.connection.release());
    c.peer.write('under way');
    await setImmediate();
    assert.equal(await c.connection.moveTo(closed), undefined);
    c.connection.onData(c.fromPeer.take);
    assert.equal(String(await c.fromPeer.upTo(9)), 'under way');
    c.connection.write(Buffer.from('still here'));
    assert.equal(String(await c.fromServer.upTo(10)), 'still here');
  });

  it('does not move with bytes that only this thread can send', async () => {
    await using c = await connect();
    c.wire.hold();
    c.peer.pause();
    c.connection.write(Buffer.alloc(64 * 1024 * 1024));
    await setImmediate();
    assert.ok(c.raw.writableLength > 0, 'the kernel takes no more');
    assert.ok(c.connection.release());
    assert.equal(await c.connection.moveTo(engine), undefined);
  });

  it('tells of a client that has left, here and there', async () => {
    for (const where of ['here', 'engine']) {
      await using c = await connect();
      const stream = where === 'here' ? c.connection : await moved(c.connection);
      const closed = new Promise<unknown>((resolve) => stream.onClose(resolve));
      stream.onData(() => undefined);
      c.peer.end();
      assert.equal(await closed, undefined, where);
    }
  });

  it('ends when what comes is no record, and says why', async () => {
    for (const where of ['here', 'engine']) {
      await using c = await connect();
      const stream = where === 'here' ? c.connection : await moved(c.connection);
      const closed = new Promise<unknown>((resolve) => stream.onClose(resolve));
      stream.onData(() => undefined);
      c.wire.inject(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
      const error = await closed;
      assert.ok(error instanceof NetworkError, where);
      assert.match(error.message, /failed: .*(wrong version|record|alert)/i);
    }
  });

  it('sends what is written in one turn by one write, a record each', async () => {
    await using c = await connect();
    let writes = 0;
    const { write } = c.raw;
    c.raw.write = ((...args: Parameters<typeof write>) => {
      writes++;
      return write.apply(c.raw, args);
    }) as typeof write;
    for (let i = 0; i < 50; i++) c.connection.write(Buffer.alloc(1400, i));
    await c.fromServer.upTo(50 * 1400);
    assert.equal(writes, 1);
  });

  it('leaves a client that does not read waiting, not us', async () => {
    await using c = await connect();
    c.peer.pause();
    let isFull = false;
    for (let i = 0; i < 1000 && !isFull; i++) {
      isFull = !c.connection.write(Buffer.alloc(16_384));
      await setImmediate();
    }
    assert.ok(isFull);
    assert.ok(c.connection.queued > 0);
    const drained = new Promise<void>((resolve) => c.connection.onDrain(resolve));
    c.peer.resume();
    await drained;
  });

  it('tells who was told to wait, also where the system takes everything at once', async () => {
    await using c = await connect();
    const drained = new Promise<void>((resolve) => c.connection.onDrain(resolve));
    const answers = Array.from({ length: 10 }, () => c.connection.write(Buffer.alloc(16_384))); // in one turn: nothing of it has left
    assert.equal(answers.at(-1), false);
    await drained;
    await c.fromServer.upTo(163_840);
  });
});

/** A relay from the client to the server that holds the client's bytes when it is told to. */
class Wire {
  readonly #server: net.Server;
  #toServer: Socket | undefined;
  #isHeld = false;
  #kept: Buffer = Buffer.alloc(0);
  #onKept: (() => void) | undefined;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  static async start(port: number): Promise<Wire> {
    const server = net.createServer();
    const wire = new Wire(server);
    server.on('connection', (client) => {
      const upstream = net.connect({ port, host: '127.0.0.1', noDelay: true });
      wire.#toServer = upstream;
      client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy());
      upstream.on('error', () => client.destroy()).on('close', () => client.destroy());
      client.on('data', (bytes) => wire.#pass(bytes));
      upstream.pipe(client);
      client.on('end', () => upstream.end());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return wire;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  hold(): void {
    this.#isHeld = true;
  }

  /** Resolves when at least so many bytes are held. */
  async held(length: number): Promise<void> {
    while (this.#kept.length < length) {
      await new Promise<void>((resolve) => {
        this.#onKept = resolve;
      });
    }
  }

  letThrough(length: number): void {
    this.#toServer?.write(this.#kept.subarray(0, length));
    this.#kept = this.#kept.subarray(length);
  }

  release(): void {
    this.#isHeld = false;
    this.letThrough(this.#kept.length);
  }

  inject(bytes: Uint8Array): void {
    this.#toServer?.write(bytes);
  }

  close(): void {
    this.#server.close();
  }

  #pass(bytes: Buffer): void {
    if (!this.#isHeld) {
      this.#toServer?.write(bytes);
      return;
    }
    this.#kept = Buffer.concat([this.#kept, bytes]);
    this.#onKept?.();
  }
}
