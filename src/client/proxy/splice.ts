/**
 * Joins two connections: what one receives the other sends, both ways, each way until it ends by itself.
 *
 *   client ──► far      a side that ended its writing is passed on as just that; the other way goes on
 *   client ◄── far      one that broke breaks the other too
 */
import type { Socket } from 'node:net';
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

function pass(from: OutwardSocket, to: OutwardSocket, client: Socket): Promise<void> {
  from.pipe(to); // with its back-pressure: who is slow makes the other wait
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
