/** The far end of a carried path for tests: a UDP socket on loopback that seals and opens by the reference, and IP packets to put inside. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { type AeadCipher, framingByMark, type TrafficDescription } from '../../src/core/tunnel/traffic.ts';
import { type Endpoint, parseIp } from '../../src/core/wire/ip-address.ts';
import { openReference, type ReferenceKey, type ReferenceRecord, sealReference } from '../reference/dtls-record.ts';

export const DATA = 23;
export const ALERT = 21;

/** Values that come one by one, and may be awaited before they do. */
export class Arrivals<T> {
  readonly #values: T[] = [];
  readonly #waiting: ((value: T) => void)[] = [];

  push(value: T): void {
    const receiver = this.#waiting.shift();
    if (receiver !== undefined) receiver(value);
    else this.#values.push(value);
  }

  next(): Promise<T> {
    const value = this.#values.shift();
    return value !== undefined ? Promise.resolve(value) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  get count(): number {
    return this.#values.length;
  }
}

export class TrafficPeer {
  /** Every datagram that came, unless {@link onDatagram} takes them. */
  readonly datagrams = new Arrivals<Buffer>();
  onDatagram: ((bytes: Buffer) => void) | undefined;
  /** Ours to seal with, the peer's to open with, and the other way round. */
  readonly theirs: ReferenceKey;
  readonly ours: ReferenceKey;
  #nextSequence = 1;
  readonly socket: Socket;
  #client: number | undefined;
  #isOpen = true;
  #isConnected = false;

  static async listen(cipher: AeadCipher, address: string = '127.0.0.1'): Promise<TrafficPeer> {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    await new Promise<void>((resolve) => socket.bind(0, address, resolve));
    return new TrafficPeer(cipher, socket);
  }

  private constructor(cipher: AeadCipher, socket: Socket) {
    this.theirs = newKey(cipher);
    this.ours = newKey(cipher);
    this.socket = socket;
    socket.unref(); // a test that fails must not wait for it
    socket.on('message', (bytes, from) => {
      this.#client = from.port;
      if (this.onDatagram !== undefined) this.onDatagram(bytes);
      else this.datagrams.push(bytes);
    });
  }

  get endpoint(): Endpoint {
    const { address, port } = this.socket.address();
    return endpoint(address, port);
  }

  /** What the engine needs to carry a path to this peer. */
  description(change: Partial<TrafficDescription> = {}, nextSequence = 1): TrafficDescription {
    const traffic = (key: ReferenceKey, next: number) => ({ id: key.epoch, key: Uint8Array.from(key.key), iv: key.iv, nextSequence: next });
    return {
      record: { kind: 'dtls-aead', cipher: this.ours.cipher },
      seal: traffic(this.theirs, nextSequence),
      open: [traffic(this.ours, 1)],
      replayWindow: 64,
      framing: framingByMark(0),
      tunnelMtu: 1400,
      ...change,
    };
  }

  /** Sends a datagram to whoever spoke last, or to the port. */
  send(bytes: Uint8Array, port: number | undefined = this.#client): void {
    assert.ok(port !== undefined, 'nobody has spoken yet');
    const { address } = this.socket.address();
    if (this.#isConnected) this.socket.send(bytes);
    else this.socket.send(bytes, port, address);
  }

  /** From now on {@link send} hands a datagram to the kernel before it returns, to whoever spoke last. */
  async connect(): Promise<void> {
    const port = this.#client;
    assert.ok(port !== undefined, 'nobody has spoken yet');
    await new Promise<void>((resolve) => this.socket.connect(port, this.socket.address().address, resolve));
    this.#isConnected = true;
  }

  seal(type: number, plaintext: Uint8Array, sequence: number = this.#nextSequence++): Buffer {
    return sealReference(this.ours, sequence, type, plaintext);
  }

  /** An IP packet as a data record. */
  sealPacket(packet: Uint8Array): Buffer {
    return this.seal(DATA, Buffer.concat([Buffer.of(0), packet]));
  }

  open(datagram: Uint8Array): ReferenceRecord {
    return openReference(this.theirs, datagram);
  }

  async nextRecord(): Promise<ReferenceRecord> {
    return this.open(await this.datagrams.next());
  }

  /** Safe to call twice. */
  close(): void {
    if (this.#isOpen) this.socket.close();
    this.#isOpen = false;
  }
}

function newKey(cipher: AeadCipher): ReferenceKey {
  return {
    cipher,
    epoch: 1,
    key: randomBytes(cipher === 'aes-128-gcm' ? 16 : 32),
    iv: randomBytes(cipher === 'chacha20-poly1305' ? 12 : 4),
  };
}

export function endpoint(address: string, port: number): Endpoint {
  const parsed = parseIp(address);
  assert.ok(parsed, address);
  return { address: parsed, port };
}

/** An IPv4 packet with a UDP datagram; the UDP checksum is left out, as RFC 768 allows. */
export function ipv4Udp(from: string, to: string, fromPort: number, toPort: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(fromPort, 0);
  header.writeUInt16BE(toPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return ipv4(from, to, 17, Buffer.concat([header, payload]));
}

/** An IPv4 packet with an ICMP message about another packet. */
export function ipv4Icmp(from: string, to: string, type: number, code: number, value: number, about: Uint8Array): Buffer {
  const message = Buffer.concat([Buffer.of(type, code, 0, 0, 0, 0, value >>> 8, value), about]);
  message.writeUInt16BE(checksum(message), 2);
  return ipv4(from, to, 1, message);
}

function ipv4(from: string, to: string, protocol: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header[8] = 64;
  header[9] = protocol;
  header.set(endpoint(from, 0).address.bytes, 12);
  header.set(endpoint(to, 0).address.bytes, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** The answer to a ping: an IPv4 packet with an ICMP echo request, turned round. Undefined for any other packet. */
export function echoReply(request: Uint8Array): Buffer | undefined {
  const packet = Buffer.from(request);
  if (packet[0] !== 0x45 || packet[9] !== 1 || packet[20] !== 8) return undefined;
  request.subarray(16, 20).forEach((byte, i) => {
    packet[12 + i] = byte;
  });
  request.subarray(12, 16).forEach((byte, i) => {
    packet[16 + i] = byte;
  });
  packet[20] = 0;
  packet.writeUInt16BE(0, 22);
  packet.writeUInt16BE(checksum(packet.subarray(20)), 22);
  return packet;
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
