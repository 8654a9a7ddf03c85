/**
 * A session: performs what {@link SessionMachine} says, on a tunnel driver, a device and the machine's network.
 *
 * Effects are performed one after the other, so that no script runs beside another; only stopping does not wait: what can be cancelled is.
 *
 *   inputs (tunnel, timer, person) ─► SessionMachine ─► effects ─► log-in, driver, device, network ─► inputs
 */
import { EventEmitter } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { Credential } from '../core/auth/login-io.ts';
import { CancelledError, NetworkError, PeerRefusedError, SallyportError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { type Outcome, type SessionEffect, type SessionInput, SessionMachine, type SessionState } from '../core/session/session-machine.ts';
import type { TunnelConfig } from '../core/tunnel/config.ts';
import type { CloseReason, Path, TunnelMachine, TunnelStatus } from '../core/tunnel/machine.ts';
import type { Millis, Packet } from '../core/tunnel/packet.ts';
import type { IpAddress } from '../core/wire/ip-address.ts';
import type { DeviceTraffic, PacketDevice } from '../node/devices/packet-device.ts';
import type { DriverWorld } from '../node/driver/driver-world.ts';
import { TunnelDriver } from '../node/driver/tunnel-driver.ts';
import type { NetworkFacts, NetworkSetup } from './network-setup.ts';

/** What a session is made of. */
export interface SessionParts {
  readonly logIn: (signal: AbortSignal) => Promise<Credential>;
  /** A tunnel for the cookie; rejects as `ClientProtocol.open` does. */
  readonly openTunnel: (credential: Credential, previous: TunnelConfig | undefined, signal: AbortSignal) => Promise<TunnelMachine>;
  /** Ends the session at the gateway once its tunnel is closed. Rejects if the gateway does not hear of it; within seconds. */
  readonly logOut: (credential: Credential) => Promise<void>;
  /** What a tunnel needs; connections go to the credential's gateway. */
  readonly driverWorld: (credential: Credential, previous: TunnelConfig | undefined) => DriverWorld;
  /** What scripts see of the vendor's own options, where the configuration does not say it. */
  readonly scriptOptions?: (config: TunnelConfig) => TunnelConfig['vendorOptions'] | undefined;
  readonly openDevice: (config: TunnelConfig, facts: NetworkFacts) => Promise<PacketDevice>;
  readonly network: NetworkSetup;
  /** Called when the first tunnel is up, before the device opens; the session waits for it. */
  readonly configured?: (session: VpnSession) => Promise<void>;
  /** The network's first stage waits for {@link configured}, too. Default: it runs while the tunnel's paths shake hands. */
  readonly configuredFirst?: boolean;
  readonly reconnectBudget: Millis;
  readonly log: Logger;
}

/** Code of the error of a session whose device could not be opened, or failed. */
export const DEVICE_FAILED = 'ERR_DEVICE';

/** What the gateway is told then. Observed: openconnect's words. */
const NO_DEVICE = 'Set up tun device failed';

/** What a session tells while it lives. */
export interface SessionEvents {
  state: [state: SessionState];
  /** The log-in yielded this. */
  authenticated: [credential: Credential];
  /** Packets leave by this kind of path now. */
  path: [kind: Path['kind']];
  /** The configuration came, or its MTU changed. */
  config: [config: TunnelConfig];
  /** The tunnel that was up is over, and why: another is tried, or the session ends. */
  lost: [reason: CloseReason];
  /** The next try to reconnect is so far away; `left` of the time for trying. Milliseconds. */
  waiting: [wait: Millis, left: Millis];
}

const now = (): Millis => performance.now();

export class VpnSession extends EventEmitter<SessionEvents> {
  /** Resolves when everything is undone. Never rejects. */
  readonly closed: Promise<Outcome>;
  readonly #parts: SessionParts;
  readonly #machine: SessionMachine;
  readonly #ended = Promise.withResolvers<Outcome>();
  readonly #cancel = new AbortController();
  #effects: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #credential: Credential | undefined;
  #driver: TunnelDriver | undefined;
  #device: PacketDevice | undefined;
  #config: TunnelConfig | undefined;
  #gateway: IpAddress | undefined;
  /** Our end of the connection. */
  #local: IpAddress | undefined;
  /** It has seen the cookie, and may still keep its session. */
  #isKnownToGateway = false;
  #preInit: Promise<void> | undefined;
  /** The network may have been touched: it is to be put back. */
  #isNetworkSet = false;

  constructor(parts: SessionParts) {
    super();
    this.#parts = parts;
    this.#machine = new SessionMachine({ reconnectBudget: parts.reconnectBudget });
    this.closed = this.#ended.promise;
  }

  get state(): SessionState {
    return this.#machine.state;
  }

  /** What the log-in yielded, or what was started with. */
  get credential(): Credential | undefined {
    return this.#credential;
  }

  /** The configuration as the tunnel is now. */
  get config(): TunnelConfig | undefined {
    return this.#config;
  }

  /** The peer that the connection really goes to. */
  get gateway(): IpAddress | undefined {
    return this.#gateway;
  }

  get device(): PacketDevice | undefined {
    return this.#device;
  }

  /** Logs in, or goes on with a credential; then everything follows. Called once. */
  start(credential?: Credential): void {
    this.#credential = credential;
    this.#handle({ type: 'start', hasCredential: credential !== undefined });
  }

  /** Ends the session: `detach` leaves the cookie alive. Resolves when everything is undone. Safe to call again. */
  stop(how: 'log-off' | 'detach' = 'log-off'): Promise<Outcome> {
    this.#handle({ type: 'stop', how });
    return this.closed;
  }

  /** Drops the connection and makes a new one at once. */
  reconnect(): void {
    this.#handle({ type: 'reconnect' });
  }

  /** What the machine's own network does: waiting for a try to reconnect makes no sense without one, and none once it is back. */
  networkChanged(is: 'lost' | 'back' | 'woken-up'): void {
    this.#handle({ type: 'network', is });
  }

  /** Of the tunnel's paths; undefined while there is no tunnel. */
  status(): TunnelStatus | undefined {
    return this.#driver?.status();
  }

  /** What has passed through the device so far. */
  traffic(): DeviceTraffic {
    return this.#device?.traffic() ?? { received: { packets: 0, bytes: 0 }, sent: { packets: 0, bytes: 0 } };
  }

  #handle(input: SessionInput): void {
    const before = this.#machine.state.name;
    this.#perform(this.#machine.handle(input, now()));
    if (this.#machine.state.name !== before) this.emit('state', this.#machine.state);
  }

  #perform(effects: readonly SessionEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'tear-down') this.#cancel.abort(); // what waits for a person or a peer ends now
      this.#effects = this.#effects.then(() => this.#run(effect)).catch((error: unknown) => this.#failed(error));
    }
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const due = this.#machine.nextTimeout();
    if (due === undefined) return;
    this.#timer = setTimeout(() => this.#perform(this.#machine.handleTimeout(now())), Math.max(0, due - now()));
  }

  /** An effect that rejects, which is the session's end or another try: the machine knows. */
  #failed(error: unknown): void {
    const known = error instanceof SallyportError ? error : new SallyportError('ERR_INTERNAL', String(error), { cause: error });
    if (!(error instanceof SallyportError))
      this.#parts.log.log('error', 'internal error', { reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    this.#handle({ type: 'failed', error: known });
  }

  async #run(effect: SessionEffect): Promise<void> {
    switch (effect.type) {
      case 'log-in':
        return this.#logIn();
      case 'open':
        return this.#open();
      case 'bring-up':
        return this.#bringUp();
      case 'prepare-reconnect':
        await this.#parts.network.attemptReconnect(this.#knownConfig(), this.#facts());
        return this.#handle({ type: 'prepared' });
      case 'resume':
        return this.#resume();
      case 'drop-tunnel':
        return this.#driver?.close(effect.reason);
      case 'waiting':
        this.emit('waiting', effect.wait, effect.left);
        return;
      case 'tear-down':
        return this.#tearDown(
          this.#device === undefined && this.#isDeviceRefused() ? { ...effect.reason, goodbye: NO_DEVICE } : effect.reason,
        );
      case 'closed':
        this.#ended.resolve(effect.outcome);
        return;
      default:
        effect satisfies never;
    }
  }

  async #logIn(): Promise<void> {
    this.#credential = await this.#parts.logIn(this.#cancel.signal);
    this.emit('authenticated', this.#credential);
    this.#handle({ type: 'authenticated' });
  }

  async #open(): Promise<void> {
    const { driverWorld } = this.#parts;
    const credential = this.#credential;
    if (credential === undefined || this.#cancel.signal.aborted) throw new CancelledError();
    const machine = await this.#openedTunnel(credential);
    const world = driverWorld(credential, this.#config);
    let isAnswered = false;
    const driver = new TunnelDriver(machine, world, {
      config: (config) => {
        isAnswered = true;
        this.#configure(config);
      },
      connected: (remote, local) => {
        this.#gateway = remote.address;
        this.#local = local.address;
      },
      up: (kind) => {
        this.emit('path', kind);
        this.#handle({ type: 'tunnel-up' });
      },
      closed: (reason) => {
        if (world.isConnectionUsed === true && !isAnswered && reason.error instanceof NetworkError) {
          this.#parts.log.log('debug', 'kept connection was closed');
          this.#perform([{ type: 'open' }]);
          return;
        }
        this.#device?.pause(); // packets wait where they are until there is a tunnel again
        if (this.#machine.state.name === 'up') this.emit('lost', reason);
        this.#handle({ type: 'tunnel-closed', reason });
      },
    });
    this.#driver = driver;
    driver.start();
  }

  async #openedTunnel(credential: Credential): Promise<TunnelMachine> {
    try {
      const machine = await this.#parts.openTunnel(credential, this.#config, this.#cancel.signal);
      this.#isKnownToGateway = true;
      return machine;
    } catch (error) {
      this.#isKnownToGateway ||= error instanceof PeerRefusedError;
      throw error;
    }
  }

  /** Only what a gateway has heard of is worth a connection of its own; that it could not be told is worth a line in the log. */
  async #logOut({ kind }: CloseReason): Promise<void> {
    if (kind !== 'log-off' || this.#credential === undefined || !this.#isKnownToGateway) return;
    try {
      await this.#parts.logOut(this.#credential);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#parts.log.log('warn', 'log-out failed', { reason: error.message });
    }
  }

  #configure(given: TunnelConfig): void {
    const before = this.#config;
    const vendorOptions = this.#parts.scriptOptions?.(given) ?? given.vendorOptions;
    const config = { ...given, vendorOptions };
    this.#config = config;
    this.emit('config', config);
    if (this.#gateway !== undefined && this.#parts.configuredFirst !== true) void this.#preInitialised();
    if (before !== undefined && before.mtu !== config.mtu) this.#setMtu(config.mtu);
  }

  #setMtu(mtu: number): void {
    this.#device?.setMtu(mtu).catch((error: Error) => this.#parts.log.log('warn', 'mtu not set', { mtu, reason: error.message }));
  }

  async #bringUp(): Promise<void> {
    const { network, openDevice, configured } = this.#parts;
    await configured?.(this);
    if (this.#cancel.signal.aborted) throw new CancelledError();
    await this.#preInitialised();
    const device = await openDevice(this.#knownConfig(), this.#facts()).catch((error: Error) => {
      throw new SallyportError(DEVICE_FAILED, error.message, { cause: error });
    });
    this.#device = device;
    device.failed.then(
      (error) => this.#handle({ type: 'device-failed', error: new SallyportError(DEVICE_FAILED, error.message, { cause: error }) }),
      () => undefined, // it never rejects
    );
    this.#isNetworkSet = true; // not before there is a device: one that was refused may be another program's
    await network.connect(this.#knownConfig(), this.#facts());
    device.start((packets: readonly Packet[]) => this.#driver?.send(packets));
    this.#driver?.attach(device);
    this.#handle({ type: 'brought-up' });
    if (this.#machine.state.name !== 'up') device.pause(); // the tunnel was lost meanwhile
  }

  /** The network's first stage needs the configuration only: it is mostly over when the paths have shaken hands. */
  #preInitialised(): Promise<void> {
    if (this.#preInit === undefined) {
      this.#preInit = this.#runPreInit();
      this.#preInit.catch(() => undefined); // told when the tunnel is brought up, if it comes to that
    }
    return this.#preInit;
  }

  async #runPreInit(): Promise<void> {
    // What the tunnel wants goes first: to start a script takes this thread milliseconds, in which UDP's first flight is answered.
    await setImmediate();
    await this.#driver?.opening;
    if (!this.#cancel.signal.aborted) await this.#parts.network.preInit(this.#knownConfig(), this.#facts());
  }

  async #resume(): Promise<void> {
    const device = this.#device;
    if (device !== undefined) this.#driver?.attach(device);
    device?.resume();
    await this.#parts.network.reconnect(this.#knownConfig(), this.#facts());
  }

  #isDeviceRefused(): boolean {
    const { state } = this.#machine;
    return state.name === 'closing' && state.outcome.error?.code === DEVICE_FAILED;
  }

  /** Each step is taken whatever became of the one before: nothing is left behind because something else failed. */
  async #tearDown(reason: CloseReason): Promise<void> {
    clearTimeout(this.#timer);
    const steps: readonly (() => Promise<void> | undefined)[] = [
      () => this.#driver?.close(reason),
      () => this.#logOut(reason),
      () => this.#preInit?.catch(() => undefined),
      () => (this.#isNetworkSet ? this.#parts.network.disconnect(this.#knownConfig(), this.#facts()) : undefined),
      () => this.#device?.close(),
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        this.#parts.log.log('error', 'tear-down failed', { reason: error instanceof Error ? error.message : String(error) });
      }
    }
    this.#handle({ type: 'torn-down' });
  }

  /** There is a configuration whenever the machine asks for something that needs one. */
  #knownConfig(): TunnelConfig {
    if (this.#config === undefined) throw new SallyportError('ERR_INTERNAL', 'The tunnel has no configuration yet.');
    return this.#config;
  }

  #facts(): NetworkFacts {
    const { gateway } = this;
    const name = this.#device?.name;
    const local = this.#local;
    if (gateway === undefined || local === undefined) throw new SallyportError('ERR_INTERNAL', 'The gateway’s address is not known yet.');
    return { gateway, local, ...(name !== undefined && { deviceName: name }) };
  }
}
