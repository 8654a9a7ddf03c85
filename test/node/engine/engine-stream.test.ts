/** Main's end of a TLS connection in the engine, with a worker that is played. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { streamTraffic } from '../../../src/core/protocols/anyconnect/stream-channel.ts';
import type { EngineLink } from '../../../src/node/engine/engine-link.ts';
import { EngineStream } from '../../../src/node/engine/engine-stream.ts';
import { ENTRY } from '../../../src/node/engine/messages.ts';
import { SharedMemory } from '../../../src/node/engine/shared-memory.ts';
import { endpoint } from '../../support/traffic-peer.ts';

class PlayedLink {
  readonly memory = new SharedMemory();
  readonly calls: { readonly name: string; readonly answer: () => void }[] = [];
  readonly pushed: { readonly kind: number; readonly bytes: Uint8Array }[] = [];

  call(name: string): Promise<undefined> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.calls.push({ name, answer: () => resolve(undefined) });
    if (name !== 'settle-stream') resolve(undefined);
    return promise;
  }

  push(kind: number, _path: number, bytes: Uint8Array, start: number, end: number): boolean {
    this.pushed.push({ kind, bytes: Uint8Array.from(bytes.subarray(start, end)) });
    return true;
  }

  lend(data: Buffer, start: number, end: number): Buffer {
    return data.subarray(start, end);
  }

  flush(): void {}
}

async function adopted() {
  const link = new PlayedLink();
  const here = endpoint('192.0.2.1', 443);
  const stream = await EngineStream.adopt(
    link as unknown as EngineLink, // the part of it that a stream uses
    0,
    {
      ...{ fd: 0, handle: { ssl: 0, input: 0, output: 0 }, local: here, remote: here, host: 'a client' },
      facts: { peerCertificate: undefined, cipherSuite: '', updatesKeys: true, finished: new Uint8Array(0) },
    },
    () => undefined,
    () => undefined,
  );
  const said: string[] = [];
  stream.onData((bytes) => said.push(String(Buffer.from(bytes))));
  stream.onClose(() => said.push('closed'));
  const come = (kind: number, text: string) => stream.receive(kind, Buffer.from(text), 0, text.length);
  return { link, stream, said, come };
}

describe('main’s end of a stream in the engine', () => {
  it('hears last words that it gave back before it hears of the end', async () => {
    const { link, stream, said, come } = await adopted();
    await stream.carry(streamTraffic(new Uint8Array(0)));
    come(ENTRY.datagram, 'last words'); // before the worker knew the description
    assert.deepEqual(
      link.pushed.map(({ kind, bytes }) => [kind, String(Buffer.from(bytes))]),
      [[ENTRY.received, 'last words']],
    );
    stream.report({ type: 'over' });
    await setImmediate();
    assert.deepEqual(said, []);
    come(ENTRY.record, 'last words');
    link.calls.find(({ name }) => name === 'settle-stream')?.answer();
    await setImmediate();
    assert.deepEqual(said, ['last words', 'closed']);
  });

  it('hears of the end at once where it gave nothing back', async () => {
    const { link, stream, said, come } = await adopted();
    come(ENTRY.datagram, 'last words');
    stream.report({ type: 'over' });
    assert.deepEqual(said, ['last words', 'closed']);
    assert.ok(!link.calls.some(({ name }) => name === 'settle-stream'));
  });
});
