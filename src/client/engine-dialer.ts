/**
 * Opens the tunnel's connection to a gateway inside the packet engine, where TLS costs a third.
 *
 * After a log-in it accepts only a key that the gateway has shown on that connection, of node:tls, which verified it: nothing is verified twice. Where there
 * was none (a session that starts with a cookie) the chain is verified here, by OpenSSL's same function. Whatever is in doubt, and a key that is another
 * one (a second machine behind the same name), is left to node:tls, which says so and may ask a person.
 */
import { setImmediate } from 'node:timers/promises';
import { DEFAULT_CIPHERS, DEFAULT_MAX_VERSION, DEFAULT_MIN_VERSION, type SecureContextOptions } from 'node:tls';
import type { Target } from '../core/auth/login-io.ts';
import { MisuseError, NetworkError, UnsupportedError } from '../core/errors.ts';
import { hostInUrl } from '../core/http/url.ts';
import type { Logger } from '../core/log.ts';
import { type IpAddress, parseIp } from '../core/wire/ip-address.ts';
import type { ClientIdentity } from '../node/credentials/client-identity.ts';
import type { EngineStream } from '../node/engine/engine-stream.ts';
import type { PacketEngine } from '../node/engine/packet-engine.ts';
import type { TlsSettings } from '../node/ffi/openssl-tls-context.ts';
import { dialTcp } from '../node/tcp-dial.ts';
import { TLS_FAILED } from '../node/tls-stream.ts';
import type { PresentedCertificate } from '../node/trust/verify-certificate.ts';
import type { ServerTrust } from './server-trust.ts';

export interface EngineDialerOptions {
  /** As in `DialOptions`. */
  readonly overrides: ReadonlyMap<string, string>;
  /** The name in the TLS hello, instead of the host's. */
  readonly sni?: string;
  /** As for node:tls: versions, ciphers, groups, signature algorithms. */
  readonly tls: SecureContextOptions;
  readonly identity?: ClientIdentity;
  readonly trust: ServerTrust;
}

export class EngineDialer {
  readonly #options: EngineDialerOptions;

  constructor(options: EngineDialerOptions) {
    this.#options = options;
  }

  /** Undefined if node:tls has to do it. `address`: connect there, whatever the name resolves to. */
  async dial(
    engine: Promise<PacketEngine | undefined>,
    target: Target,
    { signal, address, log }: { readonly signal: AbortSignal; readonly address: IpAddress | undefined; readonly log: Logger },
  ): Promise<EngineStream | undefined> {
    const { overrides, trust } = this.#options;
    const { host, port } = target;
    const ready = engine.catch(() => undefined); // without it there is another way
    if ((await Promise.race([ready, setImmediate('starting')])) === undefined) return undefined;
    const opening = dialTcp({ host, port, overrides, signal, log, ...(address !== undefined && { address }) });
    opening.catch(() => undefined); // waited for when there is an engine
    const running = await ready;
    if (running === undefined || !(await running.canOpenStreams().catch(() => false))) {
      void opening.then((socket) => socket.destroy()).catch(() => undefined);
      return undefined;
    }
    const isKnown = trust.knows(target);
    let stream: EngineStream | undefined;
    try {
      const socket = await opening;
      log.log('info', 'tls negotiating', { host: hostInUrl(host) });
      const tls = { ...this.#settings(host), ...(!isKnown && { authorities: trust.authorities() }) };
      stream = await running.openStream(socket, { host, tls, signal });
      if (isKnown ? trust.knows(target, stream.peerCertificate) : trust.admits(presentedBy(stream, host), port)) {
        log.log('info', 'tls connected', { host: hostInUrl(host), cipherSuite: stream.cipherSuite });
        return stream;
      }
      stream.destroy();
    } catch (error) {
      stream?.destroy();
      if (error instanceof NetworkError && error.code === TLS_FAILED) log.log('error', 'tls failed', { reason: error.message });
      // Settings that OpenSSL reads differently, no place: node:tls can do it all the same.
      if (!(error instanceof UnsupportedError || error instanceof MisuseError)) throw error;
    }
    return undefined;
  }

  #settings(host: string): TlsSettings {
    const { tls, identity, sni = host } = this.#options;
    const { minVersion = DEFAULT_MIN_VERSION, maxVersion = DEFAULT_MAX_VERSION, ciphers = DEFAULT_CIPHERS, ecdhCurve, sigalgs } = tls;
    return {
      minVersion,
      maxVersion,
      ciphers,
      ...(ecdhCurve !== undefined && { groups: ecdhCurve }),
      ...(sigalgs !== undefined && { signatures: sigalgs }),
      ...(parseIp(sni) === undefined && { serverName: sni }), // addresses are not for SNI: RFC 6066, section 3
      ...(identity !== undefined && { identity: { chain: identity.chain, key: identity.key.export({ type: 'pkcs8', format: 'der' }) } }),
    };
  }
}

function presentedBy({ verification: { chain, fault } }: EngineStream, host: string): PresentedCertificate {
  return { chain, host, authorizationError: fault };
}
