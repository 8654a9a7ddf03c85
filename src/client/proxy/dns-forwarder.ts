/**
 * A name server on this machine that asks the VPN's servers, by UDP and TCP. Messages pass as they are but for their id, so everything that the
 * servers know can be asked.
 *
 * Read first: dns-message.ts; RFC 5452 §9 (a random id and a port of its own for each question), RFC 7766 (DNS over TCP).
 *
 *   program ─► question ─► rules ─► the VPN's servers, or the machine's own, one after the other ─► answer ─► program
 */
import { randomInt } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { MisuseError, SallyportError } from '../../core/errors.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp, parseIp } from '../../core/wire/ip-address.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { dnsQuestion, isAnswerTo, isDnsQuery, serverFailure, withDnsId } from './dns-message.ts';
import { isLoopback } from './loopback.ts';
import { failureCode } from './outward.ts';
import type { OutwardNetwork } from './outward-network.ts';
import type { ForwardParts } from './port-forward.ts';
import type { Way } from './route-rules.ts';

export interface DnsForwarderOptions extends ForwardParts {
  /** An IP address. Default: 127.0.0.1; one that others can reach only with `isOpen`. */
  readonly address?: string;
  /** 0: a free one. */
  readonly port: number;
  readonly isOpen?: boolean;
  /** The VPN's name servers, now. */
  readonly servers: () => readonly string[];
  /** The machine's own, as `dns.getServers` has them: the default. */
  readonly systemServers?: () => readonly string[];
}

/** One server's time for an answer, and how often all of them are asked. */
const ANSWER_LIMIT: Millis = 2_000;
const ROUNDS = 2;
/** Questions that wait for an answer. A resolver library asks again when one is lost. */
const MAX_PENDING = 512;
const MAX_CONNECTIONS = 64;
/** RFC 7766 §6.2.3: "a few seconds" without a question. */
const IDLE_LIMIT: Millis = 10_000;
const DNS_PORT = 53;
/** Ports that are tried where any free one will do: one that is free for UDP need not be for TCP. */
const MAX_TRIES = 8;
/** Of a message in a stream. */
const LENGTH_BYTES = 2;

type Transport = 'udp' | 'tcp';

export class DnsForwarder implements AsyncDisposable {
  readonly #options: DnsForwarderOptions;
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #sockets = new Set<Socket>();
  readonly #cancel = new AbortController();
  #pending = 0;

  /** Rejects with {@link MisuseError} for an address that others can reach, and with SallyportError (`ERR_LISTEN`) if the port is taken. */
  static async listen(options: DnsForwarderOptions): Promise<DnsForwarder> {
    const { address = '127.0.0.1', port, isOpen = false } = options;
    if (!isOpen && !isLoopback(address)) throw new MisuseError(`Others can reach ${address}: they could ask for the VPN's names.`);
    for (let tries = 1; ; tries++) {
      const forwarder = new DnsForwarder(options, address.includes(':') ? 6 : 4);
      try {
        await forwarder.#bind(address, port);
        return forwarder;
      } catch (cause) {
        await forwarder.close();
        if (port === 0 && tries < MAX_TRIES && failureCode(cause) === 'EADDRINUSE') continue;
        throw new SallyportError('ERR_LISTEN', `Names cannot be served at ${address} port ${port}: ${systemErrorText(cause)}.`, { cause });
      }
    }
  }

  private constructor(options: DnsForwarderOptions, family: 4 | 6) {
    this.#options = options;
    this.#udp = createSocket(family === 4 ? 'udp4' : 'udp6');
    this.#udp.on('message', (message, from) => void this.#byUdp(message, from));
    this.#tcp = createServer({ allowHalfOpen: true }, (socket) => void this.#byTcp(socket));
    this.#tcp.maxConnections = MAX_CONNECTIONS;
  }

  /** The same port for both. */
  get address(): AddressInfo {
    return this.#udp.address() as AddressInfo; // the two look alike
  }

  /** Safe to call twice. */
  async close(): Promise<void> {
    if (this.#cancel.signal.aborted) return;
    this.#cancel.abort();
    this.#udp.close();
    const closed = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #bind(address: string, port: number): Promise<void> {
    const bound = once(this.#udp, 'listening'); // rejects at 'error', like the next
    this.#udp.bind({ port, address });
    await bound;
    const listening = once(this.#tcp, 'listening');
    this.#tcp.listen(this.#udp.address().port, address);
    await listening;
    this.#udp.on('error', () => undefined); // an answer that could not be sent: it is asked for again
    this.#tcp.on('error', () => undefined); // a connection that could not be accepted
  }

  async #byUdp(message: Buffer, { port, address }: RemoteInfo): Promise<void> {
    const answer = await this.#answer(message, 'udp');
    if (answer !== undefined && !this.#cancel.signal.aborted) this.#udp.send(answer, port, address);
  }

  /** One question after the other. */
  async #byTcp(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.setTimeout(IDLE_LIMIT, () => socket.destroy());
    socket.once('close', () => this.#sockets.delete(socket));
    try {
      for await (const message of messages(socket)) {
        const answer = await this.#answer(message, 'tcp');
        if (answer === undefined) break;
        socket.write(framed(answer));
      }
      socket.end();
    } catch {
      socket.destroy(); // the client broke it off
    }
  }

  /** Undefined: nothing that deserves one. */
  async #answer(query: Buffer, transport: Transport): Promise<Buffer | undefined> {
    const { counters, log } = this.#options;
    const question = isDnsQuery(query) ? dnsQuestion(query) : undefined;
    if (question === undefined || this.#pending >= MAX_PENDING) {
      counters.failed(question === undefined ? 'bad-dns-query' : 'too-many-dns-queries');
      return undefined;
    }
    this.#pending++;
    try {
      const way = this.#options.outward.rules.ofName(question.name).resolver;
      log.log('debug', 'dns query', { name: question.name, way });
      const answer = await this.#ask(query, question.end, way, transport);
      if (answer !== undefined) counters.connected('dns', way);
      else counters.failed('no-dns-answer');
      return answer ?? serverFailure(query, question.end);
    } finally {
      this.#pending--;
    }
  }

  async #ask(query: Buffer, end: number, way: Way, transport: Transport): Promise<Buffer | undefined> {
    const servers = way === 'vpn' ? this.#options.servers().map((address) => ({ address, port: DNS_PORT })) : this.#systemServers();
    const network = this.#options.outward.network(way);
    const askOne = transport === 'udp' ? askByUdp : askByTcp;
    const own = withDnsId(query, randomInt(0x1_0000));
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of servers) {
        if (this.#cancel.signal.aborted) return undefined;
        const signal = AbortSignal.any([this.#cancel.signal, AbortSignal.timeout(ANSWER_LIMIT)]);
        try {
          const answer = await askOne(network, own, end, server, signal);
          if (answer !== undefined) return withDnsId(answer, query.readUInt16BE(0));
        } catch (error) {
          this.#options.log.log('debug', 'dns server failed', { ...server, reason: failureCode(error) });
        }
      }
    }
    return undefined;
  }

  /** Without this one, which the machine may have been told to ask. */
  #systemServers(): readonly Server53[] {
    const { systemServers = getServers } = this.#options;
    const { port } = this.address;
    return parseServers(systemServers()).filter((server) => !(server.port === port && isLoopback(server.address)));
  }
}

interface Server53 {
  readonly address: string;
  readonly port: number;
}

/** As Node has them: `192.0.2.1`, `192.0.2.1:5353`, `[2001:db8::1]:5353`. */
function parseServers(texts: readonly string[]): Server53[] {
  return texts.flatMap((text) => {
    const [, bracketed, plain = '', digits] = /^(?:\[([^\]]+)\]|([^:]+|.*:.*:.*?))(?::(\d+))?$/.exec(text) ?? [];
    const address = parseIp(bracketed ?? plain);
    return address === undefined ? [] : [{ address: formatIp(address), port: digits === undefined ? DNS_PORT : Number(digits) }];
  });
}

type Ask = (network: OutwardNetwork, query: Buffer, end: number, server: Server53, signal: AbortSignal) => Promise<Buffer | undefined>;

/** The first datagram that answers; others are ignored, as they may be forged. Rejects when the time is over. */
const askByUdp: Ask = async (network, query, end, server, signal) => {
  const socket = network.createDatagram({ family: server.address.includes(':') ? 6 : 4 });
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    socket.on('error', reject);
    socket.on('message', (message, { address, port }) => {
      if (address === server.address && port === server.port && isAnswerTo(query, end, message)) resolve(message);
    });
    socket.send(query, server.port, server.address);
    return await promise;
  } finally {
    signal.removeEventListener('abort', abort);
    socket.close();
  }
};

const askByTcp: Ask = async (network, query, end, server, signal) => {
  const { address: host, port } = server;
  const socket = network.createConnection({ host, port, allowHalfOpen: false, noDelay: true, keepAlive: false, signal });
  try {
    socket.write(framed(query));
    for await (const message of messages(socket)) return isAnswerTo(query, end, message) ? message : undefined;
    return undefined;
  } finally {
    socket.destroy();
  }
};

/** RFC 1035 §4.2.2: each behind its length. */
async function* messages(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    held = Buffer.concat([held, chunk]);
    while (held.length >= LENGTH_BYTES && held.length >= LENGTH_BYTES + held.readUInt16BE(0)) {
      const end = LENGTH_BYTES + held.readUInt16BE(0);
      yield held.subarray(LENGTH_BYTES, end);
      held = held.subarray(end);
    }
  }
}

function framed(message: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(message.length >>> 8, message.length & 0xff), message]);
}
