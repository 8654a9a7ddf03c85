/**
 * A hostile client as a program, for a namespace: connections that say too little or too much, log-ins and cookies that are guessed, datagrams of nobody.
 * Its argument: the gateway's IPv4 address; the port is 443. It says `ready` and serves {@link AbuseCalls}.
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import tls from 'node:tls';
import type { Millis } from '../../../src/core/tunnel/packet.ts';
import { serveCalls } from '../../support/remote-calls.ts';

const host = process.argv[2] ?? '';
const PORT = 443;

/** The longest wait for anything. */
const PATIENCE: Millis = 30_000;

const held = new Set<Socket>();
let closedByGateway = 0;

function hold(socket: Socket): void {
  held.add(socket);
  socket.on('error', () => undefined); // `close` follows
  socket.on('close', () => {
    if (held.delete(socket)) closedByGateway++;
  });
  socket.resume();
}

async function connectTcp(localAddress?: string): Promise<Socket> {
  const socket = net.connect({ host, port: PORT, ...(localAddress !== undefined && { localAddress }) });
  await once(socket, 'connect');
  return socket;
}

async function connectTls(): Promise<tls.TLSSocket> {
  const socket = tls.connect({ host, port: PORT, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return socket;
}

/** A record that promises a ClientHello of 512 bytes, of which the first few come. */
const HALF_HELLO = Buffer.from('160301020001000001fc0303', 'hex');

/** One answer: its status, and the rest of it for who wants to go on. 0: the gateway closed without one. */
interface Answer {
  readonly status: number;
  readonly text: string;
}

/** One request at a time on a connection that is kept. */
class Conversation {
  readonly #socket: tls.TLSSocket;
  #received = '';
  #more: (() => void) | undefined;
  #isOver = false;

  constructor(socket: tls.TLSSocket) {
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      this.#received += bytes.toString('latin1');
      this.#more?.();
    });
    socket.on('close', () => {
      this.#isOver = true;
      this.#more?.();
    });
  }

  static async open(): Promise<Conversation> {
    return new Conversation(await connectTls());
  }

  async ask(request: string | Buffer): Promise<Answer> {
    this.#socket.write(request);
    const timer = setTimeout(() => this.#socket.destroy(), PATIENCE);
    for (;;) {
      const answer = this.#take();
      if (answer !== undefined || this.#isOver) {
        clearTimeout(timer);
        return answer ?? { status: 0, text: '' };
      }
      await new Promise<void>((resolve) => {
        this.#more = resolve;
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(): Answer | undefined {
    const end = this.#received.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const head = this.#received.slice(0, end);
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    if (this.#received.length < end + 4 + length && !this.#isOver) return undefined;
    const text = this.#received.slice(0, end + 4 + length);
    this.#received = this.#received.slice(end + 4 + length);
    return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0), text };
  }
}

const AGGREGATE = 'X-Transcend-Version: 1\r\nX-Aggregate-Auth: 1\r\nUser-Agent: Open AnyConnect VPN Agent v9.01\r\n';

function post(path: string, inner: string, cookie = ''): string {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" ${inner}</config-auth>\n`;
  const extra = cookie === '' ? '' : `Cookie: webvpncontext=${cookie}\r\n`;
  return `POST ${path} HTTP/1.1\r\nHost: gateway\r\n${AGGREGATE}${extra}Content-Length: ${body.length}\r\n\r\n${body}`;
}

const reply = (field: string, value: string) =>
  `type="auth-reply" aggregate-auth-version="2"><version who="vpn">v9.01</version><auth><${field}>${value}</${field}></auth>`;

const cookieIn = ({ text }: Answer) => /Set-Cookie: webvpncontext=([^;\r]+)/i.exec(text)?.[1] ?? '';

/** One log-in with wrong passwords until it is refused; how many were answered. */
async function failToLogIn(user: string, tries: number): Promise<{ readonly tries: number; readonly succeeded: number }> {
  const conversation = await Conversation.open();
  const count = { tries: 0, succeeded: 0 };
  try {
    await conversation.ask(post('/', 'type="init" aggregate-auth-version="2"><version who="vpn">v9.01</version>'));
    const cookie = cookieIn(await conversation.ask(post('/auth', reply('username', user))));
    while (count.tries < tries) {
      const answer = await conversation.ask(post('/auth', reply('password', randomBytes(6).toString('hex')), cookie));
      if (answer.status === 0) break;
      count.tries++;
      if (/Set-Cookie: webvpn=[^;\r]/.test(answer.text)) count.succeeded++;
      if (answer.status !== 200) break; // refused: begin again
    }
  } finally {
    conversation.close();
  }
  return count;
}

async function inParallel<T>(count: number, lanes: number, work: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const i = next++;
      results[i] = await work(i);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}

const udp: UdpSocket[] = [];
let udpAnswers = 0;

async function udpSocket(): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  socket.on('message', () => udpAnswers++).on('error', () => undefined);
  socket.bind(0);
  await once(socket, 'listening');
  udp.push(socket);
  return socket;
}

const calls = {
  /** Connections that say nothing, or the beginning of a TLS hello. */
  async holdHalfOpen(count: number, saysHello: boolean): Promise<void> {
    await inParallel(count, 50, async () => {
      const socket = await connectTcp();
      hold(socket);
      if (saysHello) socket.write(HALF_HELLO);
    });
  },

  /** Connections that say these bytes inside of TLS, and then one byte more each second. */
  async holdDribbling(count: number, start: string): Promise<void> {
    await inParallel(count, 10, async () => {
      const socket = await connectTls();
      hold(socket);
      socket.write(start);
      const timer = setInterval(() => socket.write('x'), 1000);
      socket.on('close', () => clearInterval(timer));
    });
  },

  held: () => ({ open: held.size, closedByGateway }),

  /** Resolves when the gateway has closed all that are held. */
  async allClosed(): Promise<void> {
    await Promise.all([...held].map((socket) => once(socket, 'close')));
  },

  /** Bytes (as Latin-1) without TLS, each on a connection of its own to this port; how many bytes came back until the gateway closed it. */
  async tellInTheClear(port: number, texts: readonly string[]): Promise<number[]> {
    return inParallel(texts.length, texts.length, async (i) => {
      const socket = net.connect({ host, port });
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write(Buffer.from(texts[i] ?? '', 'latin1'));
      socket.resume();
      await once(socket, 'close');
      return socket.bytesRead;
    });
  },

  /** The status of the answer to each of these requests, each on a connection of its own; 0: none. Binary as Latin-1. */
  async statuses(requests: readonly string[]): Promise<number[]> {
    return inParallel(requests.length, 10, async (i) => {
      const conversation = await Conversation.open();
      const { status } = await conversation.ask(Buffer.from(requests[i] ?? '', 'latin1'));
      conversation.close();
      return status;
    });
  },

  /** Sends a piece over and over, reading nothing, until the gateway closes or takes no more; the bytes that it took. */
  async pour(start: string, piece: string, most: number): Promise<number> {
    const socket = await connectTls();
    const over = once(socket, 'close').catch(() => undefined);
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(start);
    let poured = 0;
    const bytes = Buffer.from(piece, 'latin1');
    while (!socket.destroyed && poured < most) {
      if (!socket.write(bytes)) {
        const timeout = new Promise((resolve) => setTimeout(resolve, 2_000).unref());
        const drained = await Promise.race([
          once(socket, 'drain').then(
            () => true,
            () => false,
          ),
          over.then(() => false),
          timeout.then(() => false),
        ]);
        if (!drained) break;
      }
      poured += bytes.length;
    }
    poured -= socket.writableLength;
    socket.destroy();
    return poured;
  },

  /** Wrong passwords for a user. */
  async guessPasswords(
    user: string,
    count: number,
  ): Promise<{ readonly tries: number; readonly succeeded: number; readonly refused: number }> {
    const total = { tries: 0, succeeded: 0, refused: 0 };
    while (total.tries < count && total.refused < 20) {
      const rounds = await inParallel(8, 8, () => failToLogIn(user, 3).catch(() => ({ tries: 0, succeeded: 0 })));
      for (const { tries, succeeded } of rounds) {
        total.tries += tries;
        total.succeeded += succeeded;
        if (tries === 0) total.refused++;
      }
    }
    return total;
  },

  /** The statuses of CONNECT with cookies that are none. */
  async guessCookies(cookies: readonly string[]): Promise<number[]> {
    return inParallel(cookies.length, 10, async (i) => {
      const conversation = await Conversation.open();
      const { status } = await conversation.ask(
        `CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: gateway\r\nCookie: webvpn=${cookies[i]}\r\n${AGGREGATE}X-CSTP-Version: 1\r\n\r\n`,
      );
      conversation.close();
      return status;
    });
  },

  /** Sends datagrams (in hex), from so many ports in turn. The ports stay open for answers. */
  async sendDatagrams(datagrams: readonly string[], ports: number): Promise<void> {
    const sockets = await inParallel(ports, 50, udpSocket);
    for (const [i, datagram] of datagrams.entries()) {
      const socket = sockets[i % ports];
      await new Promise((resolve) => socket?.send(Buffer.from(datagram, 'hex'), PORT, host, resolve));
    }
  },

  /** Closes those ports; how many answers have come by now. */
  closeDatagrams(): number {
    for (const socket of udp.splice(0)) socket.close();
    return udpAnswers;
  },
};

export type AbuseCalls = typeof calls;

serveCalls(calls);
console.log('ready');
