/**
 * A connection to a gateway, as programs use it: made of options, watched by events, ended by `close()` or `await using`.
 *
 * Read first: connect-options.ts; core/session/session-machine.ts for the states.
 *
 *   options ─► VpnClient ─► VpnSession ◄─ device (engine's TUN, or yours), network (configurator, script, nobody)
 */
import { EventEmitter } from 'node:events';
import type { Agent } from 'undici';
import type { BrowseRequest, Credential } from '../core/auth/login-io.ts';
import { MisuseError } from '../core/errors.ts';
import { type Logger, silentLogger } from '../core/log.ts';
import type { Outcome } from '../core/session/session-machine.ts';
import type { TunnelConfig } from '../core/tunnel/config.ts';
import type { CloseReason, Path } from '../core/tunnel/machine.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { formatCidr, formatIp } from '../core/wire/ip-address.ts';
import { browseWith } from '../node/browser-login.ts';
import type { PacketDevice } from '../node/devices/packet-device.ts';
import { TunDevice } from '../node/devices/tun-device.ts';
import { oneDescriptor } from '../node/engine/device-descriptors.ts';
import type { PacketEngine } from '../node/engine/packet-engine.ts';
import { checkHost } from '../node/host-check.ts';
import { reportOnHost } from '../node/host-report.ts';
import type {
  ConnectionOptions,
  DatagramOptions,
  IpDatagram,
  IpLookupAddress,
  IpNetwork,
  IpServer,
  IpSocket,
  LookupOptions,
  PingAnswer,
  PingOptions,
  ServerOptions,
} from '../node/ip/ip-network.ts';
import { checkedOnCertificate } from './called-back.ts';
import { checkOptions } from './check-options.ts';
import { clientSettings } from './client-settings.ts';
import { ConfiguredNetwork, type UnderlayChange } from './configured-network.ts';
import type { ConnectOptions, LoginOptions } from './connect-options.ts';
import { formAnswers } from './form-answers.ts';
import { recoverLeftovers } from './leftovers.ts';
import { isOpened, type NetworkChoice, networkChoice, otherNetwork } from './network-choice.ts';
import { errorOf } from './outcome-error.ts';
import { isOwnDevice } from './own-device.ts';
import { RateMeter } from './rate-meter.ts';
import { engineFor, startEngine } from './start-engine.ts';
import { respondToUnderlay } from './underlay-response.ts';
import type { UserspaceNetwork } from './userspace-network.ts';
import { type ClientSettings, VpnClient } from './vpn-client.ts';
import { type DispatcherOptions, type FetchInit, type FetchInput, type FetchResponse, VpnFetch } from './vpn-fetch.ts';
import type { VpnSession } from './vpn-session.ts';
import { type Transport, transportOf, type VpnState, type VpnStatus } from './vpn-status.ts';
import { wallClock } from './wall-clock.ts';

/** What a connection tells while it lives. */
export interface VpnEvents {
  state: [state: VpnState];
  /** The log-in has succeeded. */
  authenticated: [credential: Credential];
  /** Packets leave by this now. */
  transport: [transport: Transport];
  /** What the gateway wants the tunnel to be; again when the MTU changes. */
  config: [config: TunnelConfig];
  /** The tunnel is over, and why: another is tried (`state` says so next), or the connection ends. */
  lost: [reason: CloseReason];
  /** The next try to reconnect is so far away; `left` of the time for trying. Milliseconds. */
  waiting: [wait: Millis, left: Millis];
  /** The network underneath has changed, and the set-up has been adapted. */
  underlay: [change: UnderlayChange];
}

/** Between looks at the traffic. */
const RATE_INTERVAL: Millis = 1_000;

export class Vpn extends EventEmitter<VpnEvents> implements AsyncDisposable, IpNetwork {
  /** Resolves with how it ended, when everything is undone. Never rejects. */
  readonly closed: Promise<Outcome>;
  readonly #settings: ClientSettings;
  readonly #options: ConnectOptions;
  readonly #session: VpnSession;
  /** Who logs in: known when that has been answered. */
  readonly #user: { readonly name?: string };
  readonly #engine: Promise<PacketEngine | undefined> | undefined;
  /** With device `userspace`: known when it is open. */
  #userspace: UserspaceNetwork | undefined;
  readonly #http = new VpnFetch(() => this.#inside());
  /** Addresses, routes and DNS are set up, by us or by a script. */
  readonly #touchesNetwork: boolean;
  /** If it is us who set up the network. */
  readonly #configured: ConfiguredNetwork | undefined;
  readonly #log: Logger;
  readonly #cancel: AbortController;
  readonly #meter = new RateMeter();
  #meterTimer: NodeJS.Timeout | undefined;
  #path: Path['kind'] | undefined;
  #upSince: Date | undefined;
  #lostSince: Date | undefined;
  #nextTryAt: Date | undefined;

  /**
   * Prepares a connection; nothing is sent yet. For those who listen to it from the first moment: others call {@link connect}.
   * Rejects with MisuseError for options that cannot be, with CredentialError for a certificate that cannot be used, and with SallyportError
   * (`ERR_PERMISSION`) if the network is to be set up and this process may not.
   */
  static async create(url: string, options: ConnectOptions = {}): Promise<Vpn> {
    checkOptions(url, options);
    const network = networkChoice(options);
    const settings = await clientSettings(url, options);
    const user: { name?: string } = options.user === undefined ? {} : { name: options.user };
    const cancel = new AbortController();
    const onUser = (name: string) => {
      user.name = name;
    };
    const client = await createClient(settings, options, { onUser, signal: cancel.signal });
    return new Vpn(settings, client, options, network, user, cancel);
  }

  private constructor(
    settings: ClientSettings,
    client: VpnClient,
    options: ConnectOptions,
    network: NetworkChoice,
    user: { readonly name?: string },
    cancel: AbortController,
  ) {
    super();
    const { log = silentLogger, device = 'tun' } = options;
    this.#settings = settings;
    this.#options = options;
    this.#log = log;
    this.#user = user;
    this.#cancel = cancel;
    this.#engine = engineFor(device, log);
    this.#touchesNetwork = network !== 'none';
    this.#configured = network === 'configure' ? this.#configuredNetwork() : undefined;
    this.#session = client.session({
      ...(this.#engine !== undefined && { engine: this.#engine }),
      openDevice: (config) => this.#openDevice(device, config),
      network: this.#configured ?? otherNetwork(network, device, log),
    });
    this.closed = this.#session.closed.then((outcome) => this.#ended(outcome));
    this.#followSession();
  }

  /**
   * Undoes what earlier processes left behind (where the network is set up), logs in, and brings the tunnel up. Called once; resolves when
   * packets flow. If it rejects, everything is undone.
   */
  async start(): Promise<void> {
    if (this.state !== 'idle') throw new MisuseError('This connection was started before.');
    const { signal, credential } = this.#options;
    const abort = () => void this.close();
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      if (this.#touchesNetwork) await recoverLeftovers(this.#log, this.#cancel.signal);
      const up = this.#untilUp();
      if (this.state === 'idle') this.#session.start(credential); // and not closed meanwhile
      await up;
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  get state(): VpnState {
    return this.#session.state.name;
  }

  /** What the log-in yielded, or what was started with. */
  get credential(): Credential | undefined {
    return this.#session.credential ?? this.#options.credential;
  }

  /** What the gateway wants the tunnel to be, once it is known. */
  get config(): TunnelConfig | undefined {
    return this.#session.config;
  }

  /** Where packets enter and leave, once it is open. */
  get device(): PacketDevice | undefined {
    return this.#session.device;
  }

  /** Everything about the connection that can be said in plain data. */
  status(): VpnStatus {
    const { host, port } = this.credential?.gateway ?? this.#settings.gateway;
    const { gateway, config, device } = this.#session;
    const paths = this.#session.status();
    const cipherSuite = this.#path === undefined ? undefined : paths?.[this.#path].cipherSuite;
    const { received, sent } = this.#session.traffic();
    const rate = this.#meter.rate();
    const isLost = this.state === 'reconnecting';
    return {
      state: this.state,
      gateway: { host, port, ...(gateway !== undefined && { address: formatIp(gateway) }) },
      ...(this.#user.name !== undefined && { user: this.#user.name }),
      ...(device?.name !== undefined && { device: device.name }),
      addresses: [config?.ipv4, config?.ipv6].flatMap((each) =>
        each === undefined ? [] : each.prefix === undefined ? formatIp(each.address) : formatCidr({ ...each, prefix: each.prefix }),
      ),
      ...(config !== undefined && { mtu: config.mtu }),
      ...(this.#path !== undefined && !isLost && { transport: transportOf(this.#path, cipherSuite) }),
      ...(cipherSuite !== undefined && !isLost && { cipherSuite }),
      ...(this.#upSince !== undefined && { upSince: this.#upSince.toISOString() }),
      ...(config?.expiresAt !== undefined && { expiresAt: wallClock(config.expiresAt).toISOString() }),
      ...(isLost &&
        this.#lostSince !== undefined && {
          reconnecting: {
            since: this.#lostSince.toISOString(),
            ...(this.#nextTryAt !== undefined && { nextTryAt: this.#nextTryAt.toISOString() }),
          },
        }),
      traffic: { received: { ...received, bytesPerSecond: rate.received }, sent: { ...sent, bytesPerSecond: rate.sent } },
    };
  }

  // Inside the VPN, with device `userspace`. Each throws MisuseError with another, and before the connection is up.

  /** {@link IpNetwork.createConnection} */
  createConnection(options: ConnectionOptions): IpSocket {
    return this.#inside().createConnection(options);
  }

  /** {@link IpNetwork.createServer} */
  createServer(options: ServerOptions = {}, onConnection?: (socket: IpSocket) => void): IpServer {
    return this.#inside().createServer(options, onConnection);
  }

  /** {@link IpNetwork.createDatagram} */
  createDatagram(options: DatagramOptions = {}): IpDatagram {
    return this.#inside().createDatagram(options);
  }

  /** {@link IpNetwork.lookup} */
  async lookup(name: string, options: LookupOptions = {}): Promise<readonly IpLookupAddress[]> {
    return this.#inside().lookup(name, options);
  }

  /** {@link IpNetwork.ping} */
  async ping(host: string, options: PingOptions = {}): Promise<PingAnswer> {
    return this.#inside().ping(host, options);
  }

  /** Our addresses inside the VPN. */
  get addresses(): readonly string[] {
    return this.#inside().addresses;
  }

  /** HTTP inside the VPN: the web's fetch, as undici has it. */
  fetch(input: FetchInput, init: FetchInit = {}): Promise<FetchResponse> {
    return this.#http.fetch(input, init);
  }

  /** An agent for undici's functions and clients, whose connections go through the VPN. It is closed with the connection. */
  dispatcher(options: DispatcherOptions = {}): Promise<Agent> {
    return this.#http.dispatcher(options);
  }

  /** Drops the connection and makes a new one at once; device, addresses and whatever runs over them stay. */
  reconnect(): void {
    this.#session.reconnect();
  }

  /**
   * Ends the connection and undoes everything. The session is logged off, unless its cookie is to be kept for another connection. Resolves with
   * how it ended when all is done. Safe to call again, and at any time.
   */
  close(options: { readonly keepCookie?: boolean } = {}): Promise<Outcome> {
    this.#cancel.abort();
    void this.#session.stop(options.keepCookie === true ? 'detach' : 'log-off');
    return this.closed;
  }

  /** Undoes the network now, whatever {@link close} is still waiting for: for a process that is about to exit. Rejects with what could not be undone. */
  async abandon(): Promise<void> {
    this.#cancel.abort();
    await this.#configured?.disconnect();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close().then(() => undefined);
  }

  async #openDevice(device: NonNullable<ConnectOptions['device']>, config: TunnelConfig): Promise<PacketDevice> {
    if (isOwnDevice(device)) return device;
    if (device === 'userspace') {
      const { mtu, ipv4, ipv6 } = config;
      const addresses = [ipv4, ipv6].flatMap((each) => (each === undefined ? [] : [each.address]));
      const { openUserspace } = await import('./userspace-network.ts'); // most connections have an interface
      const { stack, network } = await openUserspace({ addresses, mtu }, await this.#engine, () => this.config);
      this.#userspace = network;
      return stack;
    }
    const engine = (await this.#engine) ?? (await startEngine());
    if (isOpened(device)) return TunDevice.adopt(engine, oneDescriptor(device.descriptor), device.name, device.offloads, device.setMtu);
    return TunDevice.open(engine, device === 'tun' ? {} : { name: device.name });
  }

  #inside(): UserspaceNetwork {
    if (this.#userspace !== undefined) return this.#userspace;
    throw new MisuseError('Only a connection with device "userspace" that has come up has sockets of its own.');
  }

  #configuredNetwork(): ConfiguredNetwork {
    return new ConfiguredNetwork({
      log: this.#log,
      signal: this.#cancel.signal,
      onUnderlay: (change) => {
        this.emit('underlay', change);
        for (const response of respondToUnderlay(change.before, change.now, this.#path)) {
          if (response === 'reconnect') this.#session.reconnect();
          else this.#session.networkChanged(response);
        }
      },
    });
  }

  #followSession(): void {
    const session = this.#session;
    session.on('authenticated', (credential) => this.emit('authenticated', credential));
    session.on('config', (config) => this.emit('config', config));
    session.on('lost', (reason) => this.emit('lost', reason));
    session.on('waiting', (wait, left) => {
      this.#nextTryAt = new Date(Date.now() + wait);
      this.emit('waiting', wait, left);
    });
    session.on('path', (kind) => {
      this.#path = kind;
      this.emit('transport', transportOf(kind, session.status()?.[kind].cipherSuite));
    });
    session.on('state', ({ name }) => {
      if (name === 'up') this.#isUp();
      if (name === 'reconnecting') this.#lostSince ??= new Date();
      this.emit('state', name);
    });
  }

  #isUp(): void {
    this.#upSince ??= new Date();
    this.#lostSince = undefined;
    this.#nextTryAt = undefined;
    if (this.#meterTimer !== undefined) return;
    const look = () => {
      const { received, sent } = this.#session.traffic();
      this.#meter.sample({ received: received.bytes, sent: sent.bytes }, performance.now());
    };
    look();
    this.#meterTimer = setInterval(look, RATE_INTERVAL).unref();
  }

  /** Resolves with the first `up`; rejects if the session is over before. */
  #untilUp(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#session.on('state', ({ name }) => {
      if (name === 'up') resolve();
    });
    void this.closed.then((outcome) => reject(errorOf(outcome)));
    return promise;
  }

  async #ended(outcome: Outcome): Promise<Outcome> {
    clearInterval(this.#meterTimer);
    try {
      await this.#http.close();
      await (await this.#engine)?.close();
    } catch (error) {
      // One that did not start needs no end; the device has said why.
      this.#log.log('debug', 'engine not closed', { reason: error instanceof Error ? error.message : String(error) });
    }
    return outcome;
  }
}

/** What a log-in tells, and what ends it. */
export interface LoginWatch {
  readonly onUser: (user: string) => void;
  readonly signal: AbortSignal;
}

/** A client with whoever answers and whoever listens. */
export async function createClient(settings: ClientSettings, options: LoginOptions, { onUser, signal }: LoginWatch): Promise<VpnClient> {
  const { log = silentLogger, onCertificate, browser } = options;
  return VpnClient.create(settings, {
    log,
    answerer: () => formAnswers(options, log, onUser),
    ...(onCertificate !== undefined && { confirmCertificate: checkedOnCertificate(onCertificate) }),
    checkHost: (request) => checkHost(request, { signal, log }),
    reportHost: (request) => reportOnHost(request, { signal, log }),
    ...(browser !== undefined && { browse: (request: BrowseRequest) => browseWith(browser, request, signal) }),
  });
}
