/** AnyConnect as the client sees it: the log-in, and a tunnel for its cookie. */
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import type { CompressionName } from '../../compress/compressor.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { TunnelMachine } from '../../tunnel/machine.ts';
import type { ClientProtocol, DatagramCiphers, ProtocolSettings } from '../client-protocol.ts';
import { AnyConnectTunnel } from './client-tunnel.ts';
import { PSK_NEGOTIATE, suiteNames } from './dtls-suites.ts';
import { login } from './login.ts';
import { parseSessionCookie } from './session-cookie.ts';
import { Strap } from './strap.ts';
import type { DatagramWishes } from './tunnel-options.ts';

/** Preferred first, as the reference client offers them. */
const ENCODINGS: Readonly<Record<ProtocolSettings['compression'], readonly CompressionName[]>> = {
  none: [],
  stateless: ['oc-lz4', 'lzs'],
  all: ['oc-lz4', 'lzs', 'deflate'],
};

export class AnyConnectClient implements ClientProtocol {
  readonly id = 'anyconnect';
  readonly title = 'Cisco AnyConnect or OpenConnect';
  readonly startsOnStream = true;
  readonly #settings: ProtocolSettings;
  #strap: Strap | undefined;
  /** The key has announced itself at a gateway: from the next CONNECT on it is replaced each time (spec 3.14). */
  #rotatesKey = false;

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
  }

  async login(io: LoginIo, target: Target): Promise<Credential> {
    const { crypto, client, usesXml, httpAuth, bearerToken } = this.#settings;
    this.#strap = Strap.generate(crypto);
    this.#rotatesKey = true;
    const options = { client, usesXml, strap: this.#strap, httpAuth, ...(bearerToken !== undefined && { bearerToken }) };
    return login(io, target, options);
  }

  async open(_io: LoginIo, credential: Credential, previous: TunnelConfig | undefined): Promise<TunnelMachine> {
    const { crypto, log, client, compression, wantsIpv6, mtu, baseMtu, dpd } = this.#settings;
    const { session, strapKey } = parseSessionCookie(credential.cookie);
    if (this.#strap === undefined && strapKey !== undefined) this.#strap = Strap.restore(crypto, strapKey);
    else if (this.#rotatesKey) this.#strap?.rotate();
    this.#rotatesKey = true;
    const strap = this.#strap;
    const encodings = ENCODINGS[compression];
    // Most tunnels do not compress, and fewer with deflate: it brings a library with it.
    const deflate = encodings.includes('deflate') ? await import('../../compress/deflate.ts') : undefined;
    return new AnyConnectTunnel({
      ...{ crypto, log, client, wantsIpv6, encodings, target: credential.gateway, cookie: session },
      ...(strap !== undefined && { strap: (finished: Uint8Array) => strap.prove(finished) }),
      ...(deflate !== undefined && { createDeflate: deflate.createDeflate }),
      ...(mtu !== undefined && { mtu }),
      ...(baseMtu !== undefined && { baseMtu }),
      ...(dpd !== undefined && { dpd }),
      ...(previous !== undefined && { previous }),
      ...this.#datagramWishes(),
    });
  }

  #datagramWishes(): { datagram?: DatagramWishes } {
    const { usesDatagrams, datagramCiphers: ciphers } = this.#settings;
    if (!usesDatagrams) return {};
    const { pskSuites } = ciphers;
    return {
      datagram: {
        suites: offered(ciphers, ciphers.suites, [PSK_NEGOTIATE, ...suiteNames('X-DTLS-CipherSuite')]),
        suites12: offered(ciphers, ciphers.suites12, suiteNames('X-DTLS12-CipherSuite')),
        ...(pskSuites !== undefined && { pskSuites }),
      },
    };
  }
}

/** Of what is known, what the user named, in that order. Naming one list empties the other. SHA-1 is offered by name or on request only. */
function offered(ciphers: DatagramCiphers, named: readonly string[] | undefined, known: readonly string[]): readonly string[] {
  if (named !== undefined) return named.filter((name) => known.includes(name));
  if (ciphers.suites !== undefined || ciphers.suites12 !== undefined) return [];
  return known.filter((name) => ciphers.allowsLegacy || !name.endsWith('-SHA'));
}
