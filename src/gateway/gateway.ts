/**
 * A gateway: its main process. Puts the parts together, and takes them apart in the right order.
 *
 *   start:   configuration ─► ports ─► auth ─► device, addresses ─► workers ─► clients are let in
 *   reload:  configuration ─► auth, bans, workers; sessions stay as they are
 *   stop:    no new connections ─► drain ─► sessions end, scripts run ─► workers, auth ─► device
 *
 * Read first: docs/ARCHITECTURE.md, "The gateway's processes".
 */
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { answerStranger } from '../core/dtls/hello-cookie.ts';
import type { MovedAssociation } from '../core/dtls/state.ts';
import { NetworkError, type SallyportError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { greetsStrangers } from '../core/protocols/registry.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { NodeCrypto } from '../node/crypto/node-crypto.ts';
import { makeFolder } from '../node/make-folder.ts';
import type { ConfigNotice, GatewayConfig } from './config/gateway-config.ts';
import { withoutRoot } from './config/without-root.ts';
import type { ControlTarget, GatewayStatus } from './control/control-target.ts';
import { logFor } from './log/gateway-logger.ts';
import { type AuthProcess, startAuthProcess } from './main/auth-process.ts';
import { BanTable } from './main/ban-table.ts';
import { ControlDesk } from './main/control-desk.ts';
import { Doors } from './main/doors.ts';
import { GatewayNetwork } from './main/gateway-network.ts';
import { localNetworks } from './main/local-networks.ts';
import { LoginDesk } from './main/login-desk.ts';
import { PacketExchange } from './main/packet-exchange.ts';
import { SessionDesk } from './main/session-desk.ts';
import { SessionEvents } from './main/session-events.ts';
import { SessionTable, type Tunnel, tunnelNetworks } from './main/session-table.ts';
import { Statistics } from './main/statistics.ts';
import { workerMaterial } from './main/worker-material.ts';
import { WorkerPool } from './main/worker-pool.ts';
import type { DisconnectReason } from './processes/auth-service.ts';
import { helloCookieOf } from './processes/hello-cookie.ts';
import type { ClosingManner, WorkerSetup } from './processes/worker-contract.ts';

export interface GatewayOptions {
  /** Reads the configuration; called again for each reload. Rejects with what is wrong with it. */
  readonly load: () => Promise<{ readonly config: GatewayConfig; readonly notices: readonly ConfigNotice[] }>;
  /** What clients are told: `ocserv 1.1.6` by the drop-in, `sallyport 1.0` else. */
  readonly serverName: string;
  readonly log: Logger;
  /** What has to be had before clients may come: sockets for administrators. Where it rejects, the gateway does not start. */
  readonly beforeOpening?: (control: ControlTarget, config: GatewayConfig) => Promise<void>;
  /** Sockets that systemd has opened, in place of the ports. */
  readonly inherited?: { readonly tcp: readonly number[]; readonly udp: readonly number[] };
}

/** A tunnel's worker has so long to say goodbye to its client. */
const TUNNEL_END_LIMIT: Millis = 5_000;

/** Of cookies that DTLS clients bring back. */
const HELLO_SECRET_LENGTH = 32;

/** How often leases of sessions that nobody knows any more are given back. */
const TIDY_INTERVAL: Millis = 60_000;

interface Parts {
  readonly options: GatewayOptions;
  /** The configuration of now. */
  config: GatewayConfig;
  readonly auth: AuthProcess;
  readonly network: GatewayNetwork;
  readonly table: SessionTable;
  readonly desk: SessionDesk;
  readonly pool: WorkerPool;
  readonly doors: Doors;
  readonly bans: BanTable;
  readonly statistics: Statistics;
  readonly events: SessionEvents;
  setup: WorkerSetup;
}

/** What takes back one step of the start. */
type Undo = () => unknown;

export class Gateway {
  readonly control: ControlTarget;
  /** Resolves when it has stopped: with why, where nobody asked for it. */
  readonly stopped: Promise<SallyportError | undefined>;
  readonly #parts: Parts;
  readonly #undo: Undo[];
  readonly #hasStopped: (why: SallyportError | undefined) => void;
  readonly #tidy: NodeJS.Timeout;
  #state: GatewayStatus['state'] = 'online';
  #hasOpened = false;
  #stopping: Promise<void> | undefined;
  #reloading: Promise<void> = Promise.resolve();

  /** Resolves when clients can come. Rejects with why they cannot, and leaves nothing. */
  static async start(options: GatewayOptions): Promise<Gateway> {
    const undo: Undo[] = [];
    let gateway: Gateway | undefined;
    try {
      gateway = new Gateway(await assemble(options, undo), undo);
      await options.beforeOpening?.(gateway.control, gateway.#parts.config);
      gateway.#open();
      return gateway;
    } catch (error) {
      await (gateway === undefined ? undoAll(undo, options.log) : gateway.stop());
      throw error;
    }
  }

  private constructor(parts: Parts, undo: Undo[]) {
    this.#parts = parts;
    this.#undo = undo;
    const { promise, resolve } = Promise.withResolvers<SallyportError | undefined>();
    this.stopped = promise;
    this.#hasStopped = resolve;
    const { table, desk, pool, auth, bans, statistics, events } = parts;
    this.control = new ControlDesk({
      ...{ table, desk, pool, bans, statistics, events, auth: auth.service, authPid: auth.child.pid, now: Date.now },
      lifecycle: {
        state: () => this.#state,
        reload: () => this.reload(),
        stop: () => void this.stop(),
        maintain: (isOn) => this.maintain(isOn),
      },
    });
    // Without the process that knows who may come in there is no gateway (ocserv stops as well).
    void auth.child.ended.then((how) => this.#authEnded(how));
    this.#tidy = setInterval(() => void tidy(parts), TIDY_INTERVAL);
  }

  #open(): void {
    if (this.#stopping !== undefined) return; // the process with the secrets has died meanwhile
    const { doors, config, options } = this.#parts;
    this.#hasOpened = true;
    doors.open();
    if (this.#state === 'maintenance') doors.shut();
    const { host } = config.listen;
    options.log.log('info', 'listening', { ...(host !== undefined && { host }), tcp: doors.tcpPort, udp: doors.udpPort });
  }

  /** The port of TCP: the kernel's choice where 0 was asked for. */
  get port(): number | undefined {
    return this.#parts.doors.tcpPort;
  }

  /** Process ids of the workers. */
  get workers(): readonly number[] {
    return this.#parts.pool.pids;
  }

  /** Rejects with what is wrong with the new configuration; the old one stays then. One after the other. */
  reload(): Promise<void> {
    const done = this.#reloading.then(() => this.#reload());
    this.#reloading = done.catch(() => undefined);
    return done;
  }

  /** Gives back at once what belongs to sessions that are over; else it happens now and then. */
  tidy(): Promise<void> {
    return tidy(this.#parts);
  }

  /** Takes no new connections, and lets sessions go as they like; false goes back to work. */
  maintain(isOn: boolean): void {
    if (this.#state === 'stopping') return;
    this.#state = isOn ? 'maintenance' : 'online';
    if (!this.#hasOpened) return;
    if (isOn) this.#parts.doors.shut();
    else this.#parts.doors.open();
  }

  /** Ends every session, and then itself. Safe to call twice. Never rejects: what cannot be taken back is logged. */
  stop(): Promise<void> {
    return this.#end(undefined);
  }

  #end(why: SallyportError | undefined): Promise<void> {
    this.#stopping ??= this.#stop().finally(() => this.#hasStopped(why));
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const { doors, desk, table, config, options } = this.#parts;
    this.#state = 'stopping';
    clearInterval(this.#tidy);
    await this.#reloading;
    doors.close();
    if (table.tunnelCount > 0) await table.emptied(config.limits.drain);
    this.#undo.push(() => desk.disconnectAll());
    await undoAll(this.#undo, options.log);
  }

  async #reload(): Promise<void> {
    if (this.#stopping !== undefined) return;
    const { options, auth, bans, statistics, network, pool, config: before, setup: setupBefore } = this.#parts;
    const { config, notices } = await options.load();
    logNotices(options.log, notices);
    const setup = { ...setupBefore, config, material: await workerMaterial(config) };
    try {
      await Promise.all(pool.services.map((service) => service.reload(setup)));
      await network.configure(config);
      await auth.service.reload(config);
    } catch (error) {
      await Promise.allSettled([...pool.services.map((service) => service.reload(setupBefore)), network.configure(before)]);
      throw error;
    }
    bans.configure(config.bans, localNetworks());
    statistics.configure(config.control.statisticsPeriod);
    this.#parts.config = config;
    this.#parts.setup = setup;
    options.log.log('info', 'configuration reloaded');
  }

  #authEnded(how: string): void {
    if (this.#stopping !== undefined) return;
    void this.#end(new NetworkError(`The auth process has died (${how}), and the gateway with it. Its log says why; start it again.`));
  }
}

/** All parts, started in order; what takes each back is added to `undo` as soon as it is there. */
async function assemble(options: GatewayOptions, undo: Undo[]): Promise<Parts> {
  const { log, load, serverName, inherited } = options;
  const workerLog = logFor(log, 'worker');
  const { config } = await load(); // its notices are said by whoever runs us
  for (const notice of withoutRoot(config, process.getuid?.() === 0)) log.log('warn', notice);
  const table = new SessionTable();
  const crypto = new NodeCrypto();
  const helloSecret = crypto.randomBytes(HELLO_SECRET_LENGTH);
  const doors = await Doors.make({
    ...{ listen: config.listen, table, log, now: Date.now },
    limits: () => parts.config.limits,
    logins: () => logins,
    pool: () => pool,
    greetStranger: (datagram, remote) =>
      hasDatagramFront(parts.config) ? answerStranger(crypto, helloCookieOf(helloSecret, remote), datagram) : undefined,
    ...(inherited !== undefined && { inherited }),
  });
  undo.push(() => doors.close());
  makeFolder(dirname(config.processes.socketFile));
  const material = await workerMaterial(config);
  const bans = new BanTable(config.bans, localNetworks());
  const statistics = new Statistics(config.control.statisticsPeriod, Date.now());
  const events = new SessionEvents();
  const stateFile = `${config.processes.socketFile}.sessions`;
  const auth = await startAuthProcess({ config, stateFile }, { log, onFailed: (remote) => logins.loginFailed(remote) });
  undo.push(() => auth.child.end());
  const workers = config.processes.workers === 0 ? defaultWorkers(config) : config.processes.workers;
  const known = new Set((await auth.service.sessions()).map(({ id }) => id));
  const network = await GatewayNetwork.open(config, {
    ...{ workers, leaseFile: `${config.processes.socketFile}.leases`, log },
    isKnown: (session) => known.has(session),
  });
  undo.push(() => network.close());
  const exchange = new PacketExchange((worker, packets) => pool.packets(worker, packets));
  const parts: Omit<Parts, 'desk' | 'pool' | 'doors'> = {
    ...{ options, config, auth, network, table, bans, statistics, events },
    setup: { config, material, serverName, helloSecret, device: network.forWorkers },
  };
  const logins: LoginDesk = new LoginDesk({
    ...{ auth: auth.service, table, bans, statistics, log, now: Date.now },
    config: () => parts.config,
  });
  const desk: SessionDesk = new SessionDesk({
    ...{ auth: auth.service, table, statistics, events, network, log, now: Date.now },
    config: () => parts.config,
    udpPort: () => doors.udpPort,
    endTunnel: (tunnel, reason, manner = 'goodbye') => endTunnel(pool, desk, tunnel, reason, manner),
    admit: (tunnel) => {
      exchange.attach(tunnelNetworks(tunnel), tunnel.connection.worker);
      doors.admit(tunnel);
    },
    dismiss: (tunnel) => {
      exchange.detach(tunnelNetworks(tunnel), tunnel.connection.worker);
      doors.dismiss(tunnel);
    },
    expect: (session, worker, datagramId) => doors.expect(session, worker, datagramId),
    unexpect: (session) => doors.unexpect(session),
    forgetFlows: (session, but) => {
      if (parts.config.network.isUserspace) pool.forget(session, but);
    },
  });
  const pool: WorkerPool = new WorkerPool({
    ...{ count: workers, descriptorsOf: (worker) => network.descriptorsOf(worker), log },
    setup: () => ({ ...parts.setup, device: network.forWorkers }),
    onGone: (worker) => {
      doors.workerGone(worker);
      desk.workerGone(worker);
    },
    serves: {
      ...logins.services(),
      ...desk.services(),
      disconnected: (worker: number, id: number) => {
        pool.disconnected(worker);
        desk.disconnected(worker, id);
      },
      forward: (worker: number, packets: readonly Uint8Array[]) => exchange.forward(worker, packets),
      greeted: (worker, id: number, greetingId: Uint8Array, dtls: MovedAssociation) => doors.greeted(worker, id, greetingId, dtls),
      strayed: (_worker, datagram, from) => doors.strayed(datagram, from),
      log: (_worker, level, event, fields) => workerLog.log(level, event, fields),
    },
  });
  network.onInnerChange = (inner) => pool.network(inner);
  undo.push(() => pool.close());
  await pool.start();
  logRights(log, config);
  return Object.assign(parts, { desk, pool, doors });
}

/** Without an interface a client's flows are in one worker, and it must find them again when it comes back. */
function defaultWorkers({ network }: GatewayConfig): number {
  return network.isUserspace ? 1 : availableParallelism();
}

/** There are hosts whose clients may come by DTLS before anyone knows them. */
function hasDatagramFront({ hosts }: GatewayConfig): boolean {
  return hosts.some(({ login, policy }) => policy.allowsUdp && login.protocols.some(greetsStrangers));
}

/** Resolves when the tunnel is gone from the table, whoever had to see to it. */
async function endTunnel(
  pool: WorkerPool,
  desk: SessionDesk,
  tunnel: Tunnel,
  reason: DisconnectReason,
  manner: ClosingManner,
): Promise<void> {
  const { worker } = tunnel.connection;
  const service = pool.service(worker);
  const asked = service?.closeTunnel(tunnel.id, reason, manner) ?? Promise.resolve();
  const limit = Promise.withResolvers<void>();
  const timer = setTimeout(limit.resolve, TUNNEL_END_LIMIT);
  await Promise.race([asked.catch(() => undefined), limit.promise]);
  clearTimeout(timer);
  desk.forget(tunnel, reason);
}

/** Gives back what belongs to sessions that are over without a tunnel's end: their cookies have expired. */
async function tidy({ auth, network, table, options }: Parts): Promise<void> {
  try {
    const known = new Set((await auth.service.sessions()).map(({ id }) => id));
    for (const { session } of network.leases.entries) {
      if (!known.has(session) && table.ofSession(session) === undefined) network.sessions.end(session);
    }
  } catch (error) {
    options.log.log('warn', 'leases could not be tidied', { reason: error instanceof Error ? error.message : String(error) });
  }
}

/** Every step, whatever becomes of the others. */
async function undoAll(undo: Undo[], log: Logger): Promise<void> {
  for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
    try {
      await step();
    } catch (error) {
      log.log('error', 'something could not be taken back', { reason: error instanceof Error ? error.message : String(error) });
    }
  }
}

/** What an administrator has to know of where secrets are: docs/threats.md. */
function logRights(log: Logger, { processes: { user } }: GatewayConfig): void {
  log.log('info', 'the TLS private keys are in the workers: TLS signs in the process that has the connection');
  if (user === 'root' || user === '0') log.log('warn', 'the workers run as root: name another user (run-as-user)');
}

function logNotices(log: Logger, notices: readonly ConfigNotice[]): void {
  for (const { file, line, level, message } of notices) {
    log.log(level === 'note' ? 'info' : level === 'warning' ? 'warn' : 'error', message, { file, line });
  }
}
