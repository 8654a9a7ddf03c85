import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TunnelDialer, type TunnelDialerOptions } from '../../src/client/tunnel-dialer.ts';
import type { Credential } from '../../src/core/auth/login-io.ts';
import { CancelledError, NetworkError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/secret.ts';
import type { EngineStream } from '../../src/node/engine/engine-stream.ts';
import type { PacketEngine } from '../../src/node/engine/packet-engine.ts';
import type { TlsConnection } from '../../src/node/tls-connection.ts';

const CREDENTIAL: Credential = {
  gateway: { host: 'vpn.example', port: 443, path: '/' },
  pin: 'pin-sha256:x',
  cookie: new Secret('cookie'),
};

/** Connections that only say what became of them. */
function scene(fast: NonNullable<TunnelDialerOptions['fast']>['dial'], limit: { readonly secondConnectionLimit?: number } = {}) {
  const said: string[] = [];
  const connection = (name: string) =>
    ({
      name,
      close: async () => void said.push(`${name} closed`),
      destroy: () => void said.push(`${name} destroyed`),
    }) as unknown as TlsConnection;
  const options: TunnelDialerOptions = {
    portable: { dial: async () => connection('portable') },
    fast: { dial: fast },
    engine: Promise.resolve({} as PacketEngine),
    log: { log: () => undefined },
    ...limit,
  };
  const dialer = new TunnelDialer(options);
  return {
    said,
    dialer,
    keep: () => dialer.keep(connection('kept')),
    dial: async (signal = new AbortController().signal) =>
      (await dialer.dial(CREDENTIAL, undefined, signal)) as unknown as { readonly name: string },
  };
}

const inEngine = async () => ({ name: 'engine' }) as unknown as EngineStream;
const notThere = async () => undefined;

describe('the connection of a tunnel', () => {
  it("is the engine's where that can be, and the log-in's is closed", async () => {
    const { dial, keep, said, dialer } = scene(inEngine);
    keep();
    assert.equal((await dial()).name, 'engine');
    assert.equal(dialer.gaveKept, false);
    assert.deepEqual(said, ['kept closed']);
    assert.equal((await dial()).name, 'engine', 'and so after a reconnect');
  });

  it("is else the log-in's, once, and then a new one of node:tls", async () => {
    const { dial, keep, said, dialer } = scene(notThere);
    keep();
    assert.equal((await dial()).name, 'kept');
    assert.equal(dialer.gaveKept, true);
    assert.equal((await dial()).name, 'portable');
    assert.equal(dialer.gaveKept, false);
    assert.deepEqual(said, []);
  });

  it("is the log-in's where the gateway refuses a second one", async () => {
    const { dial, keep } = scene(() => Promise.reject(new NetworkError('one is enough')));
    keep();
    assert.equal((await dial()).name, 'kept');
    await assert.rejects(dial(), { message: 'one is enough' }, 'without one it is the truth');
  });

  it("is the log-in's where a second one is not answered", async () => {
    const unanswered = scene(
      (_engine, _target, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new CancelledError()))),
      { secondConnectionLimit: 1 },
    );
    unanswered.keep();
    assert.equal((await unanswered.dial()).name, 'kept');
    assert.equal(unanswered.dialer.gaveKept, true);
  });

  it('is none when nobody wants it any more', async () => {
    const { dial, keep, said } = scene(() => Promise.reject(new CancelledError()));
    keep();
    await assert.rejects(dial(AbortSignal.abort()), CancelledError);
    assert.deepEqual(said, ['kept destroyed']);
    const other = scene(inEngine);
    other.keep();
    other.dialer.close();
    assert.deepEqual(other.said, ['kept destroyed']);
  });
});
