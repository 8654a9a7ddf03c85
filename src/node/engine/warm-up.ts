/**
 * Packets of our own through the engine's code while nothing else is to be done, so that it is compiled before the real ones come.
 *
 * JavaScript starts out interpreted: without this the first thousand packets of a tunnel take longer (ping through two of these engines, interleaved:
 * 372 µs at the median, warmed up 317, after 30,000 packets 261). A log-in takes far longer than these milliseconds, and they are spent beside it, in
 * the worker, in small steps.
 *
 *   far end ──► device ──► path 0: seals ──► path 1: opens ──► device ──► far end        all of them socket pairs of this process
 *
 * First with paths that carry datagrams, then with TLS connections: see stream-warm-up.ts.
 */
import { framingByMark, type TrafficDescription } from '../../core/tunnel/traffic.ts';
import { DATAGRAM_COUNTERS } from '../datagram-path.ts';
import { LINUX, type Libc } from '../ffi/libc.ts';
import { openSocketPair, type SocketPair } from '../ffi/sockets.ts';
import { NO_OFFLOADS } from '../ffi/tun.ts';
import { PacketSwitch } from './packet-switch.ts';
import { DEVICE_COUNTERS, WARM_UP_DESCRIPTORS } from './shared-memory.ts';
import type { StreamRoom } from './stream-room.ts';
import { warmStreams } from './stream-warm-up.ts';
import type { WorkerContext } from './worker-context.ts';
import { WorkerDevice } from './worker-device.ts';
import type { WorkerEnd } from './worker-end.ts';
import { WorkerPath } from './worker-path.ts';

/** Of each kind of paths. Enough for the optimising compiler to have taken an interest in all of it: seen with --trace-opt. */
const PACKETS = 1500;

/** Packets of one step, about a millisecond: a real packet may have to wait that long. */
const STEP = 50;

const PACKET_LENGTH = 100;

/** Nobody waits here: there is always a packet. In milliseconds. */
const PATIENCE = 1;

/** The paths have an address in their messages only. */
const NOWHERE = { address: { family: 4, bytes: new Uint8Array(4) }, port: 0 } as const;

export class WarmUp {
  readonly #context: WorkerContext;
  readonly #streamRoom: () => StreamRoom;
  #state: { readonly packets: PacketSwitch; readonly farEnd: number } | undefined;
  #kind: 'datagrams' | 'streams' = 'datagrams';
  #left = PACKETS;

  /** @param streamRoom what TLS connections need; throws where there can be none */
  constructor(context: WorkerContext, streamRoom: () => StreamRoom) {
    this.#context = context;
    this.#streamRoom = streamRoom;
  }

  get isOver(): boolean {
    return this.#left <= 0;
  }

  /** Moves a few packets; the last step tidies up. Answers how many came all the way round. */
  step(): number {
    this.#state ??= this.#open();
    if (this.#state === undefined) {
      this.#left = 0;
      return 0;
    }
    const { packets, farEnd } = this.#state;
    const { libc, arena, outgoing, slots } = this.#context;
    let moved = 0;
    for (let i = 0; i < STEP; i++) {
      // The beginning of an IPv4 packet: that much is looked at.
      arena.view.setUint8(outgoing, 0x45);
      arena.view.setUint16(outgoing + 2, PACKET_LENGTH);
      libc.write(farEnd, arena.address(outgoing), PACKET_LENGTH);
      packets.serve(() => false, PATIENCE); // it will not sleep: there is a packet
      packets.serve(() => true, PATIENCE);
      packets.proceed();
      if (libc.read(farEnd, arena.address(slots.offset(0)), PACKET_LENGTH) === PACKET_LENGTH) moved++;
    }
    this.#left -= STEP;
    if (this.isOver) {
      this.close();
      if (this.#kind === 'datagrams') this.#left = PACKETS;
      this.#kind = 'streams';
    }
    return moved;
  }

  /** Safe to call twice, and before anything. */
  close(): void {
    this.#left = 0;
    if (this.#state === undefined) return;
    this.#forget();
    this.#state.packets.close();
    this.#context.libc.close(this.#state.farEnd);
    this.#state = undefined;
  }

  /** Undefined if the process has no descriptors to spare, or OpenSSL's functions are not there: then it must do without. */
  #open(): { readonly packets: PacketSwitch; readonly farEnd: number } | undefined {
    const { libc, memory } = this.#context;
    const [device, flow] = openPairs(libc, this.#kind === 'streams' ? LINUX.SOCK_STREAM : LINUX.SOCK_DGRAM);
    if (device === undefined || flow === undefined) return undefined;
    const sockets = [device.ours, device.theirs, flow.ours, flow.theirs];
    sockets.forEach((fd, i) => {
      memory.descriptors[WARM_UP_DESCRIPTORS.first + i] = fd + 1;
      libc.fcntl(fd, LINUX.F_SETFL, LINUX.O_NONBLOCK);
    });
    const paths = this.#kind === 'streams' ? this.#openStreams(flow) : this.#openDatagrams(flow);
    if (paths === undefined) {
      for (const fd of sockets) libc.close(fd);
      this.#forget();
      return undefined;
    }
    const packets = new PacketSwitch(this.#context);
    memory.descriptors[WARM_UP_DESCRIPTORS.first + sockets.length] = packets.fd + 1;
    packets.setDevice(
      new WorkerDevice(this.#context, device.ours, 'of the warm-up', new Float64Array(DEVICE_COUNTERS.length), NO_OFFLOADS),
    );
    for (const [id, path] of paths.entries()) packets.setPath(id, path);
    packets.setRoute(0);
    return { packets, farEnd: device.theirs };
  }

  /** Main need not close them. */
  #forget(): void {
    const { first, count } = WARM_UP_DESCRIPTORS;
    this.#context.memory.descriptors.fill(0, first, first + count);
  }

  #openDatagrams(flow: SocketPair): readonly WorkerEnd[] {
    return [flow.ours, flow.theirs].map((fd, id) => {
      const counters = new Float64Array(DATAGRAM_COUNTERS.length);
      const path = new WorkerPath(this.#context, id, fd, counters, { remote: NOWHERE, copiesDscp: false });
      path.carry(description());
      return path;
    });
  }

  #openStreams(flow: SocketPair): readonly WorkerEnd[] | undefined {
    try {
      return warmStreams(this.#context, this.#streamRoom(), flow);
    } catch {
      return undefined; // tunnels over TLS are node:tls's then
    }
  }
}

/** Two socket pairs, or none. @param flowType of the second */
function openPairs(libc: Libc, flowType: number): readonly SocketPair[] {
  const pairs: SocketPair[] = [];
  try {
    pairs.push(openSocketPair(libc));
    pairs.push(openSocketPair(libc, flowType));
    return pairs;
  } catch {
    for (const { ours, theirs } of pairs) for (const fd of [ours, theirs]) libc.close(fd);
    return []; // the process's limit: real descriptors will hear of it in their own words
  }
}

/** Both ends with one key: nobody else ever sees it, and it protects nothing. */
function description(): TrafficDescription {
  const key = () => ({ id: 1, key: new Uint8Array(32), iv: new Uint8Array(4), nextSequence: 1 });
  return {
    record: { kind: 'dtls-aead', cipher: 'aes-256-gcm' },
    seal: key(),
    open: [key()],
    replayWindow: 64,
    framing: framingByMark(0),
    tunnelMtu: 1500,
  };
}
