/** Opens TLS connections to a gateway: directly or through a proxy, the certificate judged by {@link ServerTrust}. */
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { SecureContext } from 'node:tls';
import type { InnerTls } from '../core/auth/inner-tls.ts';
import type { Target } from '../core/auth/login-io.ts';
import type { CryptoProvider } from '../core/crypto/provider.ts';
import { NetworkError } from '../core/errors.ts';
import { hostInUrl } from '../core/http/url.ts';
import type { Logger } from '../core/log.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import type { IpAddress } from '../core/wire/ip-address.ts';
import { innerTlsClient } from '../node/inner-tls.ts';
import type { ProxySettings } from '../node/proxy-dial.ts';
import { type DialOptions, dialTcp } from '../node/tcp-dial.ts';
import { TlsConnection } from '../node/tls-connection.ts';
import { TLS_FAILED } from '../node/tls-stream.ts';
import type { PresentedCertificate } from '../node/trust/verify-certificate.ts';
import type { ServerTrust } from './server-trust.ts';

export interface GatewayDialerOptions {
  readonly proxy?: ProxySettings;
  /** As in {@link DialOptions}. */
  readonly overrides: ReadonlyMap<string, string>;
  /** The name in the TLS hello, instead of the host's. */
  readonly sni?: string;
  /** Called once. */
  readonly context: () => SecureContext;
  readonly trust: ServerTrust;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
}

export interface DialManner {
  readonly address?: IpAddress | undefined;
  readonly patience?: Millis | undefined;
}

export class GatewayDialer {
  readonly #options: GatewayDialerOptions;
  #madeContext: SecureContext | undefined;
  /** Where hosts have answered: a log-in stays at one machine as long as that answers, and no address that is silent is waited for twice. */
  readonly #answered = new Map<string, IpAddress>();

  constructor(options: GatewayDialerOptions) {
    this.#options = options;
  }

  /** `address`: connect there, whatever the name resolves to. `patience`: how long each step may take, if not as long as ever. */
  async dial(target: Target, signal: AbortSignal, { address, patience }: DialManner = {}): Promise<TlsConnection> {
    const { proxy, overrides, sni, trust, log } = this.#options;
    const { host, port } = target;
    const options = { host, port, overrides, signal, log, patience, ...(proxy === undefined && this.#wayTo(host, address)) };
    try {
      const opening = proxy === undefined ? dialTcp(options) : this.#dialProxy(proxy, options);
      const context = await this.#contextBeside(opening);
      const socket = await opening;
      log.log('info', 'tls negotiating', { host: hostInUrl(host) });
      const judge = (presented: PresentedCertificate) => trust.judge(presented, port);
      const connection = await TlsConnection.open(socket, { host, ...(sni !== undefined && { sni }), patience, context, signal, judge });
      if (proxy === undefined) this.#answered.set(host, connection.remote.address);
      log.log('info', 'tls connected', { host: hostInUrl(host), cipherSuite: connection.cipherSuite });
      return connection;
    } catch (error) {
      if (error instanceof NetworkError && error.code === TLS_FAILED) log.log('error', 'tls failed', { reason: error.message });
      throw error;
    }
  }

  /** TLS inside a conversation on a connection to this gateway, with whoever has this certificate (DER). */
  inside({ host }: Target, certificate: Uint8Array): InnerTls {
    const { sni = host } = this.#options;
    return innerTlsClient({ context: this.#context(), host: sni, certificate });
  }

  #wayTo(host: string, address: IpAddress | undefined): Pick<DialOptions, 'address' | 'preferred'> {
    return address === undefined ? { preferred: this.#answered.get(host) } : { address };
  }

  /** While a connection opens, gateway and network have time for what Node does not: it takes some 15 ms to load TLS, and a gateway some to accept. */
  async #contextBeside(opening: Promise<Socket>): Promise<SecureContext> {
    opening.catch(() => undefined); // the caller waits for it
    if (this.#madeContext === undefined) await setImmediate(); // until it is on its way
    try {
      return this.#context();
    } catch (error) {
      opening.then(
        (socket) => socket.destroy(),
        () => undefined,
      );
      throw error;
    }
  }

  #context(): SecureContext {
    this.#madeContext ??= this.#options.context();
    return this.#madeContext;
  }

  async #dialProxy(proxy: ProxySettings, options: DialOptions): Promise<Socket> {
    const { dialThroughProxy } = await import('../node/proxy-dial.ts');
    return dialThroughProxy(proxy, this.#options.crypto, options);
  }
}
