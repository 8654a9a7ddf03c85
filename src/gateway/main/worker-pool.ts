/**
 * The workers: starts them, hands each new connection to the one with the fewest, and starts another in the place of one that has died.
 *
 * What a worker says is checked (`WORKER_GUARDS`) and limited to what is its own (`session-desk.ts`): it parses what anybody on the network sends.
 */
import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import type { MovedAssociation } from '../../core/dtls/state.ts';
import type { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { InnerNetwork } from '../nat/inner-network.ts';
import { type GatewayChild, startWorker } from '../processes/child-processes.ts';
import type { Served } from '../processes/rpc.ts';
import { type Arrival, WORKER_GUARDS, type WorkerService, type WorkerSetup } from '../processes/worker-contract.ts';
import type { Flow } from './udp-door.ts';

/** A worker that dies at once is not started again at once. */
const RESTART_PAUSE: Millis = 1000;
const MAX_RESTART_PAUSE: Millis = 60_000;

export interface WorkerPoolOptions {
  readonly count: number;
  /** The descriptors of the device that a worker inherits; none: there is no device. */
  readonly descriptorsOf: (worker: number) => readonly number[];
  readonly setup: () => WorkerSetup;
  /** What a worker may ask; the first argument that the functions get is the worker's number. */
  readonly serves: Readonly<Record<string, (worker: number, ...args: never[]) => unknown>>;
  readonly onGone: (worker: number) => void;
  readonly log: Logger;
  /** Default: a process. */
  readonly startWorker?: typeof startWorker;
}

interface Member {
  readonly number: number;
  child: GatewayChild | undefined;
  service: WorkerService | undefined;
  connections: number;
  restartPause: Millis;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #members: Member[];
  #isClosing = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#members = Array.from({ length: options.count }, (_, number) => ({
      number,
      child: undefined,
      service: undefined,
      connections: 0,
      restartPause: RESTART_PAUSE,
    }));
  }

  /** Resolves when all are ready; rejects with why one of them is not. */
  async start(): Promise<void> {
    await Promise.all(this.#members.map((member) => this.#start(member)));
  }

  /** Process ids, for people. */
  get pids(): number[] {
    return this.#members.flatMap(({ child }) => child?.pid ?? []);
  }

  /** Where a new connection is to go; undefined: nobody is there to serve it. */
  choose(): number | undefined {
    let best: Member | undefined;
    for (const member of this.#members) {
      if (member.service !== undefined && (best === undefined || member.connections < best.connections)) best = member;
    }
    return best?.number;
  }

  /** Hands a connection over; the socket is the worker's from here on. */
  connect(worker: number, arrival: Arrival, socket: Socket): void {
    const member = this.#ready(worker);
    if (member?.child === undefined) {
      socket.destroy();
      return;
    }
    member.child.rpc.notify('connection', [arrival], socket); // Node closes our copy when the worker has it
    member.connections++;
  }

  disconnected(worker: number): void {
    const member = this.#members[worker];
    if (member !== undefined) member.connections--;
  }

  flow(worker: number, tunnel: number, { socket, local, remote, first }: Flow): void {
    const child = this.#ready(worker)?.child;
    if (child === undefined) socket.close();
    else child.rpc.notify('flow', [tunnel, local, remote, first], socket, () => socket.close());
  }

  /** The same where hands were shaken. */
  greeted(worker: number, tunnel: number, { socket, remote }: Pick<Flow, 'socket' | 'remote'>, dtls: MovedAssociation): void {
    const child = this.#ready(worker)?.child;
    if (child === undefined) socket.close();
    else child.rpc.notify('greeted', [tunnel, remote, dtls], socket, () => socket.close());
  }

  /** A client that came by UDP, and has not said yet who it is. */
  stranger(worker: number, arrival: Arrival, { socket, first }: Flow): void {
    this.#arrived(worker, 'stranger', [arrival, first], socket);
  }

  /** A client that came by UDP, as this worker expects. */
  expected(worker: number, arrival: Arrival, datagramId: Uint8Array, { socket, first }: Flow): void {
    this.#arrived(worker, 'expected', [arrival, datagramId, first], socket);
  }

  #arrived(worker: number, notice: string, args: readonly unknown[], socket: UdpSocket): void {
    const member = this.#ready(worker);
    if (member?.child === undefined) {
      socket.close();
      return;
    }
    member.child.rpc.notify(notice, args, socket, () => socket.close());
    member.connections++;
  }

  packets(worker: number, packets: readonly Uint8Array[]): void {
    this.#ready(worker)?.child?.rpc.offer('packets', [packets]);
  }

  /** All workers are to know of another network inside. */
  network(network: InnerNetwork): void {
    for (const { number } of this.#members) this.#ready(number)?.child?.rpc.notify('network', [network]);
  }

  /** The flows of a session are in this worker alone, if they are anywhere; undefined: in none. */
  forget(session: string, but: number | undefined): void {
    for (const { number } of this.#members) if (number !== but) this.#ready(number)?.child?.rpc.notify('forget', [session]);
  }

  /**
   * Undefined: it is not there, or is about to start and knows of nothing yet. What is told to it then is of the one before, whose tunnels are still being
   * taken down, and would end it.
   */
  #ready(worker: number): Member | undefined {
    const member = this.#members[worker];
    return member?.service === undefined ? undefined : member;
  }

  /** Undefined while it is not there. */
  service(worker: number): WorkerService | undefined {
    return this.#members[worker]?.service;
  }

  /** All that are there. */
  get services(): WorkerService[] {
    return this.#members.flatMap(({ service }) => service ?? []);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#members.map(({ child }) => child?.end()));
  }

  async #start(member: Member): Promise<void> {
    const { descriptorsOf, setup, serves, log, startWorker: startChild = startWorker } = this.#options;
    const { number } = member;
    const child = startChild(
      {
        peer: `worker ${number}`,
        serves: Object.fromEntries(
          Object.entries(serves).map(([name, serve]): [string, Served] => [name, (...args: never[]) => serve(number, ...args)]),
        ),
        guards: WORKER_GUARDS,
        onFault: (error) => this.#fault(member, error),
      },
      descriptorsOf(number),
    );
    member.child = child;
    void child.ended.then((how) => this.#ended(member, child, how));
    try {
      const service = child.rpc.remote<WorkerService>();
      await service.start(setup());
      member.service = service;
    } catch (error) {
      await child.end();
      throw error;
    }
    member.restartPause = RESTART_PAUSE;
    log.log('debug', 'worker ready', { worker: number, pid: child.pid });
  }

  /** It broke the rules: whatever has happened to it, it is not to be trusted with anybody's session. */
  #fault(member: Member, error: SallyportError): void {
    this.#options.log.log('error', 'worker ended for what it said', { worker: member.number, reason: error.message });
    void member.child?.end();
  }

  #ended(member: Member, child: GatewayChild, how: string): void {
    if (member.child !== child) return;
    const { log, onGone } = this.#options;
    const wasReady = member.service !== undefined;
    member.child = undefined;
    member.service = undefined;
    member.connections = 0;
    onGone(member.number);
    if (this.#isClosing || !wasReady) return;
    log.log('error', 'worker has died', { worker: member.number, how });
    this.#restartLater(member);
  }

  /** Each time that it fails it takes longer until the next. */
  #restartLater(member: Member): void {
    setTimeout(() => this.#restart(member), member.restartPause);
    member.restartPause = Math.min(2 * member.restartPause, MAX_RESTART_PAUSE);
  }

  #restart(member: Member): void {
    if (this.#isClosing) return;
    this.#start(member).catch((error: unknown) => {
      this.#options.log.log('error', 'worker could not be started', { worker: member.number, reason: String(error) });
      if (!this.#isClosing) this.#restartLater(member);
    });
  }
}
