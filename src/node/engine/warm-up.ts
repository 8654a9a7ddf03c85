/**
 * Packets of our own through the engine's code while nothing else is to be done, so that it is compiled before the real ones come.
 *
 * JavaScript starts out interpreted: without this the first thousand packets of a tunnel take longer. A log-in takes far longer than these milliseconds, and
 * they are spent beside it, in the worker, in small steps.
 *
 *   far end ──► device ──► path 0: seals ──► path 1: opens ──► device ──► far end        all of them socket pairs of this process
 *
 * With paths that carry datagrams, and with TLS connections: see stream-warm-up.ts. First so much of both that the quick compiler has taken an interest in
 * all of it; and when the tunnel has been up for a while, so much of what it uses that the thorough one has, which counts slowly: after 4,000 packets it has made
 * little of what runs once for each (seen with --trace-opt), after 10,000 nearly all. A lone packet finds little in the processor's caches, and what that compiler
 * makes is in fewer places: docs/performance.md, "Ping time", says what that is worth.
 *
 * It shall leave nothing that a real packet is the first to do (`--trace-deopt` shows it): what was compiled before is thrown away then.
 */
import type { Millis } from '../../core/tunnel/packet.ts';
import { framingByMark, type TrafficDescription } from '../../core/tunnel/traffic.ts';
import { DATAGRAM_COUNTERS } from '../datagram-path.ts';
import { LINUX, type Libc } from '../ffi/libc.ts';
import { openSocketPair, type SocketPair } from '../ffi/sockets.ts';
import { NO_OFFLOADS, VIRTIO_HEADER_LENGTH } from '../ffi/tun.ts';
import { AnswerWait } from './answer-wait.ts';
import { oneDescriptor } from './device-descriptors.ts';
import { PacketSwitch } from './packet-switch.ts';
import { DEVICE_COUNTERS, WARM_UP_DESCRIPTORS } from './shared-memory.ts';
import type { StreamRoom } from './stream-room.ts';
import { warmStreams } from './stream-warm-up.ts';
import type { WorkerContext } from './worker-context.ts';
import { WorkerDevice } from './worker-device.ts';
import type { WorkerEnd } from './worker-end.ts';
import { WorkerPath } from './worker-path.ts';

/** What carries the packets. */
export type WarmUpKind = 'datagrams' | 'streams';

/** What passes, in this order. `quiet`: not before nobody has asked this thread for anything for so long, as main and its scripts need the processor then, and no burst has passed. */
const TURNS: readonly { readonly kind: WarmUpKind | 'used'; readonly packets: number; readonly quiet: Millis }[] = [
  { kind: 'datagrams', packets: 1500, quiet: 100 },
  { kind: 'streams', packets: 1500, quiet: 100 },
  { kind: 'used', packets: 10_000, quiet: 1000 },
];

/** With so many of them all of the code has run. */
const FIRST_TURNS = 2;

/** Packets of one step, about a millisecond: a real packet may have to wait that long. */
const STEP = 50;

/** The first steps of each kind meet what is rare, too: before the compilers have taken an interest. */
const RARE_STEPS = 4;

/** Packets of a pass that is a busy one to all who ask. */
const BURST = 5;

const PACKET_LENGTH = 100;

/** As a TUN's mostly are: a header in front of each packet. */
const OFFLOADS = { ...NO_OFFLOADS, hasHeader: true };

const MESSAGE_LENGTH = VIRTIO_HEADER_LENGTH + PACKET_LENGTH;

/** The paths have an address in their messages only. */
const NOWHERE = { address: { family: 4, bytes: new Uint8Array(4) }, port: 0 } as const;

interface Opened {
  readonly packets: PacketSwitch;
  readonly paths: readonly WorkerEnd[];
  readonly farEnd: number;
}

export class WarmUp {
  readonly #context: WorkerContext;
  readonly #streamRoom: () => StreamRoom;
  #state: Opened | undefined;
  readonly #pass: (packets: PacketSwitch) => void;
  /** What the device's packets leave by: the thorough compiler is worth its time for that alone. */
  used: WarmUpKind = 'datagrams';
  #turn = 0;
  /** Packets of the turn so far. */
  #passed = 0;

  /**
   * @param streamRoom what TLS connections need; throws where there can be none
   * @param pass what the loop does again and again, but with these packets
   */
  constructor(context: WorkerContext, streamRoom: () => StreamRoom, pass: (packets: PacketSwitch) => void) {
    this.#context = context;
    this.#streamRoom = streamRoom;
    this.#pass = pass;
    loseAssumption();
  }

  get isOver(): boolean {
    return this.#turn >= TURNS.length;
  }

  /** All of the code has run. */
  get hasRunAll(): boolean {
    return this.#turn >= FIRST_TURNS;
  }

  /** The next step may come when nobody has asked the engine for anything for so long. */
  get quiet(): Millis {
    return TURNS[this.#turn]?.quiet ?? 0;
  }

  /** Moves a few packets; the last step tidies up. Answers how many came all the way round. */
  step(): number {
    const turn = TURNS[this.#turn];
    if (turn === undefined) return 0;
    this.#state ??= this.#open(turn.kind === 'used' ? this.used : turn.kind);
    if (this.#state === undefined) {
      this.close();
      return 0;
    }
    const { packets, farEnd } = this.#state;
    let moved = 0;
    for (let i = 0; i < STEP; i++) {
      this.#send(farEnd, 1);
      for (let pass = 0; pass < 2; pass++) this.#pass(packets); // it will not sleep: there is a packet
      packets.proceed();
      moved += this.#take(farEnd);
    }
    if (this.#passed < RARE_STEPS * STEP) moved += this.#passRarely(this.#state);
    this.#passed += STEP;
    if (this.#passed >= turn.packets) this.#endTurn();
    return moved;
  }

  /**
   * What most passes do not meet: a socket that has nothing, several packets, an answer that is looked out for and does not come. Code that is compiled
   * before such a thing has happened once is thrown away when it does, and interpreted for hundreds of packets more.
   */
  #passRarely({ packets, paths, farEnd }: Opened): number {
    for (const path of paths) path.receive(packets.liveDevice); // not without: main would be given what it finds
    this.#send(farEnd, BURST);
    for (let i = 0; i <= BURST; i++) packets.serve(() => true, 0); // a path may take them one by one
    packets.proceed();
    this.#send(farEnd, 1);
    this.#pass(packets);
    paths[1]?.receive(packets.liveDevice); // so that there is nothing to be found for who looks out
    this.#pass(packets);
    packets.proceed();
    return this.#take(farEnd);
  }

  /** A header that says nothing, and the beginnings of IPv4 packets: that much is looked at. */
  #send(farEnd: number, packets: number): void {
    const { libc, arena, outgoing } = this.#context;
    arena.bytes.fill(0, outgoing, outgoing + VIRTIO_HEADER_LENGTH);
    arena.view.setUint8(outgoing + VIRTIO_HEADER_LENGTH, 0x45);
    arena.view.setUint16(outgoing + VIRTIO_HEADER_LENGTH + 2, PACKET_LENGTH);
    for (let i = 0; i < packets; i++) libc.write(farEnd, arena.address(outgoing), MESSAGE_LENGTH);
  }

  /** How many came back. */
  #take(farEnd: number): number {
    const { libc, arena, slots } = this.#context;
    let taken = 0;
    while (libc.read(farEnd, arena.address(slots.offset(0)), MESSAGE_LENGTH) === MESSAGE_LENGTH) taken++;
    return taken;
  }

  /** Safe to call twice, and before anything. */
  close(): void {
    this.#endTurn();
    this.#turn = TURNS.length;
  }

  #endTurn(): void {
    this.#turn++;
    this.#passed = 0;
    if (this.#state === undefined) return;
    this.#forget();
    this.#state.packets.close();
    this.#context.libc.close(this.#state.farEnd);
    this.#state = undefined;
  }

  /** Undefined if the process has no descriptors to spare, or OpenSSL's functions are not there: then it must do without. */
  #open(kind: WarmUpKind): Opened | undefined {
    const { libc, memory } = this.#context;
    const [device, flow] = openPairs(libc, kind === 'streams' ? LINUX.SOCK_STREAM : LINUX.SOCK_DGRAM);
    if (device === undefined || flow === undefined) return undefined;
    const sockets = [device.ours, device.theirs, flow.ours, flow.theirs];
    sockets.forEach((fd, i) => {
      memory.descriptors[WARM_UP_DESCRIPTORS.first + i] = fd + 1;
      libc.fcntl(fd, LINUX.F_SETFL, LINUX.O_NONBLOCK);
    });
    const paths = kind === 'streams' ? this.#openStreams(flow) : this.#openDatagrams(flow);
    if (paths === undefined) {
      for (const fd of sockets) libc.close(fd);
      this.#forget();
      return undefined;
    }
    const packets = new PacketSwitch(this.#context, undefined, new AnswerWait(0));
    memory.descriptors[WARM_UP_DESCRIPTORS.first + sockets.length] = packets.fd + 1;
    packets.setDevice(
      new WorkerDevice(
        this.#context,
        oneDescriptor(device.ours),
        'of the warm-up',
        new Float64Array(DEVICE_COUNTERS.length),
        OFFLOADS,
        'adopted',
      ),
    );
    for (const [id, path] of paths.entries()) packets.setPath(id, path);
    packets.setRoute(0);
    return { packets, paths, farEnd: device.theirs };
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
      path.carry(structuredClone(description()));
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

/**
 * V8 compiles access to typed arrays for as long as no object of theirs was given another prototype. Node's own code does so with the first buffer that it
 * makes natively, for one in the cache of compiled code; what was compiled by then would be thrown away, and interpreted for a thousand packets more.
 */
function loseAssumption(): void {
  Object.setPrototypeOf(new Uint8Array(0), Buffer.prototype);
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

/** As main's descriptions come, whose arrays are others to V8 than those that are made here. Both ends with one key: nobody else ever sees it, and it protects nothing. */
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
