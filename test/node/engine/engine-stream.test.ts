/** Main's end of a TLS connection in the engine, with a worker that is played. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { MisuseError } from '../../../src/core/errors.ts';
import { streamTraffic } from '../../../src/core/protocols/anyconnect/stream-channel.ts';
import type { EngineLink } from '../../../src/node/engine/engine-link.ts';
import { EngineStream } from '../../../src/node/engine/engine-stream.ts';
import { ENTRY } from '../../../src/node/engine/messages.ts';
import { SharedMemory } from '../../../src/node/engine/shared-memory.ts';
import { endpoint } from '../../support/traffic-peer.ts';

class PlayedLink {
  readonly memory = new SharedMemory();
  /** Commands that are answered when the test says so. */
  readonly waits = new Set(['settle-stream']);
  readonly calls: { readonly name: string; readonly answer: () => void; readonly refuse: () => void }[] = [];
  readonly pushed: { readonly kind: number; readonly bytes: Uint8Array }[] = [];

  call(name: string): Promise<undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.calls.push({ name, answer: () => resolve(undefined), refuse: () => reject(new MisuseError('no description')) });
    if (!this.waits.has(name)) resolve(undefined);
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

  it('gives all back that was delivered before the description, also where that is withdrawn at once', async () => {
    const { link, stream, said, come } = await adopted();
    link.waits.add('carry');
    const commands = () => link.calls.filter(({ name }) => name === 'carry');
    const given = () => link.pushed.map(({ bytes }) => String(Buffer.from(bytes)));
    const carried = stream.carry(streamTraffic(Buffer.from('the beginning of a ')));
    come(ENTRY.datagram, 'frame, ');
    const withdrawn = stream.carry(undefined); // news by UDP, in the same turn
    come(ENTRY.datagram, 'and another');
    assert.deepEqual([given(), said], [['frame, ', 'and another'], []], 'one behind the other');
    commands()[0]?.answer();
    await carried;
    await setImmediate();
    assert.equal(commands().length, 2);
    come(ENTRY.record, 'a frame'); // of what was given back, and cut before the worker heard of the second command
    come(ENTRY.datagram, 'raw again');
    commands()[1]?.answer();
    await withdrawn;
    assert.deepEqual([given().length, said], [2, ['a frame', 'raw again']]);
  });

  it('goes on being carried where the description was withdrawn and given again before the worker heard of it', async () => {
    const { link, stream, said, come } = await adopted();
    link.waits.add('carry');
    const waits = [stream.carry(streamTraffic(new Uint8Array(0))), stream.carry(undefined), stream.carry(streamTraffic(new Uint8Array(0)))];
    for (const { name, answer } of link.calls) if (name === 'carry') answer();
    await Promise.all(waits);
    assert.equal(link.calls.filter(({ name }) => name === 'carry').length, 2);
    come(ENTRY.datagram, 'delivered before');
    assert.deepEqual([link.pushed.length, said], [1, []]);
  });

  it('is not carried after a description that the worker refused', async () => {
    const { link, stream, said, come } = await adopted();
    link.waits.add('carry');
    const refused = stream.carry(streamTraffic(new Uint8Array(0)));
    const withdrawn = stream.carry(undefined);
    link.calls.find(({ name }) => name === 'carry')?.refuse();
    await assert.rejects(refused);
    await setImmediate();
    link.calls.at(-1)?.answer();
    await withdrawn;
    come(ENTRY.datagram, 'for the machine');
    assert.deepEqual([link.pushed.length, said], [0, ['for the machine']]);
  });

  it('hears of the end at once where it gave nothing back', async () => {
    const { link, stream, said, come } = await adopted();
    come(ENTRY.datagram, 'last words');
    stream.report({ type: 'over' });
    assert.deepEqual(said, ['last words', 'closed']);
    assert.ok(!link.calls.some(({ name }) => name === 'settle-stream'));
  });
});
