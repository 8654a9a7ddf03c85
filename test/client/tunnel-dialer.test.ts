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
function scene(
  fast: NonNullable<TunnelDialerOptions['fast']>['dial'],
  limit: { readonly secondConnectionLimit?: number } = {},
  said: string[] = [],
) {
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
    keep: (isOnly = false) => dialer.keep(connection('kept'), isOnly),
    dial: async (signal = new AbortController().signal) =>
      (await dialer.dial(CREDENTIAL, undefined, signal)) as unknown as { readonly name: string },
  };
}

/** The machine that answered the log-in. */
const ADDRESS = { family: 4, bytes: Uint8Array.of(192, 0, 2, 1) } as const;
const ELSEWHERE = { family: 4, bytes: Uint8Array.of(192, 0, 2, 2) } as const;
const LOGGED_IN: Credential = { ...CREDENTIAL, address: ADDRESS };

/** A log-in with connections of the engine that are numbered as they are opened; each ends as soon as its dialing is cancelled. */
function preparing(outcome: (number: number) => Promise<void> | void = () => undefined) {
  const said: string[] = [];
  const lost = new Set<string>();
  let dials = 0;
  const fast: NonNullable<TunnelDialerOptions['fast']>['dial'] = async (_engine, _target, { signal }) => {
    const name = `engine ${++dials}`;
    said.push(`${name} opens`);
    const cancelled = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => cancelled.reject(new CancelledError()));
    cancelled.promise.catch(() => undefined);
    await Promise.race([outcome(dials), cancelled.promise]);
    const stream = {
      name,
      get isOver() {
        return lost.has(name);
      },
      destroy: () => void said.push(`${name} destroyed`),
    };
    return stream as unknown as EngineStream;
  };
  const { dialer, keep } = scene(fast, {}, said);
  const dial = async (credential = LOGGED_IN, signal = new AbortController().signal) =>
    ((await dialer.dial(credential, undefined, signal)) as unknown as { readonly name: string }).name;
  return { dialer, keep, dial, said, lost };
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

  it('is the one that was left for it where it cannot begin on another', async () => {
    const { dial, keep, said, dialer } = scene(inEngine);
    keep(true);
    assert.equal((await dial()).name, 'kept');
    assert.equal(dialer.gaveKept, true);
    assert.deepEqual(said, []);
    keep();
    assert.equal((await dial()).name, 'engine');
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

describe('the connection that is opened while the log-in goes on', () => {
  it('is the tunnel’s: there is no other', async () => {
    const { dialer, dial, said } = preparing();
    dialer.prepare(LOGGED_IN.gateway, ADDRESS);
    dialer.prepare(LOGGED_IN.gateway, ADDRESS); // with each answer
    assert.equal(await dial(), 'engine 1');
    assert.deepEqual(said, ['engine 1 opens']);
    assert.equal(await dial(), 'engine 2', 'after a reconnect it is a new one');
    dialer.close();
    assert.deepEqual(said, ['engine 1 opens', 'engine 2 opens'], 'nothing of the tunnel’s is closed here');
  });

  it('is closed when the log-in fails, whether it is open already or not', async () => {
    const { dialer, said } = preparing();
    dialer.prepare(LOGGED_IN.gateway, ADDRESS);
    await settled();
    dialer.abandon();
    await settled();
    assert.deepEqual(said, ['engine 1 opens', 'engine 1 destroyed']);
    const slow = preparing((number) => (number === 1 ? new Promise(() => undefined) : undefined));
    slow.dialer.prepare(LOGGED_IN.gateway, ADDRESS);
    slow.dialer.close();
    await settled();
    assert.equal(await slow.dial(), 'engine 2', 'and the one that was cancelled is not waited for');
  });

  it('is another one where the log-in goes on elsewhere', async () => {
    const { dialer, dial, said } = preparing();
    dialer.prepare({ ...LOGGED_IN.gateway, host: 'balancer.example' }, ADDRESS);
    dialer.prepare(LOGGED_IN.gateway, ADDRESS);
    assert.equal(await dial(), 'engine 2');
    assert.deepEqual(said, ['engine 1 opens', 'engine 2 opens', 'engine 1 destroyed']);
    dialer.prepare(LOGGED_IN.gateway, ELSEWHERE);
    assert.equal(await dial(), 'engine 4', 'the cookie is good on one machine only');
  });

  it('is not used once the gateway has closed it: a person may have taken long to log in', async () => {
    const { dialer, dial, said, lost } = preparing();
    dialer.prepare(LOGGED_IN.gateway, ADDRESS);
    await settled();
    lost.add('engine 1');
    assert.equal(await dial(), 'engine 2');
    assert.deepEqual(said, ['engine 1 opens', 'engine 1 destroyed', 'engine 2 opens']);
  });

  it('leaves the log-in’s own to the tunnel where the gateway refuses a second one, or its key is another', async () => {
    const { dialer, dial, keep, said } = preparing(() => Promise.reject(new NetworkError('one is enough')));
    dialer.prepare(LOGGED_IN.gateway, ADDRESS);
    keep();
    assert.equal(await dial(), 'kept');
    assert.deepEqual(said, ['engine 1 opens'], 'and it is not asked twice');
  });

  it('is given up with the tunnel that waits for it', async () => {
    const { dialer, dial, said } = preparing((number) => (number === 1 ? new Promise(() => undefined) : undefined));
    dialer.prepare(LOGGED_IN.gateway, ADDRESS);
    const cancel = new AbortController();
    const waiting = dial(LOGGED_IN, cancel.signal);
    await settled();
    cancel.abort();
    await assert.rejects(waiting, CancelledError);
    assert.deepEqual(said, ['engine 1 opens']);
  });
});

/** What was cancelled or destroyed has had its turns. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
