/** The worker's end of a TLS connection by itself, against a peer that does what no honest one does, and a main that takes its time. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { describe, it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { CSTP_HEADER_LENGTH } from '../../../src/core/protocols/anyconnect/cstp-frame.ts';
import { streamTraffic } from '../../../src/core/protocols/anyconnect/stream-channel.ts';
import { ENTRY, entryTag } from '../../../src/node/engine/messages.ts';
import { PacketSwitch } from '../../../src/node/engine/packet-switch.ts';
import { SharedMemory } from '../../../src/node/engine/shared-memory.ts';
import { StreamCommands } from '../../../src/node/engine/stream-commands.ts';
import { MAX_UNSENT, type StreamReport } from '../../../src/node/engine/stream-messages.ts';
import { WorkerContext } from '../../../src/node/engine/worker-context.ts';
import { WorkerStream } from '../../../src/node/engine/worker-stream.ts';
import { LINUX } from '../../../src/node/ffi/libc.ts';
import { TlsSession } from '../../../src/node/ffi/openssl-tls.ts';
import { MAX_RECORD, NETWORK_ROOM } from '../../../src/node/ffi/openssl-tls-calls.ts';
import type { TlsSettings } from '../../../src/node/ffi/openssl-tls-context.ts';
import { openSocketPair } from '../../../src/node/ffi/sockets.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { throwawayCertificate } from '../../support/throwaway-certificate.ts';
import { control } from './stream-scene.ts';

const SETTINGS: TlsSettings = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: 'TLS_AES_256_GCM_SHA384' };
const NOTHING = new Uint8Array(0);
const skip = process.platform === 'linux' ? missing('openssl') : 'the packet engine runs on Linux only';

/** A stream that has shaken hands with `peer` over a pair of sockets; `memory` as main has it. */
function scene() {
  const { port1, port2 } = new MessageChannel();
  const memory = new SharedMemory();
  const context = new WorkerContext(port1, { memory: memory.buffer, portableCrypto: false, without: [] });
  const { room } = new StreamCommands(context, new PacketSwitch(context));
  const { libc } = context;
  const { ours, theirs } = openSocketPair(libc, LINUX.SOCK_STREAM);
  libc.fcntl(theirs, LINUX.F_SETFL, LINUX.O_NONBLOCK);
  const reports: StreamReport[] = [];
  const stream = new WorkerStream(context, room, 0, ours, new Float64Array(32), TlsSession.create(room.tls, SETTINGS), (report) =>
    reports.push(report),
  );
  const { certificatePem, keyPem } = throwawayCertificate();
  const der = Buffer.from(certificatePem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
  const key = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'der' });
  const peer = TlsSession.create(room.tls, { ...SETTINGS, role: 'server', identity: { chain: [der], key } });
  const { arena, network } = room.tls;

  /** Sends what waits at the peer, as far as the socket takes it. False: it took none. */
  function peerSends(): boolean {
    const length = Math.min(peer.unsent, NETWORK_ROOM);
    const sent = length === 0 ? 0 : libc.send(theirs, peer.unsentAddress, length, LINUX.MSG_NOSIGNAL);
    if (sent > 0) peer.sent(sent);
    return sent > 0;
  }
  /** The peer takes what has come for it. */
  function peerReceives(): boolean {
    const length = libc.recv(theirs, arena.address(network), NETWORK_ROOM, 0);
    if (length > 0) peer.feed(arena.address(network), length);
    return length > 0;
  }
  stream.shakeHands();
  for (let turn = 0; turn < 8; turn++) {
    peerReceives();
    peer.handshake();
    while (peerSends());
    stream.receive(undefined);
  }
  assert.deepEqual(
    reports.map(({ type }) => type),
    ['secured'],
  );
  return {
    stream,
    peer,
    reports,
    context,
    memory,
    peerSends,
    peerReceives,
    [Symbol.dispose]() {
      stream.close();
      peer.close();
      libc.close(theirs);
      port1.close();
      port2.close();
    },
  };
}

const reads = ({ pollEvents }: WorkerStream) => (pollEvents & LINUX.POLLIN) !== 0;

describe("the worker's end of a TLS connection", { skip, timeout: HANG_LIMIT }, () => {
  it('ends when its peer demands key updates and nothing else, also where it does not read the answers', () => {
    using t = scene();
    const record = Buffer.alloc(MAX_RECORD);
    const write = () => t.stream.sendDatagram(record, 0, record.length);
    while (!t.stream.isFull) {
      write();
      t.stream.flush();
    }
    for (let bytes = 2 * MAX_RECORD; bytes < MAX_UNSENT; bytes += MAX_RECORD) write();
    t.stream.flush();
    assert.ok(reads(t.stream), 'what is to be told to it is no reason');

    let demanded = 0;
    while (reads(t.stream) && demanded < 16 * MAX_RECORD) {
      while (t.peer.unsent < MAX_RECORD) t.peer.updateKeys();
      demanded += t.peer.unsent;
      while (t.peerSends());
      t.stream.receive(undefined);
    }
    assert.ok(!reads(t.stream) && demanded < 4 * MAX_RECORD, `${demanded} bytes of demands were taken`);
    assert.deepEqual(t.reports.at(-1), { type: 'broken', reason: 'too many key updates' });
  });

  it('lets what main gives back wait for room, and keeps it in front of what comes later', () => {
    using t = scene();
    const other = entryTag(ENTRY.datagram, 1);
    while (t.context.hasRoomForDevice()) t.context.deliver(other, 0, MAX_RECORD); // main has not taken it yet
    t.stream.carry(streamTraffic(new Uint8Array(0)));
    const count = 40_000;
    const given = Buffer.concat(Array.from({ length: count }, (_, i) => control(i)));
    const later = control(count);
    for (let at = 0; at < given.length; at += 50_001) t.stream.receiveAgain(given, at, Math.min(at + 50_001, given.length), undefined);
    t.context.arena.bytes.set(later);
    assert.ok(t.peer.write(t.context.arena.address(0), later.length));
    while (t.peerSends());

    const numbers: number[] = [];
    for (let turn = 0; turn < 100 && numbers.length <= count; turn++) {
      t.context.flush();
      const { toMain } = t.memory;
      while (toMain.next()) {
        if (toMain.tag === other) continue;
        assert.equal(toMain.tag, entryTag(ENTRY.record, 0));
        numbers.push(toMain.data.readUInt16BE(toMain.start + CSTP_HEADER_LENGTH));
      }
      toMain.release();
      t.stream.proceed(undefined);
      if (reads(t.stream)) t.stream.receive(undefined);
    }
    assert.ok(t.reports.every(({ type }) => type === 'secured'));
    assert.equal(numbers.length, count + 1);
    assert.ok(numbers.every((number, i) => number === i));
  });

  it('lets what it has of a frame wait for room, when that is main’s again, and keeps it in front of the rest', () => {
    using t = scene();
    const { arena } = t.context;
    const send = (bytes: Uint8Array) => {
      arena.bytes.set(bytes);
      assert.ok(t.peer.write(arena.address(0), bytes.length));
      while (t.peerSends());
    };
    const taken: Buffer[] = [];
    const take = () => {
      t.context.flush();
      const { toMain } = t.memory;
      for (; toMain.next(); taken.push(Buffer.from(toMain.data.subarray(toMain.start, toMain.end)))) {
        if (toMain.tag !== entryTag(ENTRY.datagram, 0)) return assert.fail(`tag ${toMain.tag}`);
      }
      toMain.release();
    };
    const whole = control(7);
    for (const isBegunByMain of [false, true]) {
      t.stream.carry(streamTraffic(isBegunByMain ? whole.subarray(0, 5) : NOTHING));
      t.stream.proceed(undefined); // main has nothing to give back
      if (!isBegunByMain) send(whole.subarray(0, 5));
      t.stream.receive(undefined);
      while (t.context.deliver(entryTag(ENTRY.datagram, 0), 0, 0)); // of others: main has not taken it yet
      t.stream.carry(undefined);
      send(whole.subarray(5));
      t.stream.receive(undefined);
      take();
      t.stream.proceed(undefined);
      if (reads(t.stream)) t.stream.receive(undefined);
      take();
    }
    assert.deepEqual(Buffer.concat(taken), Buffer.concat([whole, whole]));
    assert.ok(t.reports.every(({ type }) => type === 'secured'));
  });
});
