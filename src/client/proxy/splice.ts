/**
 * Joins two connections: what one receives the other sends, both ways, each way until it ends by itself.
 *
 *   client ──► far      a side that ended its writing is passed on as just that; the other way goes on
 *   client ◄── far      one that broke breaks the other too
 */
import { Socket } from 'node:net';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { OutwardSocket } from './outward-network.ts';

/** Silence both ways after which a connection is taken for forgotten: longer than people leave a terminal alone. */
const IDLE_LIMIT: Millis = 24 * 3_600_000;

/** The same, once one side has ended its writing: the other has only an answer to finish. */
const HALF_CLOSED_IDLE_LIMIT: Millis = 600_000;

/** Resolves when both connections are closed. Never rejects. */
export async function splice(client: Socket, far: OutwardSocket): Promise<void> {
  // The client's clock runs for both: what comes from it and what is written to it are all there is.
  client.setTimeout(IDLE_LIMIT, () => client.destroy());
  await Promise.all([pass(client, far, client), pass(far, client, client)]);
}

/** With back-pressure: who is slow makes the other wait. */
function forward(from: OutwardSocket, to: OutwardSocket): void {
  from.on('data', (chunk: Buffer) => {
    if (!to.write(chunk, () => release(from, chunk))) from.pause();
  });
  to.on('drain', () => from.resume());
  if (from.readableEnded) to.end();
  else from.once('end', () => to.end());
  from.resume(); // whoever had it before may have paused it
}

/**
 * A chunk has been written. Memory that waits for the garbage collector is most of what a busy proxy would cost: V8 looks for it, all of its heap, each
 * time that some 32 MB have gathered.
 */
function release(from: OutwardSocket, chunk: Buffer): void {
  if (from.giveBack !== undefined) from.giveBack(chunk);
  // What the system's sockets read has a buffer of its own, which ends with the chunk.
  else if (from instanceof Socket && chunk.length === chunk.buffer.byteLength && chunk.buffer instanceof ArrayBuffer)
    chunk.buffer.transfer(0);
}

function pass(from: OutwardSocket, to: OutwardSocket, client: Socket): Promise<void> {
  forward(from, to);
  if (from.readableEnded) client.setTimeout(HALF_CLOSED_IDLE_LIMIT);
  else from.once('end', () => client.setTimeout(HALF_CLOSED_IDLE_LIMIT));
  return new Promise((resolve) => {
    const closed = () => {
      const isWhole = from.readableEnded && from.writableFinished;
      if (!isWhole && !to.destroyed) to.resetAndDestroy();
      resolve();
    };
    if (from.destroyed) closed();
    else from.once('close', closed);
  });
}
