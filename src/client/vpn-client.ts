/**
 * A client for one gateway, made of the user's wishes: logs in, and makes sessions. What the command line, the library and the GUI have in common.
 */
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { AuthForm, FormAnswer } from '../core/auth/form.ts';
import type { Credential, HostCheckRequest, ProfileStore, Target } from '../core/auth/login-io.ts';
import type { CryptoProvider } from '../core/crypto/provider.ts';
import type { Logger } from '../core/log.ts';
import type { ClientProtocol, ProtocolId, ProtocolSettings } from '../core/protocols/client-protocol.ts';
import { loadClientProtocol } from '../core/protocols/registry.ts';
import { DEFAULT_RECONNECT_BUDGET } from '../core/session/reconnect.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import type { ClientIdentity } from '../node/credentials/client-identity.ts';
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

export interface ClientSettings {
  readonly protocol: ProtocolId;
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
}

/** What a session is made with, besides the client. */
export type SessionOptions = Pick<SessionParts, 'openDevice' | 'network' | 'configured'> & {
  /** Carries device and UDP; without one, UDP is node:dgram's. */
  readonly engine?: Promise<PacketEngine | undefined>;
};

export class VpnClient {
  readonly #settings: ClientSettings;
  readonly #skin: ClientSkin;
  readonly #crypto: CryptoProvider;
  readonly #protocol: ClientProtocol;
  readonly #dialer: GatewayDialer;
  /** Undefined through a proxy, whose connections are not the system's alone. */
  readonly #engineDialer: EngineDialer | undefined;

  /** Rejects with MisuseError for settings that cannot be. */
  static async create(settings: ClientSettings, skin: ClientSkin): Promise<VpnClient> {
    const crypto = new NodeCrypto();
    const [anchors, protocol] = await Promise.all([
      loadTrustAnchors(settings.trust),
      loadClientProtocol(settings.protocol, { ...settings.wishes, crypto, log: skin.log }),
    ]);
    const { proxy, resolve, sni, trust, identity, tls } = settings;
    const { log, confirmCertificate } = skin;
    const ecdhCurve = keyExchangeGroups();
    const groups = ecdhCurve === undefined ? {} : { ecdhCurve };
    const serverTrust = new ServerTrust({
      anchors,
      fingerprints: trust.fingerprints,
      log,
      ...(confirmCertificate !== undefined && { confirm: confirmCertificate }),
    });
    const dialer = new GatewayDialer({
      ...(proxy !== undefined && { proxy }),
      overrides: resolve,
      ...(sni !== undefined && { sni }),
      context: createSecureContext({ ...groups, ...tls, ...anchors, ...identity?.tlsOptions() }),
      trust: serverTrust,
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
            trust: serverTrust,
          })
        : undefined;
    return new VpnClient(settings, skin, crypto, protocol, dialer, engineDialer);
  }

  private constructor(
    settings: ClientSettings,
    skin: ClientSkin,
    crypto: CryptoProvider,
    protocol: ClientProtocol,
    dialer: GatewayDialer,
    engineDialer: EngineDialer | undefined,
  ) {
    this.#engineDialer = engineDialer;
    this.#settings = settings;
    this.#skin = skin;
    this.#crypto = crypto;
    this.#protocol = protocol;
    this.#dialer = dialer;
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
    const { identity, userIdentity, keepsConnections, profile, gateway } = this.#settings;
    const [clientCertificate] = identity?.chain ?? [];
    const world = new LoginWorld({
      dialer: this.#dialer,
      keepsConnections,
      ...(answered !== undefined && { answered }),
      ask: this.#skin.answerer(),
      ...(clientCertificate !== undefined && { clientCertificate }),
      ...(userIdentity !== undefined && { userCertificate: userIdentity }),
      checkHost: this.#skin.checkHost,
      ...(profile !== undefined && { profile }),
      crypto: this.#crypto,
      log: this.#skin.log,
      signal,
    });
    try {
      const credential = await this.#protocol.login(world, gateway);
      return { credential, connection: await world.takeConnection(credential.gateway) };
    } finally {
      await world.close();
    }
  }

  session(options: SessionOptions): VpnSession {
    const { reconnectBudget = DEFAULT_RECONNECT_BUDGET, udp } = this.#settings;
    const { engine, openDevice, network, configured } = options;
    const dialer = new TunnelDialer({
      portable: this.#dialer,
      ...(this.#engineDialer !== undefined && { fast: this.#engineDialer }),
      ...(engine !== undefined && { engine }),
      log: this.#skin.log,
    });
    const session = new VpnSession({
      protocol: this.#protocol,
      logIn: async (signal) => {
        try {
          const { credential, connection } = await this.#logIn(signal, (gateway, address) => dialer.prepare(gateway, address));
          dialer.keep(connection);
          return credential;
        } catch (error) {
          dialer.abandon();
          throw error;
        }
      },
      driverWorld: (credential, previous) => ({
        get isConnectionUsed() {
          return dialer.gaveKept;
        },
        peer: 'The gateway',
        dial: {
          gateway: (signal) => dialer.dial(credential, previous, signal),
          datagram: async (remote) => openDatagramPath({ remote, ...udp }, await engine),
        },
        route: async (path) => (await engine)?.route(path),
        pathMtu: (local) => interfaceMtu(local.address),
        now: () => performance.now(),
      }),
      openDevice,
      network,
      ...(configured !== undefined && { configured }),
      reconnectBudget,
      log: this.#skin.log,
    });
    void session.closed.then(() => dialer.close()); // if it ended before its tunnel was opened
    return session;
  }
}
