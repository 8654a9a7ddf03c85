/**
 * Packet scripts: one stack under test, and a peer whose every segment the script writes, on a clock that the script moves.
 *
 * Sequence and acknowledgement numbers are relative: the peer's SYN is 0 in its space, ours is 0 in ours, whatever they really are. Flags are letters:
 * S F R P A. What the stack sends is expected in order; {@link PacketScript.silence} and {@link PacketScript.end} expect that there is nothing more.
 *
 * @example
 * const script = new PacketScript();
 * const server = script.listen();
 * script.send('S', { seq: 0, mss: 1460 });
 * script.expect('SA', { seq: 0, ack: 1 });
 * script.send('A', { seq: 1, ack: 1 });
 */
import assert from 'node:assert/strict';
import { putU16, putU32 } from '../../../../src/core/ip/byte-order.ts';
import { checksumOf, sumPseudoHeader, sumWords } from '../../../../src/core/ip/checksum.ts';
import { addressesOffset, ipHeaderLength, writeIpHeader } from '../../../../src/core/ip/ip-header.ts';
import { IpPacket, PROTOCOL } from '../../../../src/core/ip/ip-packet.ts';
import type { IpStack, IpStackOptions } from '../../../../src/core/ip/ip-stack.ts';
import type { TcpConnection } from '../../../../src/core/ip/tcp/connection.ts';
import type { TcpListener } from '../../../../src/core/ip/tcp/listener.ts';
import { FLAG, OPTION, TcpSegment } from '../../../../src/core/ip/tcp/tcp-segment.ts';
import type { IpAddress } from '../../../../src/core/wire/ip-address.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { LEFT, LEFT6, RIGHT, RIGHT6, StackEnd } from '../stack-pair.ts';

/** What a segment of the peer has. Numbers are relative; what is not said is absent or 0. */
export interface Written {
  readonly seq?: number;
  readonly ack?: number;
  readonly win?: number;
  /** Bytes of data: the pattern of {@link dataAt}. */
  readonly len?: number;
  readonly mss?: number;
  readonly scale?: number;
  readonly sackPermitted?: boolean;
  /** TSval and TSecr; TSecr is relative to the stack's last TSval where it is `echo`. */
  readonly ts?: readonly [value: number, echo: number | 'echo'];
  readonly sack?: readonly (readonly [start: number, end: number])[];
  /** Options as raw bytes, a multiple of 4 long, besides those above. */
  readonly raw?: readonly number[];
  readonly badChecksum?: boolean;
  readonly port?: number;
}

/** What is expected of a segment of the stack; what is not said may be anything. */
export interface Expected {
  readonly seq?: number;
  readonly ack?: number;
  readonly len?: number;
  readonly win?: number;
  readonly mss?: number;
  readonly scale?: number;
  readonly sackPermitted?: boolean;
  readonly hasTimestamps?: boolean;
  readonly ecr?: number;
  readonly sack?: readonly (readonly [start: number, end: number])[];
}

const LOCAL_PORT = 80;
const PEER_PORT = 4_000;
const PEER_ISS = 0x7fff_ff00; // so that numbers pass 2^31 and signs are tested
const LETTERS: readonly (readonly [letter: string, flag: number])[] = [
  ['S', FLAG.syn],
  ['F', FLAG.fin],
  ['R', FLAG.rst],
  ['P', FLAG.psh],
  ['A', FLAG.ack],
];

export interface ScriptOptions extends Partial<IpStackOptions> {
  readonly family?: 4 | 6;
}

/** One segment of the stack, read. */
export interface Seen {
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly len: number;
  readonly win: number;
  readonly mss: number;
  readonly scale: number;
  readonly sackPermitted: boolean;
  readonly hasTimestamps: boolean;
  readonly ecr: number;
  readonly sack: readonly (readonly [number, number])[];
  readonly data: Uint8Array;
  readonly at: number;
  /** As it stands there. */
  readonly rawSeq: number;
}

/** The peer's data byte at a relative sequence number. */
export function dataAt(seq: number): number {
  return (seq * 7 + 3) & 0xff;
}

export class PacketScript {
  readonly clock = new FakeClock(10_000);
  readonly end_: StackEnd;
  readonly family: 4 | 6;
  /** Packets of the stack that are no TCP. */
  readonly others: Uint8Array[] = [];
  #seen: Seen[] = [];
  #iss: number | undefined;
  #lastTimestamp = 0;
  #peerPort = PEER_PORT;
  #localPort = LOCAL_PORT;

  constructor({ family = 4, ...options }: ScriptOptions = {}) {
    this.family = family;
    this.end_ = new StackEnd(this.clock, [LEFT, LEFT6], options, 99);
    this.end_.send = (packet) => this.#read(packet);
  }

  get stack(): IpStack {
    return this.end_.stack;
  }

  get local(): IpAddress {
    return this.family === 4 ? LEFT : LEFT6;
  }

  get peer(): IpAddress {
    return this.family === 4 ? RIGHT : RIGHT6;
  }

  get localPort(): number {
    return this.#localPort;
  }

  // The stack's user.

  listen(backlog?: number): TcpListener {
    return this.stack.listen(LOCAL_PORT, backlog === undefined ? {} : { backlog });
  }

  connect(): TcpConnection {
    const connection = this.stack.connect({ address: this.peer, port: PEER_PORT }, this.clock.now);
    this.#localPort = connection.local.port;
    this.pump();
    return connection;
  }

  /** A listener's connection, made with these options of the peer's SYN, over a path of this round trip. */
  accepted(options: Written = {}, roundTrip = 0): TcpConnection {
    const listener = this.listen();
    this.send('S', { seq: 0, win: 65_535, mss: 1460, ...options });
    this.expect('SA', { seq: 0, ack: 1 });
    this.clock.advance(roundTrip);
    const { ts, win = 65_535 } = options;
    this.send('A', { seq: 1, ack: 1, win, ...(ts !== undefined && { ts: [ts[0] + 1, 'echo'] }) });
    const connection = listener.accept();
    assert.ok(connection !== undefined, 'nothing was accepted');
    this.silence();
    return connection;
  }

  /** Writes `length` bytes, and lets the stack send. */
  write(connection: TcpConnection, length: number): void {
    assert.equal(connection.write(new Uint8Array(length).fill(0x61)), length);
    this.pump();
  }

  /** Reads everything that is there, and checks that it is the peer's pattern from `seq` on. How many bytes. */
  read(connection: TcpConnection, seq: number): number {
    let at = seq;
    for (let chunk = connection.read(); chunk !== undefined; chunk = connection.read()) {
      for (const byte of chunk) assert.equal(byte, dataAt(at++), `byte ${at - 1}`);
    }
    this.pump();
    return at - seq;
  }

  pump(): void {
    this.end_.pump();
  }

  /** Lets time pass. */
  wait(duration: number): void {
    this.pump();
    this.clock.advance(duration);
  }

  // The peer.

  /** Another peer port: another connection. */
  from(port: number): this {
    this.#peerPort = port;
    return this;
  }

  send(flags: string, written: Written = {}): void {
    this.deliver(this.segment(flags, written));
  }

  /** Hands the stack any packet. */
  deliver(packet: Uint8Array): void {
    this.end_.receive(packet);
  }

  segment(flags: string, written: Written): Uint8Array {
    const { seq = 0, ack = 0, win = 65_535, len = 0, badChecksum = false } = written;
    const options = this.#options(written);
    const header = ipHeaderLength(this.family);
    const length = 20 + options.length + len;
    const packet = new Uint8Array(header + length);
    writeIpHeader(packet, 0, this.family, this.peer.bytes, this.local.bytes, PROTOCOL.tcp, length);
    putU16(packet, header, written.port ?? this.#peerPort);
    putU16(packet, header + 2, this.#localPort);
    putU32(packet, header + 4, PEER_ISS + seq);
    putU32(packet, header + 8, flags.includes('A') ? (this.#iss ?? 0) + ack : 0);
    packet[header + 12] = ((20 + options.length) / 4) << 4;
    packet[header + 13] = LETTERS.reduce((sum, [letter, flag]) => sum | (flags.includes(letter) ? flag : 0), 0);
    putU16(packet, header + 14, win);
    packet.set(options, header + 20);
    for (let i = 0; i < len; i++) packet[header + 20 + options.length + i] = dataAt(seq + i);
    const pseudo = sumPseudoHeader(packet, addressesOffset(this.family), this.peer.bytes.length, PROTOCOL.tcp, length);
    putU16(packet, header + 16, checksumOf(sumWords(packet, header, packet.length, pseudo)) ^ (badChecksum ? 0x5555 : 0));
    return packet;
  }

  // What is expected.

  /** The next segment of the stack. */
  expect(flags: string, expected: Expected = {}): Seen {
    this.pump();
    const seen = this.#seen.shift();
    assert.ok(seen !== undefined, `expected ${flags} ${JSON.stringify(expected)}, and nothing came`);
    assert.equal(sorted(seen.flags), sorted(flags), `flags of ${describe(seen)}`);
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(seen[name as keyof Expected], value, `${name} of ${describe(seen)}`);
    }
    return seen;
  }

  /** Everything that the stack has sent by now. */
  take(): Seen[] {
    this.pump();
    return this.#seen.splice(0);
  }

  /** The stack has nothing to say, for a while. */
  silence(duration = 0): void {
    if (duration > 0) this.wait(duration);
    this.pump();
    assert.deepEqual(this.#seen.map(describe), []);
  }

  /** TS value of the stack's last segment. */
  get lastTimestamp(): number {
    return this.#lastTimestamp;
  }

  #options({ mss, scale, sackPermitted = false, ts, sack = [], raw = [] }: Written): Uint8Array {
    const bytes: number[] = [];
    if (mss !== undefined) bytes.push(OPTION.mss, 4, mss >>> 8, mss & 0xff);
    if (scale !== undefined) bytes.push(OPTION.nop, OPTION.windowScale, 3, scale);
    if (sackPermitted) bytes.push(OPTION.nop, OPTION.nop, OPTION.sackPermitted, 2);
    if (ts !== undefined)
      bytes.push(OPTION.nop, OPTION.nop, OPTION.timestamps, 10, ...word(ts[0]), ...word(ts[1] === 'echo' ? this.#lastTimestamp : ts[1]));
    if (sack.length > 0) {
      bytes.push(OPTION.nop, OPTION.nop, OPTION.sack, 2 + 8 * sack.length);
      for (const [start, end] of sack) bytes.push(...word((this.#iss ?? 0) + start), ...word((this.#iss ?? 0) + end));
    }
    bytes.push(...raw);
    return Uint8Array.from(bytes);
  }

  #read(bytes: Uint8Array): void {
    const packet = new IpPacket();
    assert.equal(packet.parse(bytes, 0, bytes.length), undefined, 'the stack sent what is no packet');
    if (packet.protocol !== PROTOCOL.tcp) {
      this.others.push(bytes);
      return;
    }
    const { payload, end, addressesAt, addressLength } = packet;
    const pseudo = sumPseudoHeader(bytes, addressesAt, addressLength, PROTOCOL.tcp, end - payload);
    assert.equal(checksumOf(sumWords(bytes, payload, end, pseudo)), 0, 'checksum of the stack');
    const segment = new TcpSegment();
    assert.ok(segment.parse(bytes, payload, end));
    if (segment.has(FLAG.syn)) this.#iss = segment.sequence;
    if (segment.hasTimestamps) this.#lastTimestamp = segment.timestamp;
    const iss = this.#iss ?? segment.sequence;
    const edges = segment.sackEdges;
    this.#seen.push({
      flags: LETTERS.filter(([, flag]) => segment.has(flag))
        .map(([letter]) => letter)
        .join(''),
      seq: (segment.sequence - iss) | 0,
      ack: segment.has(FLAG.ack) ? (segment.acknowledgement - PEER_ISS) | 0 : 0,
      len: segment.dataLength,
      win: segment.window,
      mss: segment.mss,
      scale: segment.windowScale,
      sackPermitted: segment.isSackPermitted,
      hasTimestamps: segment.hasTimestamps,
      ecr: segment.timestampEcho,
      sack: Array.from({ length: segment.sackBlocks }, (_, i) => [
        ((edges[2 * i] as number) - PEER_ISS) | 0,
        ((edges[2 * i + 1] as number) - PEER_ISS) | 0,
      ]),
      data: bytes.slice(segment.data, segment.end),
      at: this.clock.now,
      rawSeq: segment.sequence,
    });
  }
}

function word(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

function sorted(flags: string): string {
  return [...flags]
    .filter((letter) => letter !== 'P')
    .sort()
    .join('');
}

function describe({ flags, seq, ack, len, win, at }: Seen): string {
  return `${flags} seq ${seq} ack ${ack} len ${len} win ${win} at ${at}`;
}
