import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { EngineDialer } from '../../src/client/engine-dialer.ts';
import type { ServerTrust } from '../../src/client/server-trust.ts';
import { MisuseError, NetworkError, type SallyportError, UnsupportedError } from '../../src/core/errors.ts';
import type { PacketEngine } from '../../src/node/engine/packet-engine.ts';
import type { PresentedCertificate } from '../../src/node/trust/verify-certificate.ts';

const GOOD = Uint8Array.of(1);
const OTHER = Uint8Array.of(2);

describe("the engine's connection to a gateway", () => {
  const listener = net.createServer((socket) => socket.on('error', () => undefined).resume());
  let connections = 0;
  listener.on('connection', () => connections++);
  before(async () => {
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
  });
  after(() => listener.close());

  /** Dials with an engine whose TLS shows this certificate, or fails with this error. */
  async function dial(shown: Uint8Array | SallyportError, { isKnown = true, engine = true, tls = true } = {}) {
    let destroyed = 0;
    const openStream = async (socket: Socket) => {
      socket.destroy();
      if (!(shown instanceof Uint8Array)) throw shown;
      return { peerCertificate: shown, verification: { chain: [shown], fault: undefined }, cipherSuite: 'x', destroy: () => destroyed++ };
    };
    const trust = {
      knows: (_: unknown, certificate?: Uint8Array) => isKnown && (certificate === undefined || certificate === GOOD),
      authorities: () => [],
      admits: ({ chain }: PresentedCertificate) => {
        assert.ok(!isKnown);
        return chain[0] === GOOD;
      },
    };
    const dialer = new EngineDialer({ overrides: new Map(), tls: {}, trust: trust as unknown as ServerTrust });
    const running = engine
      ? Promise.resolve({ openStream, canOpenStreams: async () => tls } as unknown as PacketEngine)
      : Promise.reject(new UnsupportedError('no koffi'));
    running.catch(() => undefined);
    const { port } = listener.address() as AddressInfo;
    const stream = await dialer.dial(
      running,
      { host: '127.0.0.1', port, path: '/' },
      { signal: new AbortController().signal, address: undefined, log: { log: () => undefined } },
    );
    return { isThere: stream !== undefined, destroyed };
  }

  it('is used if it shows a key that is known', async () => {
    assert.deepEqual(await dial(GOOD), { isThere: true, destroyed: 0 });
  });

  it('is given up if it shows another one', async () => {
    assert.deepEqual(await dial(OTHER), { isThere: false, destroyed: 1 });
  });

  it('is judged by itself where no key is known yet', async () => {
    assert.deepEqual(await dial(GOOD, { isKnown: false }), { isThere: true, destroyed: 0 });
    assert.deepEqual(await dial(OTHER, { isKnown: false }), { isThere: false, destroyed: 1 });
  });

  it('is not made where there is no engine that has TLS', async () => {
    const before = connections;
    assert.deepEqual(await dial(GOOD, { engine: false }), { isThere: false, destroyed: 0 });
    assert.deepEqual(await dial(GOOD, { tls: false }), { isThere: false, destroyed: 0 });
    assert.equal(connections, before);
  });

  it("leaves it to node:tls what the engine cannot do, and tells the gateway's failures", async () => {
    for (const error of [new UnsupportedError('no OpenSSL'), new MisuseError('all places are taken')]) {
      assert.deepEqual(await dial(error), { isThere: false, destroyed: 0 });
    }
    await assert.rejects(dial(new NetworkError('reset')), { message: 'reset' });
  });
});
