/** The stack against the kernel's: TCP, UDP and ICMP both ways, over a TUN in a namespace. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { it } from 'node:test';
import { StackDatagram } from '../../../src/node/ip/stack-datagram.ts';
import { stackPing } from '../../../src/node/ip/stack-ping.ts';
import { StackServer } from '../../../src/node/ip/stack-server.ts';
import { StackSocket } from '../../../src/node/ip/stack-socket.ts';
import { ipOf } from '../../core/ip/stack-pair.ts';
import { hashOf, patternOf } from '../../core/ip/tcp/transfer.ts';
import { inNamespace } from '../../support/namespace.ts';
import { sized } from '../../support/size.ts';
import { KERNEL, KERNEL6, KernelLink, STACK, STACK6 } from './kernel-link.ts';

const resolve = (host: string) => Promise.resolve([ipOf(host)]);

/** Sends, ends, and gives what came until the other end did. */
async function exchanged(socket: Duplex, bytes: Uint8Array): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.end(bytes);
  await once(socket, 'end');
  return hashOf(Buffer.concat(chunks));
}

/** One connection from the stack to the kernel and one back, both carrying both ways. */
async function bothWays(link: KernelLink, kernel: string, stack: string, size: number): Promise<void> {
  const [up, down] = [patternOf(size, 1), patternOf(size, 2)];
  const [upHash, downHash] = [hashOf(up), hashOf(down)];

  const server = net.createServer({ allowHalfOpen: true }).listen(0, kernel);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = StackSocket.connect(link.device, { host: kernel, port, allowHalfOpen: true }, resolve);
  const [[accepted]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [[net.Socket], unknown];
  assert.equal(accepted.remotePort, client.localPort);
  assert.deepEqual(await Promise.all([exchanged(client, up), exchanged(accepted, down)]), [downHash, upHash]);
  server.close();

  const stackServer = new StackServer(link.device, { allowHalfOpen: true });
  stackServer.listen({ port: 0, host: stack });
  await once(stackServer, 'listening');
  const kernelClient = net.connect({ host: stack, port: stackServer.address()?.port ?? 0, allowHalfOpen: true });
  const [[incoming]] = (await Promise.all([once(stackServer, 'connection'), once(kernelClient, 'connect')])) as [[StackSocket], unknown];
  assert.equal(incoming.remotePort, kernelClient.localPort);
  assert.deepEqual(await Promise.all([exchanged(kernelClient, up), exchanged(incoming, down)]), [downHash, upHash]);
  stackServer.close();
}

inNamespace(
  'userspace stack against the kernel',
  import.meta.filename,
  () => {
    it('carries TCP both ways, connecting and listening, over IPv4 and IPv6', async () => {
      await using link = await KernelLink.open();
      await bothWays(link, KERNEL, STACK, sized(5_000_000, 100_000_000));
      await bothWays(link, KERNEL6, STACK6, sized(5_000_000, 100_000_000));
    });

    it('carries TCP both ways over a link that loses, reorders and repeats', async () => {
      await using link = await KernelLink.open({ mtu: 1400, link: { loss: 0.02, delay: 2, jitter: 3, duplication: 0.01 } });
      await bothWays(link, KERNEL, STACK, sized(1_000_000, 10_000_000));
    });

    it('is refused where nobody listens, and refuses', async () => {
      await using link = await KernelLink.open();
      const client = StackSocket.connect(link.device, { host: KERNEL, port: 9 }, resolve);
      const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNREFUSED');
      const [kernelError] = (await once(net.connect({ host: STACK, port: 9 }), 'error')) as [NodeJS.ErrnoException];
      assert.equal(kernelError.code, 'ECONNREFUSED');
    });

    it('resets, and is reset', async () => {
      await using link = await KernelLink.open();
      const server = net.createServer().listen(0, KERNEL);
      await once(server, 'listening');
      const { port } = server.address() as net.AddressInfo;
      for (const who of ['stack', 'kernel'] as const) {
        const client = StackSocket.connect(link.device, { host: KERNEL, port }, resolve);
        const [[accepted]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [[net.Socket], unknown];
        const [resetter, victim] = who === 'stack' ? [client, accepted] : [accepted, client];
        resetter.on('error', () => undefined);
        resetter.resetAndDestroy();
        const [error] = (await once(victim, 'error')) as [NodeJS.ErrnoException];
        assert.equal(error.code, 'ECONNRESET', who);
      }
      server.close();
    });

    it('answers pings, and pings', async () => {
      await using link = await KernelLink.open();
      for (const [kernel, size] of [
        [KERNEL, 56],
        [KERNEL6, 56],
        [KERNEL, 4_000], // in fragments, both ways
        [KERNEL6, 4_000],
      ] as const) {
        const { length, roundTrip } = await stackPing(link.device, ipOf(kernel), { length: size });
        assert.equal(length, size);
        assert.ok(roundTrip > 0);
      }
    });

    it('exchanges datagrams, whole and in fragments, and hears of ports that nobody has', async () => {
      await using link = await KernelLink.open();
      const kernel = createSocket('udp4').bind(0, KERNEL);
      await once(kernel, 'listening');
      kernel.on('message', (message, from) => kernel.send(message, from.port, from.address));
      const socket = new StackDatagram(link.device, {});
      for (const length of [0, 1, 1_472, 1_473, 10_000, 60_000]) {
        const message = patternOf(length, length);
        socket.send(message, kernel.address().port, KERNEL);
        const [answer] = (await once(socket, 'message')) as [Buffer];
        assert.equal(hashOf(answer), hashOf(message));
      }
      kernel.close();
      await once(kernel, 'close');
      socket.send(Uint8Array.of(1), 9, KERNEL);
      const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
      assert.equal(error.code, 'ECONNREFUSED');
      socket.close();
    });

    it('keeps one direction open when the other has ended', async () => {
      await using link = await KernelLink.open();
      const server = net.createServer({ allowHalfOpen: true }).listen(0, KERNEL);
      await once(server, 'listening');
      const client = StackSocket.connect(
        link.device,
        { host: KERNEL, port: (server.address() as net.AddressInfo).port, allowHalfOpen: true },
        resolve,
      );
      const [accepted] = (await once(server, 'connection')) as [net.Socket];
      client.end();
      accepted.resume();
      await once(accepted, 'end');
      const late = patternOf(300_000, 3);
      accepted.end(late);
      assert.equal(await exchangedOnly(client), hashOf(late));
      server.close();
    });
  },
  ['ip'],
);

async function exchangedOnly(socket: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return hashOf(Buffer.concat(chunks));
}
