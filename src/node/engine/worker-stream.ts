/**
 * The worker's end of a TLS connection. While it carries traffic, packets go straight between the device and the socket.
 *
 * The story of a packet out: the loop reads it from the device into the arena → {@link WorkerStream.addPacket} puts the frame's header in front and
 * it becomes one record (frame-run.ts) → {@link WorkerStream.flush} sends the records of a burst by one call.
 * In: {@link WorkerStream.receive} takes what the socket has → the records open one behind the other → stream-cutter.ts finds the frames → data
 * is listed for the device where it lies, and written at the end of the burst; everything else goes to main.
 *
 * ### Nothing is lost and nothing is overtaken
 *
 * Out: what the socket does not take stays in OpenSSL, the device is not read meanwhile, and main commits no more than a window ahead.
 * In: no record is opened that would not fit into the ring to main. When carrying begins, main may hold bytes that were delivered before; it gives
 * them back, and until it has, nothing else is read ({@link ReturnWait}). What does not fit into the ring meanwhile waits here.
 */
import { MisuseError } from '../../core/errors.ts';
import type { StreamTraffic, TrafficDescription } from '../../core/tunnel/traffic.ts';
import { KeptAddress } from '../ffi/arena.ts';
import { ERRNO } from '../ffi/errno.ts';
import { LINUX } from '../ffi/libc.ts';
import { NOT_READ, type TlsSession } from '../ffi/openssl-tls.ts';
import { MAX_RECORD, NETWORK_ROOM } from '../ffi/openssl-tls-calls.ts';
import { countSentPacket } from './carried-packets.ts';
import type { FrameRun } from './frame-run.ts';
import { ReturnWait } from './return-wait.ts';
import { count, PATH } from './shared-memory.ts';
import { StreamCutter } from './stream-cutter.ts';
import { StreamFarewell } from './stream-farewell.ts';
import { StreamFrames } from './stream-frames.ts';
import { LEFT_STEP, type StreamReport } from './stream-messages.ts';
import { StreamOutput } from './stream-output.ts';
import { PLAINTEXT_ROOM, type StreamRoom } from './stream-room.ts';
import type { WorkerContext } from './worker-context.ts';
import type { WorkerDevice } from './worker-device.ts';
import type { WorkerEnd } from './worker-end.ts';

/** Reads of the socket that one pass takes at most, so that the others have their turn. */
const MAX_READS = 4;

/** `prepared`: its handshake has not begun. `ended`: our goodbye is said; the peer's is awaited. `over`: nothing is read or written any more. */
type StreamState = 'prepared' | 'shaking' | 'open' | 'ended' | 'over';

export class WorkerStream implements WorkerEnd {
  readonly fd: number;
  readonly #context: WorkerContext;
  readonly #report: (report: StreamReport) => void;
  readonly #counters: Float64Array;
  readonly #session: TlsSession;
  readonly #output: StreamOutput;
  readonly #farewell: StreamFarewell;
  readonly #cutter: StreamCutter;
  readonly #plaintext: number;
  readonly #run: FrameRun;
  readonly #network: number;
  readonly #networkAddress: KeptAddress;
  readonly #readAddress: KeptAddress;
  #state: StreamState = 'prepared';
  /** The beginning of a frame whose rest has not come. */
  #partial: Uint8Array = NOTHING;
  #returnWait: ReturnWait | undefined;
  /** What main has given back and was not cut yet, a record's length each at most but for the beginning of a frame; no more than a ring holds. */
  readonly #returned: Uint8Array[] = [];
  /** Plaintext waits, here or in OpenSSL, for room in the ring to main. */
  #waitsForRoom = false;
  /** Records that were opened; of interest is how many more they became. */
  #records = 0;
  /** Bytes that main committed and was not told to have left. */
  #committed = 0;

  /** @param fd a connected stream socket that does not block, from here on this object's, as its session @param report tells main */
  constructor(
    context: WorkerContext,
    room: StreamRoom,
    id: number,
    fd: number,
    counters: Float64Array,
    session: TlsSession,
    report: (report: StreamReport) => void,
  ) {
    this.#context = context;
    this.#report = report;
    this.fd = fd;
    this.#counters = counters;
    this.#session = session;
    this.#output = new StreamOutput(context, fd, session, counters);
    this.#cutter = new StreamCutter(context, id, counters, () => {
      this.#over({ type: 'broken', reason: 'the packet engine had no room for a frame' });
    });
    this.#plaintext = room.plaintext;
    this.#run = room.run;
    this.#networkAddress = new KeptAddress(room.tls.arena);
    this.#network = room.tls.network;
    this.#readAddress = new KeptAddress(context.arena);
    this.#farewell = new StreamFarewell(context.libc, fd, this.#networkAddress, this.#network, NETWORK_ROOM);
  }

  get pollEvents(): number {
    if (this.#state === 'over' || this.#state === 'prepared') return 0;
    const toRead = this.#state === 'ended' ? this.#farewell.pollEvents : this.#mayRead ? LINUX.POLLIN : 0;
    return toRead | (this.#output.isFull ? LINUX.POLLOUT : 0);
  }

  get isCarried(): boolean {
    return this.#cutter.frames !== undefined;
  }

  get tunnelMtu(): number {
    return this.#cutter.frames?.tunnelMtu ?? 0;
  }

  get isFull(): boolean {
    return this.#output.isFull;
  }

  get isWaiting(): boolean {
    return this.#returnWait !== undefined || this.#waitsForRoom;
  }

  get mayProceed(): boolean {
    if (this.#returnWait !== undefined) return this.#returnWait.isOver;
    return this.#waitsForRoom && this.#state === 'open' && this.#context.hasRoomForDevice();
  }

  /** Begins the handshake; a report says how it ends. For one that is over already, what waits of its bytes is taken. */
  shakeHands(): void {
    this.#state = 'shaking';
    if (this.#handshake()) this.#readRecords(undefined);
    this.flush();
  }

  exportKeys(label: string, length: number): Uint8Array {
    const keys = this.#session.exportKeys(label, length);
    if (keys === undefined) throw new MisuseError(`the TLS connection exports no ${length} bytes for "${label}"`);
    return keys;
  }

  /** Takes effect between two records; what was written before stays under the old keys. */
  updateKeys(): undefined {
    if (this.#state !== 'open' || !this.#session.updateKeys()) throw new MisuseError('the TLS connection cannot renew its keys');
    this.#output.hasUnsent = true;
    this.flush();
  }

  /** Nothing follows what was committed. */
  end(): void {
    if (this.#state === 'ended' || this.#state === 'over') return;
    if (this.#state === 'open') this.#session.end();
    this.#state = 'ended';
    this.#output.hasUnsent = true;
    this.flush();
  }

  /** Bytes on their way to the peer's system. */
  get unacknowledged(): number {
    return this.#state === 'over' ? 0 : this.#farewell.unacknowledged;
  }

  carry(description: TrafficDescription | StreamTraffic | undefined): undefined {
    if (description !== undefined && description.record.kind !== 'tls-stream') throw new MisuseError('a TLS connection carries frames');
    const traffic = description as StreamTraffic | undefined;
    const wasCarried = this.#cutter.frames !== undefined;
    this.#cutter.frames = traffic === undefined ? undefined : new StreamFrames(traffic, this.#cutter.frames);
    if (traffic !== undefined && !wasCarried) {
      this.#partial = Uint8Array.from(traffic.received);
      this.#returnWait = new ReturnWait(this.#context.memory);
    } else if (traffic === undefined && this.#partial.length > 0) {
      this.#returnPartial(); // it is main's to go on with
      this.#waitsForRoom ||= !this.#takeReturned(undefined);
    }
  }

  /** Where the next packet of a burst is to lie, behind room for its frame's header. */
  get packetPlace(): number {
    return this.#run.placeFor(this.#output) + (this.#cutter.frames?.headerLength ?? 0);
  }

  addPacket(length: number): boolean {
    const frames = this.#cutter.frames;
    if (frames === undefined || this.#state !== 'open' || this.#output.errno !== undefined) {
      count(this.#counters, PATH.notSealed);
      return true;
    }
    if (!frames.writeHeader(this.#context.arena.bytes, this.packetPlace, length)) return false;
    this.#run.add(frames.headerLength + length);
    countSentPacket(this.#counters, length);
    this.#output.hasPackets = true;
    return true;
  }

  sendDatagram(source: Buffer, start: number, end: number): void {
    this.#run.flush(this.#output);
    const place = this.#run.placeFor(this.#output);
    source.copy(this.#context.arena.bytes, place, start, end);
    this.#committed += end - start;
    if (this.#state === 'open') this.#output.writeFrames(place, end - start, end - start, 1);
    else count(this.#counters, PATH.notSealed);
  }

  sendRecord(): void {
    count(this.#counters, PATH.notSealed); // TLS's own records are OpenSSL's
  }

  receive(device: WorkerDevice | undefined): number {
    this.flush(); // perhaps it was room to write that came
    if (this.#state === 'ended') {
      this.#hearFarewell();
      return 0;
    }
    const before = this.#records;
    for (let reads = 0; reads < MAX_READS && this.#mayRead; reads++) {
      const address = this.#networkAddress.of(this.#network);
      const length = this.#context.libc.recv(this.fd, address, NETWORK_ROOM, 0);
      if (length < 0) {
        const errno = this.#output.errno ?? this.#context.libc.errno();
        if (errno !== ERRNO.EAGAIN && errno !== ERRNO.EINTR) this.fail(errno);
        break;
      }
      if (length === 0) {
        this.#over(this.#output.errno === undefined ? { type: 'over' } : { type: 'broken', errno: this.#output.errno });
        break;
      }
      this.#session.feed(address, length);
      if (this.#state === 'shaking') this.#handshake();
      if (this.#state === 'open') this.#readRecords(device);
      if (length < NETWORK_ROOM) break; // poll says if there is more
    }
    this.#output.hasUnsent = true; // perhaps: TLS's own answers
    this.flush();
    return this.#records - before;
  }

  receiveAgain(source: Buffer, start: number, end: number, device: WorkerDevice | undefined): void {
    for (let at = start; at < end; at += MAX_RECORD)
      this.#returned.push(Uint8Array.from(source.subarray(at, Math.min(at + MAX_RECORD, end))));
    this.#takeReturned(device);
  }

  proceed(device: WorkerDevice | undefined): void {
    if (this.#returnWait?.isOver) {
      this.#returnWait = undefined;
      this.#waitsForRoom = true; // OpenSSL may have more than was delivered
      if (this.#returned.length === 0) this.#returnPartial();
    }
    if (this.#waitsForRoom && this.#takeReturned(device) && this.#state === 'open') this.#readRecords(device);
    this.flush();
  }

  /** What was cut short is cut anew, in front of all else, when there is room. */
  #returnPartial(): void {
    if (this.#partial.length > 0) this.#returned.unshift(this.#partial);
    this.#partial = NOTHING;
  }

  /** Cuts what main has given back, as far as there is room. False: not all of it. */
  #takeReturned(device: WorkerDevice | undefined): boolean {
    for (let next = this.#returned[0]; next !== undefined; next = this.#returned[0]) {
      if (!this.#context.hasRoomForDevice()) return false;
      const place = this.#restorePartial();
      this.#context.arena.bytes.set(next, place);
      this.#cutAll(place + next.length, device);
      this.#returned.shift();
    }
    return true;
  }

  fail(errno: number): void {
    this.#over({ type: 'broken', errno });
  }

  close(): void {
    this.#session.close();
    this.#context.libc.close(this.fd);
  }

  get #mayRead(): boolean {
    return (
      (this.#state === 'shaking' || this.#state === 'open') &&
      this.#returnWait === undefined &&
      !this.#waitsForRoom &&
      !this.#output.isUnread
    );
  }

  /** True: it is over, and well. */
  #handshake(): boolean {
    this.#output.hasUnsent = true;
    const outcome = this.#session.handshake();
    if (outcome === 'failed') {
      this.flush(); // the alert
      this.#over({ type: 'broken', reason: this.#session.failure });
    } else if (outcome === 'done') {
      this.#state = 'open';
      const { peerCertificate, verification, cipherSuite, finished, updatesKeys } = this.#session;
      this.#report({ type: 'secured', facts: { peerCertificate, verification, cipherSuite, finished, updatesKeys } });
    }
    return outcome === 'done';
  }

  /** Opens records until there are none, or no room for what is in them. */
  #readRecords(device: WorkerDevice | undefined): void {
    let end = this.#restorePartial();
    let start = this.#plaintext;
    const before = this.#records;
    for (;;) {
      this.#waitsForRoom = this.#returnWait !== undefined || !this.#context.hasRoomForDevice();
      if (this.#waitsForRoom) break;
      if (end + MAX_RECORD > this.#plaintext + PLAINTEXT_ROOM) {
        device?.flush();
        this.#context.arena.bytes.copyWithin(this.#plaintext, start, end);
        end -= start - this.#plaintext;
        start = this.#plaintext;
      }
      const length = this.#session.read(this.#readAddress.of(end), MAX_RECORD);
      if (length === NOT_READ.ended) this.#over({ type: 'over' });
      else if (length === NOT_READ.failed) this.#over({ type: 'broken', reason: this.#session.failure });
      if (length <= 0) break;
      this.#records++;
      count(this.#counters, PATH.received);
      count(this.#counters, PATH.receivedBytes, length);
      end += length;
      start = this.#cutter.cut(start, end, device);
    }
    this.#cutter.passAll(device);
    if (this.#records !== before) this.#counters[PATH.receivedAt] = this.#context.now;
    this.#keep(start, end);
  }

  /** Puts what was cut short at the start of the plaintext room. Answers where more goes. */
  #restorePartial(): number {
    if (this.#partial.length > 0) this.#context.arena.bytes.set(this.#partial, this.#plaintext);
    return this.#plaintext + this.#partial.length;
  }

  #keep(start: number, end: number): void {
    this.#partial = end > start ? Uint8Array.from(this.#context.arena.bytes.subarray(start, end)) : NOTHING;
  }

  /** Cuts what lies in the plaintext room, and keeps the rest. */
  #cutAll(end: number, device: WorkerDevice | undefined): void {
    const start = this.#cutter.cut(this.#plaintext, end, device);
    this.#cutter.passAll(device);
    this.#keep(start, end);
  }

  /** Sends what waits, as far as the socket takes it. */
  flush(): void {
    if (this.#state === 'over') return;
    this.#run.flush(this.#output);
    const hasLeft = this.#output.flush();
    const { errno, isPeerGone, failure } = this.#output;
    if (failure !== undefined) this.#over({ type: 'broken', reason: failure });
    // What a peer has said before it left is read first.
    else if (errno !== undefined && !(isPeerGone && this.#state === 'open')) this.fail(errno);
    if (!hasLeft || failure !== undefined) return;
    if (this.#committed >= LEFT_STEP || (this.#committed > 0 && this.#state === 'ended')) {
      this.#report({ type: 'left', bytes: this.#committed });
      this.#committed = 0;
    }
    if (this.#state !== 'ended') return;
    if (this.#farewell.left()) this.#report({ type: 'said' });
    this.#hearFarewell();
  }

  #hearFarewell(): void {
    this.#farewell.hear();
    if (this.#farewell.isOver) this.#over({ type: 'over' });
  }

  #over(report: StreamReport): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#output.end();
    this.#report(report);
  }
}

const NOTHING = new Uint8Array(0);
