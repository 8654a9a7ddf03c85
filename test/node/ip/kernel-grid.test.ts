/**
 * TCP between the stack and the kernel over links of all kinds, made by a relay of ours between the two: every combination of loss, reordering, delay and
 * packet size in the long run, a Latin square of them in the everyday one. Both ends send at the same time, and what arrives is what was sent.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import type { Millis } from '../../../src/core/tunnel/packet.ts';
import { StackSocket } from '../../../src/node/ip/stack-socket.ts';
import { ipOf } from '../../core/ip/stack-pair.ts';
import { inNamespace } from '../../support/namespace.ts';
import { sized } from '../../support/size.ts';
import { KernelLink, type KernelLinkOptions } from './kernel-link.ts';
import { exchange } from './streamed.ts';

const LOSSES = [0, 0.01, 0.05];
/** Of each direction. */
const DELAYS: readonly Millis[] = [0, 20, 200];
const MTUS = [576, 1400, 9000];

interface Cell {
  readonly loss: number;
  readonly delay: Millis;
  readonly mtu: number;
  /** Packets overtake each other. */
  readonly reorders: boolean;
}

const EVERY: readonly Cell[] = LOSSES.flatMap((loss) =>
  DELAYS.flatMap((delay) => MTUS.flatMap((mtu) => [false, true].map((reorders) => ({ loss, delay, mtu, reorders })))),
);

/** Each loss with each packet size, each delay with both of them, each of the three with and without reordering. */
const SQUARE: readonly Cell[] = LOSSES.flatMap((loss, i) =>
  MTUS.map((mtu, j) => ({ loss, mtu, delay: DELAYS[(i + j) % 3] ?? 0, reorders: (i + 2 * j) % 2 === 1 })),
);

/** What a cell moves each way: so much that it takes some seconds. */
const TIME: Millis = sized(400, 5_000);
const MIN_SIZE = sized(12_000, 40_000);
const MAX_SIZE = sized(1_000_000, 20_000_000);

/** Without loss: what an everyday machine carries in any of them, bytes a millisecond; less where what a busy one drops takes a far way to be sent again. */
const RATE = 4_000;
const NEAR: Millis = 20;

/** Mathis et al., "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm": what loss leaves of a round trip's worth of segments. */
function sizeOf({ loss, delay, mtu }: Cell): number {
  const roundTrip = 2 * delay + 4;
  const rate = loss === 0 ? RATE / (1 + delay / NEAR) : ((mtu - 40) / roundTrip) * (1.22 / Math.sqrt(loss));
  return Math.round(Math.min(MAX_SIZE, Math.max(MIN_SIZE, rate * TIME)));
}

function linkOf({ loss, delay, mtu, reorders }: Cell, number: number): KernelLinkOptions {
  return { number, mtu, link: { loss, delay, jitter: reorders ? Math.max(2, delay / 4) : 0 }, seed: number + 1 };
}

/** One connection, both ways at the same time. How long it took. */
async function carry(link: KernelLink, size: number): Promise<Millis> {
  const { kernel } = link.ends;
  const server = net.createServer({ allowHalfOpen: true }).listen(0, kernel);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const start = performance.now();
  const accepted = once(server, 'connection');
  const client = StackSocket.connect(link.device, { host: kernel, port, allowHalfOpen: true }, (host) => Promise.resolve([ipOf(host)]));
  const [socket] = (await accepted) as [net.Socket];
  const [atStack, atKernel] = await Promise.all([exchange(client, size, 1), exchange(socket, size, 2)]);
  assert.equal(atKernel.came, atStack.sent);
  assert.equal(atStack.came, atKernel.sent);
  server.close();
  return performance.now() - start;
}

inNamespace(
  'TCP between the userspace stack and the kernel',
  import.meta.filename,
  () => {
    it('carries 200 MB both ways at once', async (test) => {
      await using link = await KernelLink.open({ mtu: 1400 });
      const size = sized(20_000_000, 200_000_000);
      const took = await carry(link, size);
      test.diagnostic(`${size / 1e6} MB each way in ${(took / 1000).toFixed(1)} s`);
    });

    // Most of the time they wait for their links.
    describe('over links that lose, reorder and delay', { concurrency: sized(9, 6) }, () => {
      for (const [i, cell] of sized(SQUARE, EVERY).entries()) {
        const { loss, delay, mtu, reorders } = cell;
        const size = sizeOf(cell);
        const words = `${loss * 100} % loss, ${delay} ms${reorders ? ', reordering' : ''}, MTU ${mtu}`;
        it(`carries ${Math.round(size / 1000)} KB each way: ${words}`, async (test) => {
          await using link = await KernelLink.open(linkOf(cell, i));
          const took = await carry(link, size);
          test.diagnostic(`${words}: ${Math.round(size / 1000)} KB in ${(took / 1000).toFixed(1)} s`);
        });
      }
    });
  },
  ['ip'],
);
