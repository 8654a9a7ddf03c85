/**
 * A client for one gateway, made of the user's wishes: logs in, and makes sessions. What the command line, the library and the GUI have in common.
 */
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { AuthForm, FormAnswer } from '../core/auth/form.ts';
import type { Credential, HostCheckRequest, LoginIo, ProfileStore, Target } from '../core/auth/login-io.ts';
import type { ProtocolId } from '../core/auth/protocol-id.ts';
import type { CertificateIdentity } from '../core/crypto/provider.ts';
import { UnsupportedError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { ClientProtocol, ProtocolSettings } from '../core/protocols/client-protocol.ts';
import { type Recognition, recogniseGateway } from '../core/protocols/recognition.ts';
import { loadClientProtocol } from '../core/protocols/registry.ts';
import { DEFAULT_RECONNECT_BUDGET } from '../core/session/reconnect.ts';
import type { TunnelConfig } from '../core/tunnel/config.ts';
import type { TunnelMachine } from '../core/tunnel/machine.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { scriptOptions } from '../core/tunnel/script-options.ts';
import type { ClientIdentity } from '../node/credentials/client-identity.ts';
import { certificateIdentity } from '../node/crypto/certificates.ts';
import { NodeCrypto } from '../node/crypto/node-crypto.ts';
import type { PacketEngine } from '../node/engine/packet-engine.ts';
import { interfaceMtu } from '../node/interface-mtu.ts';
import type { ProxySettings } from '../node/proxy-dial.ts';
import type { TlsConnection } from '../node/tls-connection.ts';
import { keyExchangeGroups } from '../node/tls-groups.ts';
import { loadTrustAnchors } from '../node/trust/trust-anchors.ts';
import { openDatagramPath } from '../node/udp-socket.ts';
import { EngineDialer } from './engine-dialer.ts';
import { GatewayDialer } from './gateway-dialer.ts';
import { LoginWorld, type LoginWorldOptions } from './login-world.ts';
import { ServerTrust, type TrustQuestion } from './server-trust.ts';
import { TunnelDialer } from './tunnel-dialer.ts';
import { type SessionParts, VpnSession } from './vpn-session.ts';

/** How long closing the connection of a log-in may take. */
const CLOSE_LIMIT: Millis = 500;

/** How long a gateway may take to be told that its session is over: people wait for it. */
const LOG_OUT_LIMIT: Millis = 5000;

export interface ClientSettings {
  /** `auto`: whatever the gateway turns out to speak. */
  readonly protocol: ProtocolId | 'auto';
  readonly gateway: Target;
  /** The vendor's part. */
  readonly wishes: Omit<ProtocolSettings, 'crypto' | 'log'>;
  /** Versions, ciphers, curves. */
  readonly tls: SecureContextOptions;
  readonly trust: { readonly caFile?: string; readonly systemTrust: boolean; readonly fingerprints: readonly string[] };
  readonly identity?: ClientIdentity;
  /** The second certificate of a multiple-certificate log-in. */
  readonly userIdentity?: ClientIdentity;
  readonly proxy?: ProxySettings;
  /** The user's own answers for host names: an address, or another name. */
  readonly resolve: ReadonlyMap<string, string>;
  /** The name in the TLS hello, instead of the host's. The certificate is still to be the host's. */
  readonly sni?: string;
  /** False: a new connection for each request. */
  readonly keepsConnections: boolean;
  readonly udp: { readonly localPort?: number; readonly copiesDscp: boolean };
  readonly profile?: ProfileStore;
  /** How long to go on reconnecting. Default: {@link DEFAULT_RECONNECT_BUDGET}. */
  readonly reconnectBudget?: Millis;
}

/** Whoever stands in front of the client. */
export interface ClientSkin {
  readonly log: Logger;
  /** Answers the forms of one log-in: called for each. */
  readonly answerer: () => (form: AuthForm) => Promise<FormAnswer>;
  /** Asked about a certificate that nobody vouches for; without it such are refused. */
  readonly confirmCertificate?: (question: TrustQuestion) => Promise<boolean>;
  /** Runs the user's host checker; rejects if there is none. */
  readonly checkHost: (request: HostCheckRequest) => Promise<void>;
  /** Says what there is to say of this machine to a gateway that wants a report; absent: nothing. */
  readonly reportHost?: NonNullable<LoginIo['reportHost']>;
  /** Starts the user's host checker, one that speaks as long as there is a session; absent: there is none. */
  readonly startHelper?: NonNullable<LoginIo['startHelper']>;
  /** Has a person log in with a browser, where the protocol can; absent: log-ins are forms. */
  readonly browse?: NonNullable<LoginIo['browse']>;
}

/** What a session is made with, besides the client. */
export type SessionOptions = Pick<SessionParts, 'openDevice' | 'network' | 'configured' | 'configuredFirst'> & {
  /** Carries device and UDP; without one, UDP is node:dgram's. */
  readonly engine?: Promise<PacketEngine | undefined>;
};

interface ClientParts {
  readonly skin: ClientSkin;
  readonly wishes: ProtocolSettings;
  readonly protocol: ClientProtocol | undefined;
  readonly dialer: GatewayDialer;
  readonly engineDialer: EngineDialer | undefined;
}

export class VpnClient {
  readonly #settings: ClientSettings;
  readonly #skin: ClientSkin;
  readonly #wishes: ProtocolSettings;
  /** Undefined until the gateway has shown what it speaks. */
  #protocol: ClientProtocol | undefined;
  readonly #dialer: GatewayDialer;
  /** Undefined through a proxy, whose connections are not the system's alone. */
  readonly #engineDialer: EngineDialer | undefined;

  /** Rejects with MisuseError for settings that cannot be. */
  static async create(settings: ClientSettings, skin: ClientSkin): Promise<VpnClient> {
    const crypto = new NodeCrypto();
    let serverTrust: ServerTrust | undefined;
    const datagramIdentity = settings.identity && datagramIdentityOf(settings.identity, skin.log);
    const wishes: ProtocolSettings = {
      ...{ ...settings.wishes, crypto, log: skin.log },
      datagramCertificateFault: (gateway, chain) =>
        serverTrust === undefined ? 'there was no log-in' : serverTrust.faultElsewhere(gateway, chain),
      ...(datagramIdentity !== undefined && { datagramIdentity }),
    };
    const [anchors, protocol] = await Promise.all([
      loadTrustAnchors(settings.trust),
      settings.protocol === 'auto' ? undefined : loadClientProtocol(settings.protocol, wishes),
    ]);
    const { proxy, resolve, sni, trust, identity, tls } = settings;
    const { log, confirmCertificate } = skin;
    const ecdhCurve = keyExchangeGroups();
    const groups = ecdhCurve === undefined ? {} : { ecdhCurve };
    const judge = new ServerTrust({
      anchors,
      fingerprints: trust.fingerprints,
      log,
      ...(confirmCertificate !== undefined && { confirm: confirmCertificate }),
    });
    serverTrust = judge;
    const dialer = new GatewayDialer({
      ...(proxy !== undefined && { proxy }),
      overrides: resolve,
      ...(sni !== undefined && { sni }),
      context: () => createSecureContext({ ...groups, ...tls, ...anchors, ...identity?.tlsOptions() }),
      trust: judge,
      crypto,
      log,
    });
    const engineDialer =
      proxy === undefined
        ? new EngineDialer({
            overrides: resolve,
            ...(sni !== undefined && { sni }),
            tls: { ...groups, ...tls },
            ...(identity !== undefined && { identity }),
            trust: judge,
          })
        : undefined;
    return new VpnClient(settings, { skin, wishes, protocol, dialer, engineDialer });
  }

  private constructor(settings: ClientSettings, parts: ClientParts) {
    this.#settings = settings;
    this.#skin = parts.skin;
    this.#wishes = parts.wishes;
    this.#protocol = parts.protocol;
    this.#dialer = parts.dialer;
    this.#engineDialer = parts.engineDialer;
  }

  /** Asks the gateway what it speaks: every question, for who wants to see all answers. */
  async recognise(signal: AbortSignal): Promise<Recognition> {
    const world = this.#world(signal, { ask: nobodyAnswers });
    try {
      return await recogniseGateway(world, this.#settings.gateway, 'all');
    } finally {
      await world.close();
    }
  }

  /** Logs in. Rejects as {@link ClientProtocol.login} does. */
  async logIn(signal: AbortSignal): Promise<Credential> {
    const { credential, connection } = await this.#logIn(signal, undefined);
    await connection?.close(CLOSE_LIMIT);
    return credential;
  }

  /** `connection`: to the credential's gateway, as the log-in left it. */
  async #logIn(
    signal: AbortSignal,
    answered: LoginWorldOptions['answered'],
  ): Promise<{ readonly credential: Credential; readonly connection: TlsConnection | undefined }> {
    const { gateway } = this.#settings;
    const world = this.#world(signal, { ask: this.#skin.answerer(), ...(answered !== undefined && { answered }) });
    try {
      const protocol = await this.#protocolOf(world);
      const credential = await protocol.login(world, gateway);
      return { credential, connection: await world.takeConnection(credential.gateway) };
    } finally {
      await world.close();
    }
  }

  /** What vendors may ask of the world. */
  #world(signal: AbortSignal, own: Pick<LoginWorldOptions, 'ask' | 'answered' | 'inherited'>): LoginWorld {
    const { identity, userIdentity, keepsConnections, profile } = this.#settings;
    const { browse, checkHost, reportHost, startHelper, log } = this.#skin;
    const [clientCertificate] = identity?.chain ?? [];
    return new LoginWorld({
      dialer: this.#dialer,
      ...{ keepsConnections, checkHost, log, signal, crypto: this.#wishes.crypto },
      ...(clientCertificate !== undefined && { clientCertificate }),
      ...(userIdentity !== undefined && { userCertificate: userIdentity }),
      ...(profile !== undefined && { profile }),
      ...(browse !== undefined && { browse }),
      ...(reportHost !== undefined && { reportHost }),
      ...(startHelper !== undefined && { startHelper }),
      ...own,
    });
  }

  /** The vendor: the one that the settings name, the one of the cookie that was given, or the one that the gateway proves to be. */
  async #protocolOf(world: LoginIo, credential?: Credential): Promise<ClientProtocol> {
    if (this.#protocol !== undefined) return this.#protocol;
    const id = credential?.protocol ?? (await recogniseGateway(world, this.#settings.gateway)).protocol;
    this.#protocol = await loadClientProtocol(id, this.#wishes);
    return this.#protocol;
  }

  /** A tunnel for a cookie: requests of the vendor's go over the connection that the log-in has kept, and the tunnel after them. */
  async #openTunnel(
    dialer: TunnelDialer,
    credential: Credential,
    previous: TunnelConfig | undefined,
    signal: AbortSignal,
  ): Promise<TunnelMachine> {
    const world = this.#world(signal, {
      ask: nobodyAnswers,
      inherited: () => {
        const connection = dialer.takeKept();
        return connection && { target: credential.gateway, connection };
      },
    });
    try {
      const protocol = await this.#protocolOf(world, credential);
      const machine = await protocol.open(world, credential, previous);
      const isOnly = world.hasLeftConnection;
      if (world.hasSpoken) dialer.keep(await world.takeConnection(credential.gateway), isOnly);
      return machine;
    } finally {
      await world.close();
    }
  }

  async #logOut(credential: Credential): Promise<void> {
    if (this.#protocol?.logOut === undefined) return;
    const world = this.#world(AbortSignal.timeout(LOG_OUT_LIMIT), { ask: nobodyAnswers });
    try {
      await this.#protocol.logOut(world, credential);
    } finally {
      await world.close();
    }
  }

  session(options: SessionOptions): VpnSession {
    const { reconnectBudget = DEFAULT_RECONNECT_BUDGET, udp } = this.#settings;
    const { engine, openDevice, network, configured, configuredFirst = false } = options;
    const dialer = new TunnelDialer({
      portable: this.#dialer,
      ...(this.#engineDialer !== undefined && { fast: this.#engineDialer }),
      ...(engine !== undefined && { engine }),
      log: this.#skin.log,
    });
    const session = new VpnSession({
      logIn: async (signal) => {
        try {
          const { credential, connection } = await this.#logIn(signal, (gateway, address) => {
            if (this.#protocol?.startsOnStream === true) dialer.prepare(gateway, address);
          });
          dialer.keep(connection);
          return credential;
        } catch (error) {
          dialer.abandon();
          throw error;
        }
      },
      openTunnel: (credential, previous, signal) => this.#openTunnel(dialer, credential, previous, signal),
      logOut: (credential) => this.#logOut(credential),
      scriptOptions: (config) => {
        const options = this.#protocol?.scriptOptions;
        return options && scriptOptions(config, options);
      },
      driverWorld: (credential, previous) => ({
        get isConnectionUsed() {
          return dialer.gaveKept;
        },
        peer: 'The gateway',
        dial: {
          gateway: (signal) => dialer.dial(credential, previous, signal),
          datagram: async (remote) => {
            if (this.#protocol?.startsOnStream === false) dialer.letGo();
            return openDatagramPath({ remote, ...udp }, await engine);
          },
        },
        route: async (path) => (await engine)?.route(path),
        pathMtu: (local) => interfaceMtu(local.address),
        now: () => performance.now(),
      }),
      openDevice,
      network,
      ...(configured !== undefined && { configured }),
      configuredFirst,
      reconnectBudget,
      log: this.#skin.log,
    });
    void session.closed.then(() => dialer.close()); // if it ended before its tunnel was opened
    return session;
  }
}

/** Undefined for a kind of key that TLS has and our DTLS has not: a gateway that asks for a certificate there is shown none. */
function datagramIdentityOf({ chain, key }: ClientIdentity, log: Logger): CertificateIdentity | undefined {
  try {
    return certificateIdentity(chain, key);
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    log.log('debug', 'no certificate for DTLS', { reason: error.message });
    return undefined;
  }
}

/** A cookie is all that a tunnel needs. */
async function nobodyAnswers(): Promise<FormAnswer> {
  return { type: 'cancel' };
}
