/**
 * Small proxies that carry a connection on, for those who dial through one: HTTP CONNECT with Basic or Digest authentication (RFC 9110 §9.3.6,
 * RFC 7617, RFC 7616) and SOCKS5 with name and password (RFC 1928, RFC 1929). `report` is told about each request and what became of it.
 */
import { createHash, randomBytes } from 'node:crypto';
import net, { type AddressInfo } from 'node:net';

export interface ProxyOptions {
  readonly kind: 'http' | 'socks5';
  /** Default: loopback. */
  readonly host?: string;
  /** Default: any. */
  readonly port?: number;
  /** Who may use it. Default: everybody. */
  readonly credentials?: { readonly user: string; readonly password: string };
  /** How an HTTP proxy asks for them. Default: Basic. */
  readonly scheme?: 'Basic' | 'Digest';
  /** Of Digest. Default: MD5, which every client knows. */
  readonly algorithm?: 'MD5' | 'SHA-256';
  /** Whether an HTTP proxy hangs up after it has asked. Default: no. */
  readonly hangsUp?: boolean;
}

export interface TestProxy extends AsyncDisposable {
  readonly port: number;
}

type Report = (line: string) => void;

/** `report` gets lines like `vpn.example:443 as alice: connected`. */
export async function startProxy(options: ProxyOptions, report: Report): Promise<TestProxy> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    const serve = options.kind === 'http' ? serveHttp : serveSocks;
    serve(new Conversation(socket), options, report).catch(() => socket.destroy()); // whoever dials sees that it has ended
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A socket that is read by lengths or to a mark. */
class Conversation {
  readonly socket: net.Socket;
  #held = Buffer.alloc(0);

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('error', () => undefined); // `close` follows
  }

  async until(mark: string): Promise<Buffer> {
    while (!this.#held.includes(mark)) await this.#more();
    return this.take(this.#held.indexOf(mark) + mark.length);
  }

  async take(length: number): Promise<Buffer> {
    while (this.#held.length < length) await this.#more();
    const taken = this.#held.subarray(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  /** Joins the socket with another; what has been read ahead goes first. */
  join(other: net.Socket): void {
    this.socket.removeAllListeners('data');
    other.write(this.#held);
    this.socket.pipe(other).pipe(this.socket);
    for (const [one, another] of [
      [this.socket, other],
      [other, this.socket],
    ] as const) {
      one.on('error', () => another.destroy()).on('close', () => another.destroy());
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.once('close', reject);
      this.socket.once('data', (bytes) => {
        this.socket.pause();
        this.socket.off('close', reject);
        this.#held = Buffer.concat([this.#held, bytes]);
        resolve();
      });
      this.socket.resume();
    });
  }
}

function connect(target: { readonly host: string; readonly port: number }): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(target, () => resolve(socket));
    socket.on('error', reject);
  });
}

async function serveHttp(conversation: Conversation, options: ProxyOptions, report: Report): Promise<void> {
  const { credentials, scheme = 'Basic', algorithm = 'MD5', hangsUp = false } = options;
  const { socket } = conversation;
  for (;;) {
    const head = (await conversation.until('\r\n\r\n')).toString('latin1');
    const [, method = '', target = ''] = /^(\S+) (\S+) HTTP\/1\.1\r\n/.exec(head) ?? [];
    const authorization = /^proxy-authorization: (.*)\r$/im.exec(head)?.[1];
    const as = credentials === undefined ? '' : ` by ${authorization?.split(' ')[0] ?? 'nothing'}`;
    const isWelcome = credentials === undefined || proves(authorization, { method, target, scheme, algorithm, ...credentials });
    if (isWelcome) {
      report(`${target}${as}: connected`);
      const [, host = '', port] = /^\[?(.*?)\]?:(\d+)$/.exec(target) ?? [];
      const other = await connect({ host, port: Number(port) });
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      conversation.join(other);
      return;
    }
    report(`${target}${as}: refused`);
    const challenge = scheme === 'Basic' ? 'Basic realm="lab"' : `Digest realm="lab", nonce="${NONCE}", qop="auth", algorithm=${algorithm}`;
    const page = '<html>Who are you?</html>';
    const fields = [`Proxy-Authenticate: ${challenge}`, `Content-Length: ${page.length}`, ...(hangsUp ? ['Connection: close'] : [])];
    socket.write(`HTTP/1.1 407 Proxy Authentication Required\r\n${fields.join('\r\n')}\r\n\r\n${page}`);
    if (hangsUp) {
      socket.end();
      return;
    }
  }
}

/** One for all: an answer may come on another connection than the question. */
const NONCE = randomBytes(8).toString('hex');

interface Proof {
  readonly scheme: 'Basic' | 'Digest';
  readonly algorithm: 'MD5' | 'SHA-256';
  readonly user: string;
  readonly password: string;
  readonly method: string;
  readonly target: string;
}

function proves(authorization: string | undefined, { scheme, algorithm, user, password, method, target }: Proof): boolean {
  if (authorization === undefined) return false;
  if (scheme === 'Basic') return authorization === `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const parameters = new Map(
    [...authorization.matchAll(/(\w+)=(?:"([^"]*)"|([^\s,]+))/g)].map(([, name, quoted, plain]) => [name, quoted ?? plain]),
  );
  const hash = (text: string) => createHash(algorithm.replace('-', '').toLowerCase()).update(text).digest('hex');
  const counted = [NONCE, parameters.get('nc'), parameters.get('cnonce'), 'auth'].join(':');
  const response = hash(`${hash(`${user}:lab:${password}`)}:${counted}:${hash(`${method}:${target}`)}`);
  return authorization.startsWith('Digest ') && parameters.get('username') === user && parameters.get('response') === response;
}

const SOCKS = { version: 5, noAuthentication: 0, byPassword: 2, noneOfThese: 0xff, ipv4: 1, name: 3, ipv6: 4 } as const;

async function serveSocks(conversation: Conversation, { credentials }: ProxyOptions, report: Report): Promise<void> {
  const { socket } = conversation;
  const u8 = async () => (await conversation.take(1))[0] ?? 0;
  const text = async () => (await conversation.take(await u8())).toString('utf8');
  await u8();
  const offered = await conversation.take(await u8());
  const wanted = credentials === undefined ? SOCKS.noAuthentication : SOCKS.byPassword;
  const isOffered = offered.includes(wanted);
  socket.write(Uint8Array.of(SOCKS.version, isOffered ? wanted : SOCKS.noneOfThese));
  let as = '';
  if (!isOffered) {
    report('no method: refused');
    socket.end();
    return;
  }
  if (credentials !== undefined) {
    await u8();
    const [user, password] = [await text(), await text()];
    const isWelcome = user === credentials.user && password === credentials.password;
    socket.write(Uint8Array.of(1, isWelcome ? 0 : 1));
    as = ` as ${user}`;
    if (!isWelcome) {
      report(`nothing${as}: refused`);
      socket.end();
      return;
    }
  }
  await conversation.take(3); // version, CONNECT, reserved
  const host = await socksHost(await u8(), conversation, text);
  const port = (await conversation.take(2)).readUInt16BE();
  const other = await connect({ host, port });
  report(`${host}:${port}${as}: connected`);
  socket.write(Uint8Array.of(SOCKS.version, 0, 0, SOCKS.ipv4, 0, 0, 0, 0, 0, 0));
  conversation.join(other);
}

async function socksHost(type: number, conversation: Conversation, text: () => Promise<string>): Promise<string> {
  switch (type) {
    case SOCKS.name:
      return text();
    case SOCKS.ipv4:
      return (await conversation.take(4)).join('.');
    default: {
      const bytes = await conversation.take(16);
      return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':');
    }
  }
}
