/** Opens TLS connections to a gateway: directly or through a proxy, the certificate judged by {@link ServerTrust}. */
import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { Target } from '../core/auth/login-io.ts';
import type { CryptoProvider } from '../core/crypto/provider.ts';
import type { Logger } from '../core/log.ts';
import type { IpAddress } from '../core/wire/ip-address.ts';
import type { ProxySettings } from '../node/proxy-dial.ts';
import { type DialOptions, dialTcp } from '../node/tcp-dial.ts';
import { TlsConnection } from '../node/tls-connection.ts';
import type { ServerTrust } from './server-trust.ts';

export interface GatewayDialerOptions {
  readonly proxy?: ProxySettings;
  /** The user's own addresses for host names. */
  readonly overrides: ReadonlyMap<string, IpAddress>;
  readonly context: SecureContext;
  readonly trust: ServerTrust;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
}

export class GatewayDialer {
  readonly #options: GatewayDialerOptions;

  constructor(options: GatewayDialerOptions) {
    this.#options = options;
  }

  /** With a proxy, the way leads through it, and UDP cannot follow. */
  get usesProxy(): boolean {
    return this.#options.proxy !== undefined;
  }

  /** `address`: connect there, whatever the name resolves to. */
  async dial(target: Target, signal: AbortSignal, address?: IpAddress): Promise<TlsConnection> {
    const { proxy, overrides, context, trust, log } = this.#options;
    const { host, port } = target;
    const options = { host, port, overrides, signal, log, ...(address !== undefined && proxy === undefined && { address }) };
    const socket = proxy === undefined ? await dialTcp(options) : await this.#dialProxy(proxy, options);
    log.log('info', 'tls negotiating', { host });
    const connection = await TlsConnection.open(socket, { host, context, signal, judge: (presented) => trust.judge(presented, port) });
    log.log('info', 'tls connected', { host, cipherSuite: connection.cipherSuite });
    return connection;
  }

  async #dialProxy(proxy: ProxySettings, options: DialOptions): Promise<Socket> {
    const { dialThroughProxy } = await import('../node/proxy-dial.ts');
    return dialThroughProxy(proxy, this.#options.crypto, options);
  }
}
