/**
 * The packet engine: a worker thread that owns the device and the UDP sockets, so that packets of a carried path never pass through this thread.
 *
 * One device and thousands of paths an engine. Start it early: it takes some tens of milliseconds, which a log-in takes anyway.
 *
 * @example
 * await using engine = await PacketEngine.start();
 * const device = await TunDevice.open(engine, { name: 'tun0' });
 * const path = await engine.openUdp({ remote });
 * await path.carry(description); // what the tunnel machine published
 * await engine.route(path);
 */
import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { MisuseError, type SallyportError, UnsupportedError } from '../../core/errors.ts';
import type { Cidr } from '../../core/wire/ip-address.ts';
import type { DatagramPath, DatagramPathOptions, HandedFlow } from '../datagram-path.ts';
import { descriptorOf, stopReading } from '../handed-udp-socket.ts';
import { revivedError } from '../plain-error.ts';
import type { StreamCarrier } from '../tls-stream.ts';
import { EngineLink, type WorkerReport } from './engine-link.ts';
import { EnginePath } from './engine-path.ts';
import { EngineStream } from './engine-stream.ts';
import type { AdoptionOptions, EngineStreamOptions } from './engine-stream-options.ts';
import { type EngineFeature, type FeatureState, parseFeatures } from './features.ts';
import { ENTRY, type EngineCrypto, entryKind, entryPath } from './messages.ts';
import { hearFarewells } from './peers-farewell.ts';
import { DEVICE, DEVICE_COUNTERS, type DeviceCounter, MAX_PATHS } from './shared-memory.ts';

export type DeviceCounters = Readonly<Record<DeviceCounter, number>>;

export interface EngineOptions {
  /** Use node:crypto even where OpenSSL's own functions are there: ten times slower. For comparison. Default false. */
  readonly portableCrypto?: boolean;
  /** Features that shall not run; absent: those that the environment variable SALLYPORT_ENGINE_WITHOUT names. For comparison. */
  readonly without?: readonly EngineFeature[];
}

/** Among the paths, taken until it is freed. */
interface Place {
  readonly id: number;
  readonly free: () => void;
  /** From now on it is this path's. */
  readonly take: (path: EnginePath) => void;
}

/** A path that the worker may have already. What it delivers before its answer has come waits for the path's object: no more than a ring holds. */
class OpeningPath {
  readonly #entries: { readonly kind: number; readonly bytes: Buffer }[] = [];

  receive(kind: number, data: Buffer, start: number, end: number): void {
    this.#entries.push({ kind, bytes: Buffer.from(data.subarray(start, end)) });
  }

  giveTo(path: EnginePath): void {
    for (const { kind, bytes } of this.#entries.splice(0)) path.receive(kind, bytes, 0, bytes.length);
  }
}

/** Main's end of the engine's one device: see {@link EngineDevice}. */
export interface DeviceEnd {
  receive(data: Buffer, start: number, end: number): void;
  receiveEnd(): void;
  fail(error: SallyportError): void;
}

export class PacketEngine {
  readonly #link: EngineLink;
  readonly #paths: (EnginePath | EngineStream | OpeningPath | undefined)[] = [];
  /** Numbers of paths that are closed. */
  readonly #free: number[] = [];
  readonly #failed = Promise.withResolvers<SallyportError>();
  #device: DeviceEnd | undefined;

  /** Starts the worker. Rejects with UnsupportedError without koffi, and on systems other than Linux. */
  static async start(options: EngineOptions = {}): Promise<PacketEngine> {
    const { portableCrypto = false, without = parseFeatures(process.env.SALLYPORT_ENGINE_WITHOUT ?? '') } = options;
    return new PacketEngine(await EngineLink.start({ portableCrypto, without }));
  }

  private constructor(link: EngineLink) {
    this.#link = link;
    link.listen({
      entry: (tag, data, start, end) => this.#onEntry(tag, data, start, end),
      entriesEnd: () => this.#device?.receiveEnd(),
      message: (message) => this.#onReport(message),
      failed: (error) => this.#onFailed(error),
    });
  }

  /** Who seals and opens. */
  get crypto(): EngineCrypto {
    return this.#link.crypto;
  }

  /** Resolves when the engine ends by itself, with why; then its device and paths have failed too. Pending until then. */
  get failed(): Promise<SallyportError> {
    return this.#failed.promise;
  }

  /** A connected UDP flow whose traffic the engine can carry. Rejects with NetworkError if there is no route. */
  async openUdp(options: DatagramPathOptions): Promise<DatagramPath> {
    const { id, free, take } = this.#place();
    try {
      const path = await EnginePath.open(this.#link, id, options, free);
      take(path);
      return path;
    } catch (error) {
      free();
      throw error;
    }
  }

  /** A flow on a bound socket that somebody else has made; it is the engine's from here on. Rejects with NetworkError if there is no route. */
  async adoptUdp(socket: UdpSocket, flow: HandedFlow): Promise<DatagramPath> {
    stopReading(socket); // what comes now is the worker's to read
    const fd = descriptorOf(socket);
    let place: Place | undefined;
    try {
      place = this.#place();
      if (fd === undefined) throw new UnsupportedError('this Node does not tell the descriptor of a UDP socket');
      const path = await EnginePath.adopt(this.#link, place.id, fd, flow, place.free);
      place.take(path);
      return path;
    } catch (error) {
      place?.free();
      throw error;
    } finally {
      socket.close(); // the worker has a descriptor of its own
    }
  }

  /**
   * TLS over a connected socket, which is destroyed in any case, as the private key is wiped; the peer's certificate is the caller's to judge. Rejects
   * with NetworkError if there is no connection, UnsupportedError where OpenSSL's functions are not there, MisuseError for settings that it refuses.
   */
  async openStream(socket: Socket, options: EngineStreamOptions): Promise<EngineStream> {
    let place: Place;
    try {
      place = this.#place();
    } catch (error) {
      options.tls.identity?.key.fill(0);
      socket.destroy();
      throw error;
    }
    const { id, free } = place;
    try {
      const created = (stream: EngineStream) => {
        this.#paths[id] = stream;
      };
      return await EngineStream.open(this.#link, id, socket, options, created, free);
    } catch (error) {
      free();
      throw error;
    }
  }

  /**
   * Takes a TLS connection over from this thread, which has shaken hands. Rejects with MisuseError where there is no place for it, UnsupportedError where
   * OpenSSL's functions are not there; the connection is the caller's as before then.
   */
  async adoptStream(options: AdoptionOptions): Promise<EngineStream> {
    const { id, free } = this.#place();
    try {
      const created = (stream: EngineStream) => {
        this.#paths[id] = stream;
      };
      return await EngineStream.adopt(this.#link, id, options, created, free);
    } catch (error) {
      free();
      throw error;
    }
  }

  #place(): Place {
    const id = this.#free.pop() ?? this.#paths.length;
    if (id >= MAX_PATHS) throw new MisuseError(`the packet engine has ${MAX_PATHS} paths already`);
    const opening = new OpeningPath();
    this.#paths[id] = opening;
    let isFree = false;
    const free = () => {
      if (isFree) return; // it may be another's by now
      isFree = true;
      this.#paths[id] = undefined;
      this.#free.push(id);
    };
    const take = (path: EnginePath) => {
      this.#paths[id] = path;
      opening.giveTo(path);
    };
    return { id, free, take };
  }

  /**
   * The device's packets leave by this path from now on, as long as it carries traffic; while it does not, and for undefined, they come to the
   * device's `onBurst`. So do packets that are larger than the path's tunnel MTU.
   */
  async route(path: DatagramPath | StreamCarrier | undefined): Promise<void> {
    if (path !== undefined && !isOfEngine(path)) throw new MisuseError('only a path of the engine can carry packets');
    await this.#link.call('route', { path: path?.id });
  }

  /**
   * The device's packets to these networks leave by this path from now on, as long as it carries traffic; those to others that were said before do not any
   * more. From the first call on the device is shared by many paths: packets of none of them come to `onBurst`, and nobody waits for a path that is full.
   */
  async routeNetworks(path: DatagramPath | StreamCarrier, networks: readonly Cidr[]): Promise<void> {
    if (!isOfEngine(path)) throw new MisuseError('only a path of the engine can carry packets');
    await this.#link.call('set-networks', { path: path.id, networks });
  }

  /** What the engine does beyond one packet a system call, and why not the rest. */
  features(): Promise<readonly FeatureState[]> {
    return this.#link.call('features', {});
  }

  /** Whether {@link openStream} can work here. */
  async canOpenStreams(): Promise<boolean> {
    const tls = (await this.features()).find(({ name }) => name === 'tls');
    return tls?.isOn === true;
  }

  /** What has passed through the device so far. */
  deviceCounters(): DeviceCounters {
    const { deviceCounters } = this.#link.memory;
    return Object.fromEntries(DEVICE_COUNTERS.map((name) => [name, deviceCounters[DEVICE[name]] ?? 0])) as DeviceCounters;
  }

  /** For {@link EngineDevice}: takes the engine's device place. Returns the way to the worker. */
  attach(device: DeviceEnd): EngineLink {
    if (this.#device !== undefined) throw new MisuseError('the packet engine has a device already');
    this.#device = device;
    return this.#link;
  }

  /** For {@link EngineDevice}: the device is closed. */
  detach(device: DeviceEnd): void {
    if (this.#device === device) this.#device = undefined;
  }

  /** What was sent and written before leaves; then device, paths and thread end, within seconds at worst. Safe to call twice. */
  async close(): Promise<void> {
    await this.#farewells();
    await this.#link.close();
  }

  /** A connection that is closed under what its peer still says would lose our last words. */
  async #farewells(): Promise<void> {
    const leaving = this.#paths.filter((path) => path instanceof EngineStream).filter(({ farewell }) => farewell !== undefined);
    const paths = leaving.map(({ id }) => id);
    await hearFarewells(
      leaving.flatMap(({ farewell }) => farewell ?? []),
      () => this.#link.call('unacknowledged', { paths }).catch(() => 0), // it has ended meanwhile
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #onEntry(tag: number, data: Buffer, start: number, end: number): void {
    const kind = entryKind(tag);
    if (kind === ENTRY.devicePacket) {
      this.#device?.receive(data, start, end);
      return;
    }
    this.#paths[entryPath(tag)]?.receive(kind, data, start, end);
  }

  #onFailed(error: SallyportError): void {
    this.#device?.fail(error);
    for (const path of this.#paths) if (isOfEngine(path)) path.fail(error);
    this.#failed.resolve(error);
  }

  #onReport(report: WorkerReport): void {
    if (report.type === 'device-failed') {
      this.#device?.fail(revivedError(report.error));
      return;
    }
    const path = this.#paths[report.path];
    if (report.type === 'stream-report') {
      if (path instanceof EngineStream) path.report(report.report);
    } else if (path instanceof EnginePath) {
      path.report(report.problem);
    }
  }
}

function isOfEngine(path: unknown): path is EnginePath | EngineStream {
  return path instanceof EnginePath || path instanceof EngineStream;
}
