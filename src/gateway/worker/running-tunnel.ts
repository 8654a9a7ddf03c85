/**
 * A client's tunnel in its worker: the machine on its paths, between the client and the shared device, for as long as its limits allow.
 *
 *   TLS connection, UDP flows ─► driver ─► rate ─► device switch
 *   device switch ─► rate ─► driver ─► the path that is up
 *   timer ─► idle, session time, reports
 *
 * What the packet engine carries, it carries past all of this, and counts; a tunnel with a rate is not carried.
 */
import type { DtlsAssociation } from '../../core/dtls/association.ts';
import { SallyportError } from '../../core/errors.ts';
import type { NatOwner } from '../../core/nat/session.ts';
import type { CloseReason, TunnelMachine } from '../../core/tunnel/machine.ts';
import type { Millis, Packet } from '../../core/tunnel/packet.ts';
import { DROPPED, TokenBucket } from '../../core/tunnel/token-bucket.ts';
import type { Cidr, IpAddress } from '../../core/wire/ip-address.ts';
import type { DatagramPath } from '../../node/datagram-path.ts';
import { TunnelDriver } from '../../node/driver/tunnel-driver.ts';
import type { PacketEngine } from '../../node/engine/packet-engine.ts';
import { interfaceMtu } from '../../node/interface-mtu.ts';
import { timerWait } from '../../node/timer-wait.ts';
import type { StreamCarrier, TlsStream } from '../../node/tls-stream.ts';
import type { DisconnectReason, SessionUsage } from '../processes/auth-service.ts';
import type { ClosingManner, Lease, TunnelEnd, TunnelReport } from '../processes/worker-contract.ts';
import type { DeviceSwitch } from './device-switch.ts';
import { disconnectReasonOf } from './disconnect-reason.ts';

/** The packet engine, which takes packets of the device straight to the path that carries them. */
export type PacketRouter = Pick<PacketEngine, 'routeNetworks'>;

/** Who ends clients' flows here, where no interface takes their packets. */
export interface FlowKeeper {
  enter(networks: readonly Cidr[], owner: NatOwner): void;
  /** `rest`: how long they wait for their client. */
  leave(networks: readonly Cidr[], rest: Millis): void;
}

export interface RunningTunnelOptions {
  readonly lease: Lease;
  readonly machine: TunnelMachine;
  readonly device: DeviceSwitch;
  /** Undefined: there is no engine, and all packets pass here. */
  readonly router: PacketRouter | undefined;
  /** Undefined: the kernel has the flows. */
  readonly flows: FlowKeeper | undefined;
  readonly now: () => Millis;
  readonly onClosed: (end: TunnelEnd) => void;
  /** For interim accounting. */
  readonly onReport: (usage: SessionUsage) => void;
}

/** The shortest time between two looks at the limits: nobody minds a second. */
const WATCH_INTERVAL: Millis = 1000;

/**
 * Packets over the rate are dropped, not delayed: the device is shared, and has no queue for each client. A second's worth may go at once: with a tenth
 * of it TCP came to half the rate. Observed: ocserv 1.1.6 lets as much through.
 */
function police(bytesPerSecond: number | undefined): TokenBucket | undefined {
  return bytesPerSecond === undefined ? undefined : new TokenBucket(bytesPerSecond, { burst: bytesPerSecond, maxDelay: 0 });
}

export class RunningTunnel {
  readonly id: number;
  readonly #options: RunningTunnelOptions;
  readonly #driver: TunnelDriver;
  readonly #networks: readonly Cidr[];
  readonly #take = (packets: readonly Packet[]): void => this.#send(packets);
  readonly #receiveRate: TokenBucket | undefined;
  readonly #sendRate: TokenBucket | undefined;
  readonly #since: Millis;
  readonly #gone = Promise.withResolvers<void>();
  #received = 0;
  #sent = 0;
  #activeAt: Millis;
  #reportedAt: Millis;
  #mtu = 0;
  #isPaused = false;
  /** Where the engine takes this client's packets; undefined: here. */
  #routed: DatagramPath | StreamCarrier | undefined;
  #ending: DisconnectReason | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: RunningTunnelOptions) {
    const { lease, machine, device, now } = options;
    const { config, clientNetworks, rates } = lease.terms;
    this.id = lease.tunnel;
    this.#options = options;
    this.#since = now();
    this.#activeAt = this.#since;
    this.#reportedAt = this.#since;
    this.#receiveRate = police(rates.receive);
    this.#sendRate = police(rates.send);
    this.#networks = [...ownNetworks(config.ipv4?.address, config.ipv6), ...clientNetworks];
    this.#driver = new TunnelDriver(
      machine,
      {
        ...{ peer: 'The client', now, route: (path) => this.#route(path) },
        pathMtu: (local) => interfaceMtu(local.address),
        mayCarry: !this.isLimited,
      },
      {
        config: ({ mtu }) => {
          this.#mtu = mtu;
        },
        connected: () => undefined,
        up: () => undefined,
        closed: (reason) => this.#closed(reason),
      },
    );
    this.#driver.attach({
      write: (packets) => this.#deliver(packets),
      pause: () => {
        this.#isPaused = true;
      },
      resume: () => {
        this.#isPaused = false;
      },
    });
    options.flows?.enter(this.#networks, lease.owner);
    device.attach(this.#networks, this.#take);
  }

  /** `exported`: the keying material that the plan asks for. `rest`: what came behind the request. */
  start(connection: TlsStream, exported: Uint8Array | undefined, rest: Uint8Array): void {
    this.#driver.streamArrived(connection, exported, rest);
    this.#watch();
  }

  /** Its first and only path is this flow. */
  startOnDatagrams(path: DatagramPath): void {
    this.#driver.datagramArrived(path);
    this.#watch();
  }

  flowArrived(path: DatagramPath, dtls?: DtlsAssociation): void {
    this.#driver.datagramArrived(path, dtls);
  }

  /** Its packets are counted against a rate, one by one: no engine may carry them. */
  get isLimited(): boolean {
    return this.#receiveRate !== undefined || this.#sendRate !== undefined;
  }

  /** Ends it, with a word to the client or so that it comes back; resolves when all that is to be said has left. */
  async close(reason: DisconnectReason, manner: ClosingManner = 'goodbye'): Promise<void> {
    this.#ending ??= reason;
    const kind = manner === 'replaced' ? 'replaced' : 'expired';
    const why: CloseReason = { kind, message: `The session was ended: ${reason}.` };
    await (manner === 'silence' ? this.#driver.abandon(why) : this.#driver.close(why));
    await this.#gone.promise;
  }

  report(): TunnelReport {
    return { tunnel: this.id, status: this.#driver.status(), mtu: this.#mtu, ...this.#usage() };
  }

  #usage(): SessionUsage {
    const { received, sent } = this.#driver.carried;
    return { received: this.#received + received, sent: this.#sent + sent, duration: this.#options.now() - this.#since };
  }

  /** Packets of the device are taken to this path by the engine from now on; undefined: to the driver, which knows of another way. */
  async #route(path: DatagramPath | StreamCarrier | undefined): Promise<void> {
    const { router } = this.#options;
    if (router === undefined) return;
    const before = this.#routed;
    this.#routed = path;
    try {
      if (path !== undefined) await router.routeNetworks(path, this.#networks);
      else if (before !== undefined) await router.routeNetworks(before, []);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error; // the path is closed, and the route gone with it; or the engine, and all of this process soon
    }
  }

  /** From the client. */
  #deliver(packets: readonly Packet[]): void {
    const now = this.#options.now();
    this.#activeAt = now;
    for (const packet of packets) {
      const length = packet.end - packet.start;
      if (isOver(this.#receiveRate, packet, now)) continue;
      this.#received += length;
      this.#options.device.write([packet]);
    }
  }

  /** To the client. */
  #send(packets: readonly Packet[]): void {
    if (this.#isPaused) return; // the device is everybody's: it does not wait for one client
    const now = this.#options.now();
    this.#activeAt = now;
    const within = this.#sendRate === undefined ? packets : packets.filter((packet) => !isOver(this.#sendRate, packet, now));
    for (const packet of within) this.#sent += packet.end - packet.start;
    this.#driver.send(within);
  }

  #watch(): void {
    const { now, lease } = this.#options;
    const { idleTimeout, timeLeft, reportInterval } = lease.limits;
    const at = now();
    this.#activeAt = Math.max(this.#activeAt, this.#driver.carried.at);
    if (timeLeft !== undefined && at >= this.#since + timeLeft) {
      void this.close('session timeout');
      return;
    }
    if (idleTimeout !== undefined && at >= this.#activeAt + idleTimeout) {
      void this.close('idle timeout');
      return;
    }
    if (reportInterval !== undefined && at >= this.#reportedAt + reportInterval) {
      this.#reportedAt = at;
      this.#options.onReport(this.#usage());
    }
    const due = Math.min(
      timeLeft === undefined ? Number.POSITIVE_INFINITY : this.#since + timeLeft,
      idleTimeout === undefined ? Number.POSITIVE_INFINITY : this.#activeAt + idleTimeout,
      reportInterval === undefined ? Number.POSITIVE_INFINITY : this.#reportedAt + reportInterval,
    );
    if (due !== Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#watch(), timerWait(Math.max(due - at, WATCH_INTERVAL)));
  }

  #closed(reason: CloseReason): void {
    clearTimeout(this.#timer);
    const end = disconnectReasonOf(reason, this.#ending);
    const { device, flows, lease } = this.#options;
    device.detach(this.#networks, this.#take);
    flows?.leave(this.#networks, end.keepsCookie ? lease.limits.resumeTime : 0);
    this.#options.onClosed({ ...this.#usage(), ...end });
    this.#gone.resolve();
  }
}

function isOver(rate: TokenBucket | undefined, packet: Packet, now: Millis): boolean {
  return rate !== undefined && rate.delayOf(packet.end - packet.start, now) === DROPPED;
}

/** A client's IPv4 address is its own; of IPv6 it may have a whole subnet. */
function ownNetworks(ipv4: IpAddress | undefined, ipv6: { readonly address: IpAddress; readonly prefix?: number } | undefined): Cidr[] {
  return [
    ...(ipv4 === undefined ? [] : [{ address: ipv4, prefix: 32 }]),
    ...(ipv6 === undefined ? [] : [{ address: ipv6.address, prefix: ipv6.prefix ?? 128 }]),
  ];
}
