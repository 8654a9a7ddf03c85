/** The stack over carried paths: its packets go between its rings and the engine's thread, joined and cut there, and arrive as from any other stack. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { it } from 'node:test';
import { StackDatagram } from '../../../src/node/ip/stack-datagram.ts';
import { stackPing } from '../../../src/node/ip/stack-ping.ts';
import { StackSocket } from '../../../src/node/ip/stack-socket.ts';
import { ipOf } from '../../core/ip/stack-pair.ts';
import { hashOf, patternOf } from '../../core/ip/tcp/transfer.ts';
import { inNamespace } from '../../support/namespace.ts';
import { sized } from '../../support/size.ts';
import { CarriedLink } from './carried-link.ts';
import { KERNEL, KERNEL6 } from './kernel-link.ts';
import { exchange } from './streamed.ts';

/** One connection, both ways at the same time. */
async function carry(link: CarriedLink, host: string, size: number): Promise<void> {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const accepted = once(server, 'connection');
  const client = StackSocket.connect(link.device, { host, port, allowHalfOpen: true }, (name) => Promise.resolve([ipOf(name)]));
  const [socket] = (await accepted) as [net.Socket];
  const [atStack, atKernel] = await Promise.all([exchange(client, size, 1), exchange(socket, size, 2)]);
  assert.equal(atKernel.came, atStack.sent);
  assert.equal(atStack.came, atKernel.sent);
  server.close();
}

inNamespace(
  'the userspace stack over a carried path',
  import.meta.filename,
  () => {
    it('carries TCP both ways past main, over IPv4 and IPv6, in packets of any size', async () => {
      for (const mtu of [1400, 9000]) {
        await using link = await CarriedLink.open({ mtu });
        for (const host of [KERNEL, KERNEL6]) await carry(link, host, sized(1_500_000, 200_000_000));
        assert.deepEqual(link.byMain, { out: 0, back: 0 });
        const { received, sent } = link.device.traffic();
        assert.ok(received.bytes > 3e6 && sent.bytes > 3e6 && sent.packets > sent.bytes / mtu, JSON.stringify({ received, sent }));
        // What the engine joins and verifies is not verified again, and what it does not is.
        assert.equal(link.device.stack.counters.dropped['bad-checksum'], 0);
      }
    });

    it('holds the stack back when the way to the engine is full, and loses nothing there', async () => {
      await using link = await CarriedLink.open();
      const server = net.createServer((socket) => socket.resume()).listen(0, KERNEL);
      await once(server, 'listening');
      const { port } = server.address() as net.AddressInfo;
      const sockets = Array.from({ length: 20 }, () =>
        StackSocket.connect(link.device, { host: KERNEL, port }, (name) => Promise.resolve([ipOf(name)])),
      );
      const bytes = patternOf(1_000_000, 1);
      await Promise.all(
        sockets.map(async (socket) => {
          socket.end(bytes);
          socket.resume();
          await once(socket, 'close');
        }),
      );
      assert.equal(link.engine.deviceCounters().readDropped, 0);
      assert.equal(link.engine.deviceCounters().writeRefused, 0);
      server.close();
    });

    it('carries datagrams, fragments and pings', async () => {
      await using link = await CarriedLink.open();
      for (const size of [56, 4_000]) assert.equal((await stackPing(link.device, ipOf(KERNEL), { length: size })).length, size);
      const kernel = createSocket('udp4').bind(0, KERNEL);
      await once(kernel, 'listening');
      kernel.on('message', (message, from) => kernel.send(message, from.port, from.address));
      const socket = new StackDatagram(link.device, {});
      for (const length of [0, 1, 1_372, 1_373, 10_000]) {
        const message = patternOf(length, length);
        socket.send(message, kernel.address().port, KERNEL);
        const [answer] = (await once(socket, 'message')) as [Buffer];
        assert.equal(hashOf(answer), hashOf(message));
      }
      kernel.close();
      socket.close();
    });

    it('goes by main, whole and with its checksums, while no path carries it, and past main from then on', async () => {
      await using link = await CarriedLink.open({ isRouted: false });
      await carry(link, KERNEL, 300_000);
      const { out } = link.byMain;
      assert.ok(out > 200, `${out} packets`);
      await link.engine.route(link.path);
      await carry(link, KERNEL, 300_000);
      assert.ok(link.byMain.out - out < 10, 'no more than the last acknowledgements of the first');
    });

    it('waits while the tunnel is away', async () => {
      await using link = await CarriedLink.open({ isRouted: false });
      link.device.pause();
      const answer = stackPing(link.device, ipOf(KERNEL), { timeout: 60_000 });
      await link.engine.route(undefined); // a command and its answer: what the stack had sent would be there
      assert.equal(link.byMain.out, 0);
      link.device.resume();
      assert.equal((await answer).length, 56);
    });
  },
  ['ip'],
);
