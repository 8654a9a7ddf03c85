/**
 * A device without an interface: what clients send is ended here, and goes on by sockets of this process. No root, no TUN.
 *
 *   clients ─► write, port ─► router ─┬─► stack ─► NAT ─► TCP and UDP sockets outside
 *                                     └─► another client ─► port, onBurst
 *   clients ◄─ port, onBurst ◄─ stack ◄────────────────────◄
 *
 * Read first: core/nat/nat.ts. With an engine packets of the paths that it carries come and go by its port; what no path carries comes to `onBurst`. Without
 * one all do; packets for other clients are copied then and handed on in a turn of their own: a tunnel must not be sent to while it is being received from.
 */
import { randomBytes } from 'node:crypto';
import type { OwnError } from '../../core/ip/icmp.ts';
import type { Logger } from '../../core/log.ts';
import { DATAGRAM_BYTES, type NatLimits } from '../../core/nat/limits.ts';
import { Nat } from '../../core/nat/nat.ts';
import { NatRouter, type Route } from '../../core/nat/router.ts';
import type { NatFlow, NatOwner, TcpFlow, UdpFlow } from '../../core/nat/session.ts';
import type { Millis, Packet } from '../../core/tunnel/packet.ts';
import { packetOf } from '../../core/tunnel/packet.ts';
import { type Cidr, formatEndpoint, formatIp, type IpAddress } from '../../core/wire/ip-address.ts';
import { StackDevice } from '../../node/devices/stack-device.ts';
import type { StackPort } from '../../node/engine/stack-port.ts';
import { timerWait } from '../../node/timer-wait.ts';
import { DatagramRoom } from './datagram-room.ts';
import type { InnerNetwork } from './inner-network.ts';
import type { NatFigures } from './nat-figures.ts';
import { OwnHost } from './own-host.ts';
import { TcpOutlet } from './tcp-outlet.ts';
import { UdpOutlet } from './udp-outlet.ts';

export interface NatDeviceOptions {
  /** Largest packet for clients, in bytes. */
  readonly mtu: number;
  readonly network: InnerNetwork;
  readonly limits: NatLimits;
  readonly log: Logger;
  /** Of the engine, this object's from here on; undefined: there is none. */
  readonly port?: StackPort;
}

/** Packets from one client to another that wait for their turn. */
const MAX_PEER_PACKETS = 1_024;

/** As many as others hand on at once: a worker's word to main has a limit. */
const BURST = 128;

/** Between two words about a limit of this process: a flood must not fill the log. */
const COMPLAINT_INTERVAL: Millis = 60_000;

const REFUSALS: Readonly<Record<Exclude<Route, 'stack' | 'peer' | 'drop'>, OwnError>> = {
  restricted: 'port-unreachable',
  'hop-limit': 'hop-limit',
};

type Outlet = TcpOutlet | UdpOutlet;

export class NatDevice {
  readonly nat: Nat;
  readonly router: NatRouter;
  readonly #options: NatDeviceOptions;
  readonly #stack: StackDevice;
  readonly #outlets = new Map<NatFlow, Outlet>();
  readonly #ownHost: OwnHost;
  readonly #datagramRoom = new DatagramRoom(DATAGRAM_BYTES);
  readonly #peers: Packet[] = [];
  #onBurst: ((packets: readonly Packet[]) => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerDue: Millis = Number.POSITIVE_INFINITY;
  #complainedAt: Millis = Number.NEGATIVE_INFINITY;
  /** Packets between clients that had no room. */
  #peersDropped = 0;

  constructor(options: NatDeviceOptions) {
    const { mtu, network, limits } = options;
    this.#options = options;
    this.#stack = new StackDevice(
      {
        ...{ addresses: network.own, mtu, intercepts: true },
        isForStack: (buffer, start, end, isVerified, segment) => this.#isForStack(buffer, start, end, isVerified, segment),
      },
      options.port,
    );
    const { stack } = this.#stack;
    this.#ownHost = new OwnHost(() => this.#stack.now());
    this.nat = new Nat({
      ...{ stack, limits, world: this.#worldOf(network), secret: randomBytes(16) },
      sink: {
        dial: (flow) => this.#dial(flow),
        open: (flow) => this.#open(flow),
        send: (flow, bytes) => (this.#outlets.get(flow) as UdpOutlet | undefined)?.send(bytes), // a UDP flow has no other
        close: (flow) => this.#close(flow),
      },
    });
    this.router = new NatRouter(this.nat.sessions, randomBytes(16));
    this.router.configure(network.own, network.clients);
    if (stack.intercept !== undefined) {
      stack.intercept.onReady = () => {
        this.nat.take(this.#stack.now());
        this.#arm();
      };
    }
  }

  /** Clients' packets come out here, in bursts. */
  start(onBurst: (packets: readonly Packet[]) => void): void {
    this.#onBurst = onBurst;
    this.#stack.start(onBurst);
  }

  /** Without a port it never does. */
  get failed(): Promise<Error> {
    return this.#stack.failed;
  }

  /** What clients send, as far as no engine carries it. A packet for another client has its hop limit counted down where it lies. */
  write(packets: readonly Packet[]): void {
    this.#stack.write(packets);
  }

  /** Packets from clients elsewhere are on their way to clients here. */
  passing(packets: readonly Packet[]): void {
    const now = this.#stack.now();
    for (const { buffer, start, end } of packets) this.router.passing(buffer, start, end, now);
  }

  /** Another inner network; flows that there are stay. */
  configure(network: InnerNetwork): void {
    this.#stack.stack.setAddresses(network.own);
    this.#stack.wake();
    this.nat.setWorld(this.#worldOf(network));
    this.router.configure(network.own, network.clients);
  }

  get figures(): NatFigures {
    const { tcpConnected, udpOpened, refusals, failures, limited, datagramsLost, strangers } = this.nat.counters;
    const dropped = { ...this.router.dropped, ...Object.fromEntries([...failures, ...refusals]), limit: limited };
    return {
      ...{ flows: this.nat.flows, tcp: tcpConnected, udp: udpOpened },
      dropped: {
        ...dropped,
        restricted: this.router.dropped.restricted + (refusals.get('restricted') ?? 0),
        'no-room': datagramsLost + this.#peersDropped,
        stranger: this.router.dropped.stranger + strangers,
      },
    };
  }

  /** A session has its tunnel. */
  enter(networks: readonly Cidr[], owner: NatOwner): void {
    this.nat.enter(networks, owner);
    this.#arm();
  }

  /** A session's tunnel is gone. @param rest how long its flows wait for it; 0: it does not come back */
  leave(networks: readonly Cidr[], rest: Millis): void {
    if (rest > 0) this.nat.rest(networks, this.#stack.now() + rest);
    else this.nat.leave(networks);
    this.#stack.wake();
    this.#arm();
  }

  /** A session is over, or has its tunnel elsewhere. */
  forget(session: string): void {
    this.nat.forget(session);
    this.#stack.wake();
    this.#arm();
  }

  /** Ends all flows. Safe to call twice. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.nat.close();
    await this.#stack.close();
  }

  #worldOf({ own, resolvers, services }: InnerNetwork) {
    return { own, resolvers, services, isOwnHost: (address: IpAddress) => this.#ownHost.has(address) };
  }

  #isForStack(buffer: Uint8Array, start: number, end: number, isVerified: boolean, segment: number): boolean {
    const now = this.#stack.now();
    const route = this.router.route(buffer, start, end, now);
    if (route === 'stack') return true;
    if (route === 'peer') this.#toPeer(buffer.subarray(start, end), isVerified, segment, now);
    // As a packet filter's `reject` does, and a router.
    else if (route !== 'drop') this.#stack.stack.refusePacket(buffer.subarray(start, end), REFUSALS[route], now);
    return false; // whoever hands packets in asks for a turn of the stack
  }

  #toPeer(packet: Uint8Array, isVerified: boolean, segment: number, now: Millis): void {
    const { port } = this.#options;
    if (port !== undefined) {
      const room = port.reserve(packet.length);
      if (room === undefined) {
        this.#peersDropped++;
        return;
      }
      room.buffer.set(packet, room.start);
      this.router.passing(room.buffer, room.start, room.start + packet.length, now);
      port.commit(packet.length, segment, isVerified); // with a checksum that was verified and not finished: as it came
    } else if (this.#peers.length >= MAX_PEER_PACKETS) {
      this.#peersDropped++;
    } else if (this.#peers.push(packetOf(packet)) === 1) {
      queueMicrotask(() => this.#flushPeers());
    }
  }

  #flushPeers(): void {
    const packets = this.#peers.splice(0);
    this.passing(packets);
    for (let i = 0; i < packets.length; i += BURST) this.#onBurst?.(packets.slice(i, i + BURST));
  }

  #dial(flow: TcpFlow): void {
    const outlet = new TcpOutlet({
      ...{ flow, device: this.#stack, idle: this.#options.limits.tcpIdle },
      onDialed: () => {
        const connection = this.nat.dialed(flow, this.#stack.now());
        this.#tell('flow connected', flow);
        return connection;
      },
      onFailed: (why) => {
        this.nat.dialFailed(flow, why, this.#stack.now());
        this.#stack.wake();
        this.#tell(`flow failed: ${why}`, flow);
      },
      onEnded: () => {
        this.#outlets.delete(flow);
        this.nat.ended(flow);
      },
      onOwnLimit: () => this.#complain(),
    });
    this.#outlets.set(flow, outlet);
    outlet.dial();
  }

  #open(flow: UdpFlow): void {
    const outlet = new UdpOutlet({
      ...{ flow, now: () => this.#stack.now(), room: this.#datagramRoom },
      onDatagram: (bytes) => {
        this.nat.datagramCame(flow, bytes, this.#stack.now());
        this.#stack.wake();
      },
      onFailed: (why) => {
        this.nat.datagramFailed(flow, why, this.#stack.now());
        this.#stack.wake();
        this.#tell(`datagram failed: ${why}`, flow);
      },
      onEnded: () => {
        this.#outlets.delete(flow);
        this.nat.ended(flow);
      },
      onLost: () => {
        this.nat.counters.datagramsLost++;
      },
      onOwnLimit: () => this.#complain(),
    });
    this.#outlets.set(flow, outlet);
    outlet.open();
    this.#tell('flow opened', flow);
  }

  #close(flow: NatFlow): void {
    const outlet = this.#outlets.get(flow);
    this.#outlets.delete(flow);
    outlet?.close();
  }

  #tell(event: string, { protocol, client, to }: NatFlow): void {
    this.#options.log.log('debug', event, { protocol, client: formatIp(client.address), to: formatEndpoint(to) });
  }

  #complain(): void {
    const now = this.#stack.now();
    this.nat.counters.limited++;
    if (now < this.#complainedAt + COMPLAINT_INTERVAL) return;
    this.#complainedAt = now;
    this.#options.log.log('warn', 'no descriptors are left for the flows of clients: raise the limit (ulimit -n)', {
      flows: this.nat.flows,
    });
  }

  #arm(): void {
    const due = this.nat.nextTimeout() ?? Number.POSITIVE_INFINITY;
    if (due >= this.#timerDue || due === Number.POSITIVE_INFINITY) return;
    clearTimeout(this.#timer);
    this.#timerDue = due;
    this.#timer = setTimeout(() => this.#due(), timerWait(due - this.#stack.now())).unref();
  }

  #due(): void {
    this.#timerDue = Number.POSITIVE_INFINITY;
    this.nat.handleTimeout(this.#stack.now());
    this.#stack.wake();
    this.#arm();
  }
}
