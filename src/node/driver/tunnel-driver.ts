/**
 * Runs a tunnel machine on real paths, a timer and a device. Knows no protocol.
 *
 *   TLS connection ─► machine.receive ─► device.write
 *   UDP flow       ─►        │
 *   device         ─► machine.send ────► path of the machine's choice
 *   timer          ─► machine.handleTimeout
 *
 * Each turn of the machine ends with its events being performed in order and the timer armed anew. Only `traffic` and `move` are performed at once: from
 * there on the engine alone seals the path, and what the machine commits later in the same turn must find it so; and a datagram is only lent.
 */
import type { DtlsAssociation } from '../../core/dtls/association.ts';
import { MisuseError, NetworkError, SallyportError } from '../../core/errors.ts';
import type { CloseReason, Path, PathFacts, PathPlan, TunnelEvent, TunnelMachine, TunnelSink } from '../../core/tunnel/machine.ts';
import type { Millis, Packet } from '../../core/tunnel/packet.ts';
import type { StreamTraffic, TrafficDescription } from '../../core/tunnel/traffic.ts';
import type { Endpoint } from '../../core/wire/ip-address.ts';
import type { DatagramPath, DatagramProblem } from '../datagram-path.ts';
import { timerWait } from '../timer-wait.ts';
import type { TlsStream } from '../tls-stream.ts';
import { type CarriedUse, NO_USE, sumOfUses } from './carried-use.ts';
import { DatagramEnd } from './datagram-end.ts';
import type { DriverListener, DriverWorld, PathDialer, TunnelDevice } from './driver-world.ts';
import { StreamEnd } from './stream-end.ts';

/** How long a machine may take over its goodbye once it was told to close. */
const FAREWELL_LIMIT: Millis = 4_000;

export class TunnelDriver {
  readonly #machine: TunnelMachine;
  readonly #world: DriverWorld;
  readonly #listener: DriverListener;
  readonly #ends = new Set<StreamEnd | DatagramEnd>();
  /** Dropped, and not closed yet: the engine may still carry by them. */
  readonly #closing = new Set<StreamEnd | DatagramEnd>();
  /** On paths that are closed. */
  #carriedBefore: CarriedUse = NO_USE;
  readonly #events: TunnelEvent[] = [];
  readonly #cancel = new AbortController();
  /** What is under way: the tunnel is gone when all of it has settled. */
  readonly #pending = new Set<Promise<void>>();
  #opening: Promise<void> = Promise.resolve();
  readonly #over = Promise.withResolvers<void>();
  readonly #sink: TunnelSink;
  #device: TunnelDevice | undefined;
  #isDevicePaused = false;
  #isConnected = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #timerDue: Millis = Number.POSITIVE_INFINITY;

  constructor(machine: TunnelMachine, world: DriverWorld, listener: DriverListener) {
    this.#machine = machine;
    this.#world = world;
    this.#listener = listener;
    this.#sink = {
      on: (path) => path as StreamEnd | DatagramEnd, // the driver makes all paths, and they are sinks
      event: (event) => {
        if (event.type === 'traffic') this.#carry(event.path, event.traffic);
        else if (event.type === 'move') this.#move(event.from as DatagramEnd, event.to as DatagramEnd, event.datagram);
        else this.#events.push(event);
      },
    };
  }

  start(): void {
    this.#turn((now) => this.#machine.handleTimeout(now, this.#sink));
  }

  /** A connection that came by itself: the machine's stream. `exported`: what it exports. `rest`: what came behind what was read of it. */
  streamArrived(connection: TlsStream, exported: Uint8Array | undefined, rest: Uint8Array): void {
    this.#openedStream(connection, exported);
    const [end] = this.#ends;
    if (rest.length > 0 && end !== undefined) this.#turn((now) => this.#machine.receive(end, rest, now, this.#sink));
  }

  /** A flow that came by itself. @param dtls where its hands are shaken */
  datagramArrived(path: DatagramPath, dtls?: DtlsAssociation): void {
    this.#openedDatagram(path, dtls);
  }

  /** Packets flow between this device and the tunnel from now on. Its `start` has been or will be called by the owner, with {@link send}. */
  attach(device: TunnelDevice): void {
    this.#device = device;
  }

  /** Packets of the device, for the tunnel. */
  send(packets: readonly Packet[]): void {
    this.#turn((now) => {
      this.#tellCarried(now); // the machine chooses a path for them: what the engine has heard matters
      for (const packet of packets) this.#machine.send(packet, now, this.#sink);
    });
    this.#heedBackPressure();
  }

  /** Resolves when the path that the machine has asked for last is there and was spoken on first, or cannot be. */
  get opening(): Promise<void> {
    return this.#opening;
  }

  /** Ends the tunnel. Resolves when all that was committed has left, or its time to do so is over: seconds at most. Nothing more comes or goes then. */
  async close(reason: CloseReason): Promise<void> {
    this.#turn((now) => this.#machine.close(reason, now, this.#sink));
    if (!this.#isClosed && this.#machine.nextTimeout() !== undefined) await this.#farewell(); // PPP waits for an answer
    if (!this.#isClosed) this.#end(reason);
    await Promise.all(this.#pending);
  }

  /** Until the machine has said its goodbye, or the time for it is over. */
  async #farewell(): Promise<void> {
    const limit = setTimeout(this.#over.resolve, FAREWELL_LIMIT);
    await this.#over.promise;
    clearTimeout(limit);
  }

  /** Ends the tunnel without a word to the peer, which takes it for a broken connection and may come back. Resolves as {@link close}. */
  async abandon(reason: CloseReason): Promise<void> {
    if (!this.#isClosed) this.#end(reason);
    await Promise.all(this.#pending);
  }

  /** What the engine has carried past this driver so far, on all paths. */
  get carried(): CarriedUse {
    return sumOfUses([this.#carriedBefore, ...[...this.#ends, ...this.#closing].map((end) => end.carried)]);
  }

  status(): ReturnType<TunnelMachine['status']> {
    return this.#machine.status(this.#world.now());
  }

  /** One turn of the machine: its input, then its events, until there are none, then the timer. */
  #turn(input: (now: Millis) => void): void {
    if (this.#isClosed) return;
    const now = this.#world.now();
    input(now);
    for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) this.#perform(event);
    this.#arm(now);
  }

  #perform(event: TunnelEvent): void {
    switch (event.type) {
      case 'open':
        this.#opening = this.#open(event.plan);
        this.#track(this.#opening);
        break;
      case 'drop':
        this.#drop(event.path as StreamEnd | DatagramEnd);
        break;
      case 'config':
        this.#listener.config(event.config);
        break;
      case 'up':
        this.#up(event.path as StreamEnd | DatagramEnd);
        break;
      case 'update-keys':
        this.#updateKeys(event.path as StreamEnd);
        break;
      case 'closed':
        this.#end(event.reason);
        break;
      case 'tunnel-mtu':
        this.#setTunnelMtu(event.path as DatagramEnd, event.mtu);
        break;
      case 'traffic':
      case 'move':
        break; // performed at once
      default:
        event satisfies never;
    }
  }

  async #open(plan: PathPlan): Promise<void> {
    try {
      const { dial } = this.#world;
      if (dial === undefined) throw new MisuseError('this end of the tunnel opens no paths');
      if (plan.to === 'gateway') await this.#openStream(dial, plan);
      else this.#openedDatagram(await dial.datagram(this.#remoteOf(plan)));
    } catch (error) {
      const why =
        error instanceof SallyportError ? error : new NetworkError(`The path could not be opened: ${String(error)}.`, { cause: error });
      const kind = plan.to === 'gateway' ? 'stream' : 'datagram';
      this.#turn((now) => this.#machine.lost({ kind }, why, now, this.#sink));
    }
  }

  async #openStream(dial: PathDialer, { exporter }: Extract<PathPlan, { to: 'gateway' }>): Promise<void> {
    const connection = await dial.gateway(this.#cancel.signal);
    try {
      this.#openedStream(connection, exporter && (await connection.exportKeyingMaterial(exporter.label, exporter.length)));
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  #openedStream(connection: TlsStream, exported: Uint8Array | undefined): void {
    if (this.#isClosed) {
      connection.destroy();
      return;
    }
    const end = new StreamEnd(connection, (packet) => this.#deliver(packet));
    this.#ends.add(end);
    const { local, remote, finished, cipherSuite } = connection;
    const pathMtu = this.#world.pathMtu(local);
    const facts: PathFacts = {
      local,
      remote,
      ...(pathMtu !== undefined && { pathMtu }),
      engine: connection.carrier !== undefined,
      tls: {
        cipherSuite,
        updatesKeys: connection.carrier?.updatesKeys === true,
        ...(finished !== undefined && { finished }),
        ...(exported !== undefined && { exported }),
      },
    };
    this.#connected(remote, local);
    connection.onData((bytes) => {
      this.#turn((now) => this.#machine.receive(end, bytes, now, this.#sink));
      if (end.isUnread) this.#lost(end, new NetworkError(`${this.#world.peer} demands answers and does not read them.`));
    });
    connection.onDrain(() => this.#heedBackPressure());
    connection.onClose((error) => this.#lost(end, error ?? new NetworkError(`${this.#world.peer} closed the connection.`)));
    this.#turn((now) => this.#machine.opened(end, facts, now, this.#sink));
  }

  #openedDatagram(path: DatagramPath, dtls?: DtlsAssociation): void {
    if (this.#isClosed) {
      this.#track(path.close());
      return;
    }
    const end = new DatagramEnd(path, (packet) => this.#deliver(packet));
    this.#ends.add(end);
    path.start({
      datagram: (bytes) => {
        // Raw datagrams that were on their way when the engine took over are lost, as datagrams may be.
        if (!end.isCarried) this.#turn((now) => this.#machine.receive(end, bytes, now, this.#sink));
      },
      record: (bytes) => this.#turn((now) => this.#machine.receive(end, bytes, now, this.#sink)),
      problem: (problem) => this.#problem(end, problem),
    });
    const { local, remote, pathMtu, canCarry } = path;
    const known = { ...(pathMtu !== undefined && { pathMtu }), ...(dtls !== undefined && { dtls }) };
    const facts: PathFacts = { local, remote, ...known, engine: canCarry && this.#world.mayCarry !== false };
    if (!this.#isConnected) this.#connected(remote, local);
    this.#turn((now) => this.#machine.opened(end, facts, now, this.#sink));
  }

  #connected(remote: Endpoint, local: Endpoint): void {
    this.#isConnected = true;
    this.#listener.connected(remote, local);
  }

  #remoteOf({ port, address }: Extract<PathPlan, { to: 'udp' }>): Endpoint {
    if (address !== undefined) return { address, port };
    for (const end of this.#ends) if (end.kind === 'stream') return { address: end.connection.remote.address, port };
    throw new NetworkError('There is no connection to the gateway whose address a datagram could go to.');
  }

  #carry(path: Path, traffic: TrafficDescription | StreamTraffic | undefined): void {
    const end = path as StreamEnd | DatagramEnd;
    const failed = (error: unknown) =>
      this.#lost(end, new NetworkError(`The packet engine cannot carry this path: ${String(error)}.`, { cause: error }));
    this.#track(end.carry(traffic).catch(failed));
  }

  #move(from: DatagramEnd, to: DatagramEnd, datagram: Uint8Array | undefined): void {
    const settled = (hasMoved: boolean) => {
      if (hasMoved) this.#turn((now) => this.#machine.notice(to, { type: 'moved' }, now, this.#sink));
      else this.#lost(to, new NetworkError('What came by this path does not open with the keys of the other.'));
    };
    const failed = (error: unknown) =>
      this.#lost(to, new NetworkError(`The packet engine cannot move: ${String(error)}.`, { cause: error }));
    this.#track(to.takeOver(from, datagram).then(settled, failed));
  }

  #setTunnelMtu(end: DatagramEnd, mtu: number): void {
    const failed = (error: unknown) =>
      this.#lost(end, new NetworkError(`The packet engine does not take the MTU of a path: ${String(error)}.`, { cause: error }));
    this.#track(end.path.setTunnelMtu(mtu).catch(failed));
  }

  #updateKeys(end: StreamEnd): void {
    const failed = () => {
      if (this.#ends.has(end)) this.#turn((now) => this.#machine.notice(end, { type: 'keys-used-up' }, now, this.#sink));
    };
    this.#track(end.updateKeys().catch(failed));
  }

  #problem(end: DatagramEnd, problem: DatagramProblem): void {
    switch (problem.type) {
      case 'unreachable':
        this.#turn((now) => this.#machine.notice(end, { type: 'unreachable' }, now, this.#sink));
        break;
      case 'too-big':
        this.#turn((now) => this.#machine.notice(end, { type: 'too-big', length: problem.length }, now, this.#sink));
        break;
      case 'key-used-up':
        if (problem.isOver) this.#lost(end, new NetworkError('The keys of the datagram channel are used up.'));
        else this.#turn((now) => this.#machine.notice(end, { type: 'keys-used-up' }, now, this.#sink));
        break;
      case 'failed':
        this.#lost(end, problem.error);
        break;
      default:
        problem satisfies never;
    }
  }

  /** Asked of every path that is gone; those that the machine dropped itself it hears nothing of. */
  #lost(end: StreamEnd | DatagramEnd, why: SallyportError): void {
    if (!this.#ends.has(end)) return;
    this.#drop(end);
    this.#turn((now) => this.#machine.lost(end, why, now, this.#sink));
  }

  #drop(end: StreamEnd | DatagramEnd): void {
    this.#ends.delete(end);
    this.#closing.add(end);
    this.#track(end.close().finally(() => this.#closed(end)));
  }

  #closed(end: StreamEnd | DatagramEnd): void {
    this.#closing.delete(end);
    this.#carriedBefore = sumOfUses([this.#carriedBefore, end.carried]);
  }

  #up(end: StreamEnd | DatagramEnd): void {
    this.#track(this.#world.route(end.route));
    this.#listener.up(end.kind);
  }

  /** Nothing that is tracked rejects but for a bug, which must not go unseen. */
  #track(work: Promise<void>): void {
    const settled = work.finally(() => this.#pending.delete(settled));
    this.#pending.add(settled);
  }

  #deliver(packet: Packet): void {
    this.#device?.write([packet]);
  }

  #heedBackPressure(): void {
    let isFull = false;
    for (const end of this.#ends) isFull ||= end.kind === 'stream' && end.isFull;
    if (isFull === this.#isDevicePaused) return;
    this.#isDevicePaused = isFull;
    if (isFull) this.#device?.pause();
    else this.#device?.resume();
  }

  #end(reason: CloseReason): void {
    this.#isClosed = true;
    this.#over.resolve();
    this.#events.length = 0;
    clearTimeout(this.#timer);
    this.#cancel.abort();
    for (const end of [...this.#ends]) this.#drop(end);
    if (this.#isDevicePaused) this.#device?.resume();
    this.#device = undefined;
    this.#listener.closed(reason);
  }

  #arm(now: Millis): void {
    const due = this.#isClosed ? undefined : this.#machine.nextTimeout();
    // A timer that fires early costs one turn; one that is armed anew for each packet costs more.
    if (due === undefined || due >= this.#timerDue) return;
    const wait = timerWait(Math.ceil(due - now));
    clearTimeout(this.#timer);
    this.#timerDue = Math.min(due, now + wait);
    this.#timer = setTimeout(() => this.#timeout(), wait);
  }

  #tellCarried(now: Millis): void {
    for (const end of this.#ends) {
      const times = end.times();
      if (times !== undefined) this.#machine.notice(end, { type: 'carried', ...times }, now, this.#sink);
    }
  }

  #timeout(): void {
    this.#timerDue = Number.POSITIVE_INFINITY;
    this.#turn((now) => {
      this.#tellCarried(now);
      const due = this.#machine.nextTimeout();
      if (due !== undefined && due <= now) this.#machine.handleTimeout(now, this.#sink);
    });
  }
}
