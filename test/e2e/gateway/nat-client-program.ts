/**
 * A client of a gateway without an interface: does one thing after the other, and says what came of each, one JSON value a line.
 *
 *   nat-client-program.ts kernel TARGETS                       by the system's sockets, a VPN being up
 *   nat-client-program.ts library TARGETS GATEWAY PIN PASSWORD UDP   by those of the library
 *   nat-client-program.ts echo TARGETS GATEWAY PIN PASSWORD          one thing only
 *
 * Read first: outside-program.ts.
 */
import { createHash, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { connect } from 'sallyport';

/** Addresses. */
interface Targets {
  readonly ipv4: string;
  readonly ipv6: string;
  /** Nobody has it. */
  readonly nobody: string;
  /** The gateway's machine. */
  readonly ownHost: string;
  /** The gateway, inside. */
  readonly inside: string;
}

/** What both ways have of the network. */
interface Network {
  connect(host: string, port: number): Duplex;
  /** Sends and waits for an answer, or an error. */
  ask(host: string, port: number, message: Uint8Array): Promise<Buffer>;
  lookup(name: string): Promise<unknown>;
  close(): Promise<void>;
}

const [, , mode = '', targetText = '{}', gateway = '', pin = '', password = '', udp = ''] = process.argv;
const targets = JSON.parse(targetText) as Targets;
const SIZE = 3_000_000;
const PARALLEL = 500;

const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : String(error));
const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function main(): Promise<void> {
  if (mode === 'echo') return await echoOnly();
  const network = mode === 'kernel' ? kernelNetwork(targets) : await libraryNetwork();
  const say = (value: Record<string, unknown>) => process.stdout.write(`${JSON.stringify(value)}\n`);
  say({ echo4: await echoed(network, targets.ipv4) });
  say({ echo6: await echoed(network, targets.ipv6) });
  say({ slow: await readSlowly(network) });
  say({ refused: await failureOf(network.connect(targets.ipv4, 1)) });
  say({ ownHost: await failureOf(network.connect(targets.ownHost, 7007)) });
  say({ inside: await failureOf(network.connect(targets.inside, 7007)) });
  say({ unreachable: await failureOf(network.connect(targets.nobody, 7007)) });
  for (const [name, host] of [
    ['udp4', targets.ipv4],
    ['udp6', targets.ipv6],
  ] as const) {
    const sent = randomBytes(1_200);
    say({ [name]: (await network.ask(host, 7007, sent)).equals(sent) });
  }
  const long = randomBytes(4_000);
  say({ udpFragments: (await network.ask(targets.ipv4, 7007, long)).equals(long) });
  say({ udpRefused: await network.ask(targets.ipv4, 1, randomBytes(10)).catch(codeOf) });
  say({ lookup: await network.lookup('web.corp.test') });
  const parallel = await Promise.all(Array.from({ length: PARALLEL }, (_, i) => said(network.connect(targets.ipv4, 7007), `number ${i}`)));
  say({ parallel: parallel.filter((text, i) => text === `number ${i}`).length });
  const left = network.connect(targets.ipv4, 7007);
  left.write('x');
  await once(left, 'data');
  say({ waiting: true });
  say({ kicked: await failureOf(left) }); // until somebody ends the session
  await network.close();
}

/** Whether the first target sends back what it got, by the library. */
async function echoOnly(): Promise<void> {
  const network = await libraryNetwork();
  process.stdout.write(`${JSON.stringify({ echo: await echoed(network, targets.ipv4).catch(codeOf) })}\n`);
  await network.close();
}

/** The other side's end comes behind ours: half-close. */
async function echoed(network: Network, host: string): Promise<boolean> {
  const socket = network.connect(host, 7007);
  const bytes = randomBytes(SIZE);
  socket.end(bytes);
  const hash = createHash('sha256');
  for await (const chunk of socket) hash.update(chunk as Buffer);
  return hash.digest('hex') === hashOf(bytes);
}

async function said(socket: Duplex, text: string): Promise<string> {
  socket.end(text);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

/** A sixteenth of a megabyte now and then. */
async function readSlowly(network: Network): Promise<boolean> {
  const socket = network.connect(targets.ipv4, 7008);
  socket.write('10000000');
  const chunks: Buffer[] = [];
  let since = 0;
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
    since += (chunk as Buffer).length;
    if (since < 65_536) continue;
    since = 0;
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  socket.end();
  const all = Buffer.concat(chunks);
  return all.subarray(0, 32).toString('hex') === hashOf(all.subarray(32));
}

async function failureOf(socket: Duplex): Promise<unknown> {
  socket.resume();
  const outcome = await Promise.race([
    once(socket, 'connect')
      .then(() => once(socket, 'close'))
      .then(() => 'closed'),
    once(socket, 'error').then(([error]) => codeOf(error)),
  ]).catch(codeOf);
  socket.destroy();
  return outcome;
}

function kernelNetwork({ inside }: Targets): Network {
  return {
    connect: (host, port) => net.connect({ host, port, allowHalfOpen: true }),
    ask: async (host, port, message) => {
      const socket = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4');
      try {
        socket.connect(port, host);
        await once(socket, 'connect');
        socket.send(message);
        return ((await once(socket, 'message')) as [Buffer])[0];
      } finally {
        socket.close();
      }
    },
    lookup: async (name) => {
      const resolver = new Resolver();
      resolver.setServers([inside]);
      return (await resolver.resolve4(name))[0];
    },
    close: () => Promise.resolve(),
  };
}

async function libraryNetwork(): Promise<Network> {
  const vpn = await connect(gateway, { device: 'userspace', pins: [pin], user: 'alice', password, udp: udp === 'udp' });
  if (udp === 'udp' && vpn.status().transport !== 'dtls') await once(vpn, 'transport');
  return {
    connect: (host, port) => vpn.createConnection({ host, port, allowHalfOpen: true }),
    ask: async (host, port, message) => {
      const socket = vpn.createDatagram({ family: net.isIPv6(host) ? 6 : 4 });
      try {
        socket.send(message, port, host);
        return ((await once(socket, 'message')) as [Buffer])[0];
      } finally {
        socket.close();
      }
    },
    lookup: async (name) => (await vpn.lookup(name))[0]?.address,
    close: async () => void (await vpn.close()),
  };
}

await main();
