import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { CancelledError, TooLateError } from '../../src/core/errors.ts';
import { type IpAddress, parseIp } from '../../src/core/wire/ip-address.ts';
import { type DialOptions, dialTcp, UnreachableError } from '../../src/node/tcp-dial.ts';
import { RecordedLog } from '../support/forms.ts';
import { SilentListener } from '../support/silent-listener.ts';
import { HANG_LIMIT } from '../support/size.ts';

const ip = (text: string): IpAddress => parseIp(text) ?? assert.fail(text);

/** Long before an address is given up that does not answer. */
const SOON = 10_000;

function dialing(port: number, addresses: readonly string[], more: Partial<DialOptions> = {}) {
  const log = new RecordedLog();
  const resolve = async () => addresses.map(ip);
  const socket = dialTcp({
    ...{ host: 'vpn.example', port, overrides: new Map(), resolve, signal: AbortSignal.timeout(SOON), log },
    ...more,
  });
  return { log, socket };
}

/** Somebody who answers, at another address of this port. */
async function listen(port: number, host = '127.0.0.1') {
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => sockets.add(socket.on('error', () => undefined))).listen({ host, port });
  await once(server, 'listening');
  return {
    sockets,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Until all has happened that needs neither time nor the network. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

const attempts = () => process.getActiveResourcesInfo().filter((name) => name === 'ConnectWrap').length;

describe('a connection to a host with several addresses', { timeout: HANG_LIMIT }, () => {
  it('is made to the next one while the first says nothing, and the first is given up', async (t) => {
    await using silent = await SilentListener.start();
    await using _answering = await listen(silent.port);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    await settled();
    const before = attempts();
    const { log, socket } = dialing(silent.port, [silent.host, '127.0.0.1']);
    await settled();
    assert.equal(log.lines.length, 1);
    t.mock.timers.tick(250);
    const connected = await socket;
    assert.equal(connected.remoteAddress, '127.0.0.1');
    assert.deepEqual(log.lines, [
      `debug tcp connecting endpoint=127.0.0.2:${silent.port}`,
      `debug tcp connecting endpoint=127.0.0.1:${silent.port}`,
      `info tcp connected endpoint=127.0.0.1:${silent.port}`,
    ]);
    await settled();
    assert.equal(attempts(), before);
    connected.destroy();
  });

  it('tries the next one at once where one fails', async (t) => {
    await using silent = await SilentListener.start('127.0.0.3');
    await using _answering = await listen(silent.port);
    t.mock.timers.enable({ apis: ['setTimeout'] }); // nobody waits
    const connected = await dialing(silent.port, ['127.0.0.2', '127.0.0.1'], { signal: new AbortController().signal }).socket;
    assert.equal(connected.remoteAddress, '127.0.0.1');
    connected.destroy();
  });

  it('takes the families in turns, the system’s favourite first, and names each attempt where none answers', async () => {
    await using silent = await SilentListener.start();
    const refusing = ['::1', '::1', '127.0.0.3', '127.0.0.4', '127.0.0.5'];
    const { socket } = dialing(silent.port, refusing);
    const order = /\(\[::1\]:\d+: .*; 127\.0\.0\.3:\d+: .*; \[::1\]:\d+: .*; 127\.0\.0\.4:\d+: .*; 127\.0\.0\.5:\d+: [^;]*\)\.$/;
    await assert.rejects(socket, (error) => error instanceof UnreachableError && order.test(error.message));
  });

  it('begins with the one that answered the last time, if the host still has it', async () => {
    await using silent = await SilentListener.start('127.0.0.3');
    await using _answering = await listen(silent.port);
    for (const [preferred, first] of [
      ['127.0.0.1', '127.0.0.1'],
      ['127.0.0.9', '127.0.0.2'],
    ] as const) {
      const { log, socket } = dialing(silent.port, ['127.0.0.2', '127.0.0.1'], { preferred: ip(preferred) });
      (await socket).destroy();
      assert.equal(log.lines[0], `debug tcp connecting endpoint=${first}:${silent.port}`);
    }
  });

  it('waits longer for the one that answered the last time: a SYN may have been lost', async (t) => {
    await using silent = await SilentListener.start();
    await using _answering = await listen(silent.port);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { log, socket } = dialing(silent.port, ['127.0.0.1', silent.host], { preferred: ip(silent.host) });
    await settled();
    t.mock.timers.tick(3_000);
    assert.deepEqual(log.lines, [`debug tcp connecting endpoint=${silent.host}:${silent.port}`]);
    t.mock.timers.tick(500);
    const connected = await socket;
    assert.equal(connected.remoteAddress, '127.0.0.1');
    connected.destroy();
  });

  it('is given up after as long as the caller has patience', async () => {
    await using silent = await SilentListener.start();
    const { socket } = dialing(silent.port, [silent.host], { patience: 20 });
    await assert.rejects(socket, (error: Error) => {
      assert.ok(error instanceof UnreachableError && error.cause instanceof Error && error.cause.cause instanceof TooLateError);
      return /: Connection timed out\)\.$/.test(error.message);
    });
  });

  it('can be cancelled, and leaves no attempt', async (t) => {
    await using silent = await SilentListener.start();
    t.mock.timers.enable({ apis: ['setTimeout'] });
    await settled();
    const before = attempts();
    const controller = new AbortController();
    const { socket } = dialing(silent.port, [silent.host, silent.host], { signal: controller.signal });
    await settled();
    t.mock.timers.tick(250);
    await settled();
    assert.equal(attempts(), before + 2);
    controller.abort();
    await assert.rejects(socket, CancelledError);
    await settled();
    assert.equal(attempts(), before);
  });
});
