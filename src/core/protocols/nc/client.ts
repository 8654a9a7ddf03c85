/** Network Connect as the client sees it: the log-in, a tunnel over TLS and ESP, and the log-out. */
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { PeerRefusedError } from '../../errors.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { TunnelMachine } from '../../tunnel/machine.ts';
import type { ScriptOption } from '../../tunnel/script-options.ts';
import { printable } from '../../wire/text.ts';
import type { ClientProtocol, ProtocolSettings } from '../client-protocol.ts';
import { PageHttp } from '../page-http.ts';
import { NcClientTunnel } from './client-tunnel.ts';
import { login, NCP_VERSION } from './login.ts';
import { PATHS } from './paths.ts';
import { parseSessionCookie } from './session-cookie.ts';
import { renderTunnelRequest } from './tunnel-request.ts';

export class NcClient implements ClientProtocol {
  readonly id = 'nc';
  readonly title = 'Juniper Network Connect';
  readonly startsOnStream = true;
  readonly scriptOptions: readonly ScriptOption[] = [
    ['ipaddr', 'gatewayIpv4'], // observed: the gateway's, by the name of the client's
    ['netmask', 'ipv4Netmask'],
    ['ipaddr', 'ipv4'],
    ['WINS', 'nbns'],
    ['split-exclude', 'excludeIpv4ByNetmask'],
    ['split-include', 'includeIpv4ByNetmask'],
    ['search', 'domains'],
    ['DNS', 'dns'],
  ];
  readonly #settings: ProtocolSettings;

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
  }

  login(io: LoginIo, target: Target): Promise<Credential> {
    return login(io, target, { userAgent: this.#userAgent, hostname: this.#settings.client.localHostname });
  }

  async open(io: LoginIo, credential: Credential, previous: TunnelConfig | undefined): Promise<TunnelMachine> {
    const { crypto, log, client, dpd, usesDatagrams, datagramCiphers } = this.#settings;
    const cookies = this.#http(io, credential).jar.header();
    return new NcClientTunnel({
      ...{ log, previous, hostname: client.localHostname },
      request: renderTunnelRequest(credential.gateway, this.#userAgent, cookies),
      esp: usesDatagrams ? { crypto, allowsLegacy: datagramCiphers.allowsLegacy, ...(dpd !== undefined && { dpd }) } : undefined,
    });
  }

  async logOut(io: LoginIo, credential: Credential): Promise<void> {
    const answer = await this.#http(io, credential).get(PATHS.logOut, { fresh: true });
    if (answer.status >= 400)
      throw new PeerRefusedError(`The gateway answered the log-out with ${answer.status} ${printable(answer.reason)}.`);
  }

  get #userAgent(): string {
    const { chosenUserAgent, userAgent } = this.#settings.client;
    return chosenUserAgent ?? userAgent;
  }

  /** Throws MisuseError for a cookie that is none. */
  #http(io: LoginIo, { gateway, cookie }: Credential): PageHttp {
    const http = new PageHttp(io, gateway, this.#userAgent, NCP_VERSION);
    for (const [name, value] of parseSessionCookie(cookie)) http.jar.set(name, value);
    return http;
  }
}
