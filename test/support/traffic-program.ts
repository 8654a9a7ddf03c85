/**
 * One end of test traffic: run in a namespace by traffic.ts. Serves TCP streams and UDP datagrams, and makes them.
 *
 * A stream begins with one line of JSON, what to do; then both sides send at once what their seeds say, and hash what they send and receive.
 * A datagram says which it is and carries a checksum of all of it:
 *
 *   0     4      8      12      16     20
 *   +-----+------+------+-------+------+----------
 *   | tag | flow | seq  | crc32 | size | seeded data…
 *   +-----+------+------+-------+------+----------
 */
import { createCipheriv, createHash, type Hash } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { type EventEmitter, once } from 'node:events';
import { connect, createServer, isIPv6, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { serveCalls } from './remote-calls.ts';

export interface StreamRequest {
  readonly host: string;
  readonly port: number;
  /** Bytes from the caller to the other end, and back. */
  readonly up: number;
  readonly down: number;
  readonly seed: number;
  /** Each byte comes so many times in a row. */
  readonly repeats: number;
}

/** SHA-256 of one direction in hex, at the end that sent and at the end that received. */
export interface StreamDirection {
  readonly bytes: number;
  readonly sent: string;
  readonly received: string;
}

export interface StreamResult {
  readonly up: StreamDirection;
  readonly down: StreamDirection;
  readonly seconds: number;
}

export interface DatagramRequest {
  readonly host: string;
  readonly port: number;
  readonly flow: number;
  readonly count: number;
  /** Payload bytes of each, at least {@link HEADER_BYTES}. */
  readonly size: number;
  /** So many at once, then a millisecond's rest. */
  readonly burst: number;
}

/** What arrived of one flow. */
export interface DatagramReport {
  /** Different ones. */
  readonly received: number;
  readonly doubled: number;
  /** Arrived after one that was sent later. */
  readonly late: number;
  /** Of the right kind, but not as they were sent. */
  readonly damaged: number;
}

const HEADER_BYTES = 20;
const TAG = 0x53504447;
const CHUNK_BYTES = 64 * 1024;
const MAX_REQUEST_BYTES = 4_096;

/** A silence this long after a datagram means that no more will come. */
const SILENCE = 500;

/** Data that looks random and follows from its seed: AES-CTR, faster than any tunnel. */
class SeededData {
  readonly #cipher;
  readonly #repeats: number;

  constructor(seed: number, stream: number, repeats = 1) {
    const key = createHash('sha256').update(`${seed} ${stream}`).digest().subarray(0, 16);
    this.#cipher = createCipheriv('aes-128-ctr', key, new Uint8Array(16));
    this.#repeats = repeats;
  }

  next(length: number): Buffer {
    const repeats = this.#repeats;
    const bytes = this.#cipher.update(new Uint8Array(Math.ceil(length / repeats)));
    if (repeats === 1) return bytes;
    const repeated = Buffer.allocUnsafe(bytes.length * repeats);
    for (const [i, byte] of bytes.entries()) repeated.fill(byte, i * repeats, (i + 1) * repeats);
    return repeated.subarray(0, length);
  }
}

async function sendSeeded(socket: Socket, bytes: number, data: SeededData): Promise<string> {
  const hash = createHash('sha256');
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    const chunk = data.next(Math.min(left, CHUNK_BYTES));
    hash.update(chunk);
    if (!socket.write(chunk)) await once(socket, 'drain');
  }
  return hash.digest('hex');
}

/** Reads a socket in pieces of the length that is wanted. */
class Reader {
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#chunks = socket.iterator({ destroyOnReturn: false })[Symbol.asyncIterator]();
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done === true) throw new Error('the stream ended early');
    this.#held = this.#held.length === 0 ? value : Buffer.concat([this.#held, value]);
  }

  async line(): Promise<string> {
    while (!this.#held.includes('\n')) {
      if (this.#held.length > MAX_REQUEST_BYTES) throw new Error('the line is too long');
      await this.#more();
    }
    const end = this.#held.indexOf('\n');
    const line = this.#held.subarray(0, end).toString();
    this.#held = this.#held.subarray(end + 1);
    return line;
  }

  async hash(bytes: number): Promise<string> {
    const hash: Hash = createHash('sha256');
    for (let left = bytes; left > 0; ) {
      if (this.#held.length === 0) await this.#more();
      const piece = this.#held.subarray(0, left);
      hash.update(piece);
      left -= piece.length;
      this.#held = this.#held.subarray(piece.length);
    }
    return hash.digest('hex');
  }
}

/** The serving end of one stream: sends its data, and then one line with both hashes. */
async function serveStream(socket: Socket): Promise<void> {
  socket.setNoDelay(true);
  const reader = new Reader(socket);
  const { up, down, seed, repeats }: StreamRequest = JSON.parse(await reader.line());
  const [received, sent] = await Promise.all([reader.hash(up), sendSeeded(socket, down, new SeededData(seed, 1, repeats))]);
  socket.end(`${JSON.stringify({ received, sent })}\n`);
}

async function transfer(request: StreamRequest): Promise<StreamResult> {
  const { host, port, up, down, seed, repeats } = request;
  const start = performance.now();
  const socket = connect({ host, port, noDelay: true });
  try {
    await once(socket, 'connect');
    const reader = new Reader(socket);
    socket.write(`${JSON.stringify(request)}\n`);
    const [received, sent] = await Promise.all([reader.hash(down), sendSeeded(socket, up, new SeededData(seed, 0, repeats))]);
    const other: { readonly received: string; readonly sent: string } = JSON.parse(await reader.line());
    const seconds = (performance.now() - start) / 1000;
    return { up: { bytes: up, sent, received: other.received }, down: { bytes: down, sent: other.sent, received }, seconds };
  } finally {
    socket.destroy();
  }
}

function datagram(flow: number, sequence: number, size: number): Buffer {
  const bytes = Buffer.alloc(size, sequence & 0xff);
  bytes.writeUInt32BE(TAG, 0);
  bytes.writeUInt32BE(flow, 4);
  bytes.writeUInt32BE(sequence, 8);
  bytes.writeUInt32BE(size, 16);
  bytes.writeUInt32BE(crc32(bytes), 12); // over the field itself while it is zero
  return bytes;
}

/** What has arrived of a flow so far. */
class FlowRecord {
  readonly seen = new Set<number>();
  highest = -1;
  doubled = 0;
  late = 0;
  damaged = 0;
  lastAt = performance.now();

  take(bytes: Buffer): void {
    this.lastAt = performance.now();
    const sequence = bytes.readUInt32BE(8);
    const isWhole = bytes.readUInt32BE(16) === bytes.length && datagram(bytes.readUInt32BE(4), sequence, bytes.length).equals(bytes);
    if (!isWhole) this.damaged++;
    else if (this.seen.has(sequence)) this.doubled++;
    else {
      if (sequence < this.highest) this.late++;
      this.highest = Math.max(this.highest, sequence);
      this.seen.add(sequence);
    }
  }
}

const ADDRESS_DEADLINE: Millis = 30_000;
const ADDRESS_POLL: Millis = 20;

const flows = new Map<number, FlowRecord>();

function flowOf(number: number): FlowRecord {
  const record = flows.get(number) ?? new FlowRecord();
  flows.set(number, record);
  return record;
}

async function listenUdp(host: string): Promise<number> {
  const socket = udpSocket(host);
  socket.on('message', (bytes) => {
    if (bytes.length >= HEADER_BYTES && bytes.readUInt32BE(0) === TAG) flowOf(bytes.readUInt32BE(4)).take(bytes);
  });
  await bound(socket, () => socket.bind(0, host));
  return socket.address().port;
}

/** Waits until a socket listens. A gateway that puts a new device in an old one's place has its address nowhere for a moment. */
async function bound(socket: EventEmitter, bind: () => void): Promise<void> {
  for (const deadline = performance.now() + ADDRESS_DEADLINE; ; await setTimeout(ADDRESS_POLL)) {
    try {
      bind();
      await once(socket, 'listening');
      return;
    } catch (error) {
      const isAway = error instanceof Error && 'code' in error && error.code === 'EADDRNOTAVAIL';
      if (!isAway || performance.now() > deadline) throw error;
    }
  }
}

function udpSocket(host: string): UdpSocket {
  return createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', recvBufferSize: 4 * 1024 * 1024 });
}

const calls = {
  /** Serves streams and datagrams on an address of this namespace; any free ports. */
  async listen(host: string): Promise<{ tcpPort: number; udpPort: number }> {
    const server = createServer((socket) => {
      serveStream(socket).catch((error: unknown) => socket.destroy(error instanceof Error ? error : undefined));
      socket.on('error', () => undefined); // the calling end reports that its stream broke
    });
    await bound(server, () => server.listen({ host, port: 0 }));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
    return { tcpPort: address.port, udpPort: await listenUdp(host) };
  },

  transfer,

  async sendDatagrams({ host, port, flow, count, size, burst }: DatagramRequest): Promise<void> {
    if (size < HEADER_BYTES) throw new Error(`a datagram has at least ${HEADER_BYTES} bytes`);
    const socket = udpSocket(host);
    for (let sequence = 0; sequence < count; sequence++) {
      await new Promise<void>((resolve, reject) => {
        socket.send(datagram(flow, sequence, size), port, host, (error) => (error === null ? resolve() : reject(error)));
      });
      if ((sequence + 1) % burst === 0) await setTimeout(1);
    }
    socket.close();
  },

  /** What has arrived of a flow, once all of it has, or nothing more comes. */
  async datagramReport(flow: number, count: number): Promise<DatagramReport> {
    const record = flowOf(flow);
    for (let wait = SILENCE; record.seen.size < count && wait > 0; wait = record.lastAt + SILENCE - performance.now())
      await setTimeout(wait);
    const { seen, doubled, late, damaged } = record;
    flows.delete(flow); // this program may run for hours
    return { received: seen.size, doubled, late, damaged };
  },
};

export type TrafficCalls = typeof calls;

serveCalls(calls);
console.log('ready');
