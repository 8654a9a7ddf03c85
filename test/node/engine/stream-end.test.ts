/** How a TLS connection of the engine ends: by us, by the peer, by the network. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { NetworkError } from '../../../src/core/errors.ts';
import { inNamespace } from '../../support/namespace.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { streamTunnel } from './stream-scene.ts';

const OPTIONS = { timeout: HANG_LIMIT };

inNamespace('the end of a TLS stream', import.meta.filename, () => {
  it('sends what was written, then says goodbye', OPTIONS, async () => {
    await using t = await streamTunnel({ device: false });
    let received = 0;
    t.peer.on('data', (bytes: Buffer) => {
      received += bytes.length;
    });
    const ended = once(t.peer, 'end');
    for (let i = 0; i < 100; i++) t.stream.write(Buffer.alloc(16_000));
    await t.stream.close(5000);
    await ended;
    assert.equal(received, 1_600_000);
  });

  it('is not closed under the last words of the peer, which would lose its own', OPTIONS, async () => {
    await using t = await streamTunnel({ device: false, allowHalfOpen: true });
    let received = 0;
    t.peer.on('data', (bytes: Buffer) => {
      received += bytes.length;
    });
    t.peer.once('end', () => t.peer.end(Buffer.alloc(8_000_000)));
    const closed = once(t.peer, 'close');
    for (let i = 0; i < 100; i++) t.stream.write(Buffer.alloc(16_000));
    await t.stream.close(5000);
    assert.deepEqual(await closed, [false], 'no error');
    assert.equal(received, 1_600_000);
  });

  it('is waited for by the end of the engine, while a peer that is sending has not read all', OPTIONS, async () => {
    await using t = await streamTunnel({ device: false, isDirect: true });
    t.peer.write(Buffer.alloc(8_000_000)); // and does not read
    for (let i = 0; i < 100; i++) t.stream.write(Buffer.alloc(16_000));
    await t.stream.close(HANG_LIMIT);
    const closed = t.engine.close().then(() => 'closed');
    assert.equal(await Promise.race([closed, setTimeout(500, 'waits')]), 'waits');
    let received = 0;
    t.peer.on('data', (bytes: Buffer) => {
      received += bytes.length;
    });
    const ended = once(t.peer, 'end');
    await closed;
    await ended;
    assert.equal(received, 1_600_000);
  });

  it('does not wait to close for a peer that is gone, or does not say goodbye', OPTIONS, async () => {
    const limit = 50_000;
    const start = performance.now();
    {
      await using t = await streamTunnel({ device: false, allowHalfOpen: true });
      t.peer.resume();
      const heard = once(t.peer, 'end');
      t.stream.write(Buffer.alloc(16_000));
      await t.stream.close(limit);
      await heard;
      await t.engine.close();
    }
    assert.ok(performance.now() - start < limit / 2);
  });

  it('tells that the peer has left, or that the network has', OPTIONS, async () => {
    for (const how of ['end', 'reset'] as const) {
      await using t = await streamTunnel({ device: false });
      const closed = new Promise<Error | undefined>((resolve) => t.stream.onClose(resolve));
      if (how === 'end') t.peer.end();
      else t.records.reset();
      const error = await closed;
      if (how === 'end') assert.equal(error, undefined);
      else {
        assert.ok(error instanceof NetworkError);
        assert.equal(error.message, 'The connection to localhost failed: Connection reset by peer.');
      }
    }
  });
});
