/** Pulse as the client sees it: the log-in, a tunnel, and the log-out. */
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { PeerRefusedError } from '../../errors.ts';
import { hostHeader } from '../../http/url.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { TunnelMachine } from '../../tunnel/machine.ts';
import type { ScriptOption } from '../../tunnel/script-options.ts';
import { printable } from '../../wire/text.ts';
import type { ClientProtocol, ProtocolSettings } from '../client-protocol.ts';
import { ClientTunnel } from './client-tunnel.ts';
import { comeBack, type LoginOptions, login } from './login.ts';
import { LOG_OUT_PATH } from './paths.ts';
import { parseSessionCookie, SESSION_COOKIE } from './session-cookie.ts';
import { upgradeHeaders } from './upgrade.ts';

export class PulseClient implements ClientProtocol {
  readonly id = 'pulse';
  readonly title = 'Pulse';
  readonly startsOnStream = true;
  readonly scriptOptions: readonly ScriptOption[] = [
    ['split-include6', 'includeIpv6'],
    ['ip6netmask', 'ipv6Network'],
    ['ip6addr', 'ipv6'],
    ['gateway', 'gatewayIpv4'],
    ['netmask', 'ipv4Netmask'],
    ['ipaddr', 'ipv4'],
    ['WINS', 'nbns'],
    ['search', 'domains'],
    ['DNS', 'dns'],
    ['split-exclude', 'excludeIpv4ByNetmask'],
    ['split-include', 'includeIpv4ByNetmask'],
  ];
  readonly #settings: ProtocolSettings;
  #tunnel: ClientTunnel | undefined;
  /** Whether the gateway asks for EAP-TTLS; undefined: nobody knows. */
  #usesTtls: boolean | undefined;

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
  }

  async login(io: LoginIo, target: Target): Promise<Credential> {
    const { credential, usesTtls } = await login(io, target, this.#loginOptions);
    this.#usesTtls = usesTtls;
    return credential;
  }

  async open(io: LoginIo, { gateway, cookie }: Credential, _previous: TunnelConfig | undefined): Promise<TunnelMachine> {
    const { log, client, crypto, datagramCiphers, mtu, baseMtu, dpd, usesDatagrams, wantsIpv6 } = this.#settings;
    const userAgent = this.#userAgent;
    const headers = upgradeHeaders(hostHeader(gateway), userAgent);
    const session = parseSessionCookie(cookie);
    // Only the log-in's world has TLS for EAP-TTLS: where the gateway asks for that, the tunnel goes on where that world has led.
    if (this.#tunnel?.wantsTtls === true) this.#usesTtls = true;
    const isLed = io.innerTls !== undefined && (this.#usesTtls ?? io.hasClientCertificate);
    const exchange = isLed ? await comeBack(io, gateway, this.#loginOptions, session) : undefined;
    this.#tunnel = new ClientTunnel({
      ...{ log, userAgent, wantsIpv6, hostname: client.localHostname, cookie: session },
      ...(exchange !== undefined && { exchange }),
      ...{ ...(mtu !== undefined && { mtu }), ...(baseMtu !== undefined && { baseMtu }) },
      ...(usesDatagrams && { datagram: { crypto, allowsLegacy: datagramCiphers.allowsLegacy, ...(dpd !== undefined && { dpd }) } }),
      request: { method: 'GET', target: gateway.path, version: '1.1', headers, body: new Uint8Array(0) },
    });
    return this.#tunnel;
  }

  /** Spec 11: where there was no tunnel any more that could say it. */
  async logOut(io: LoginIo, { gateway, cookie }: Credential): Promise<void> {
    if (this.#tunnel?.hasLoggedOut === true) return;
    const { status, reason } = await io.http({
      method: 'GET',
      target: { ...gateway, path: LOG_OUT_PATH },
      headers: [
        ['Host', hostHeader(gateway)],
        ['User-Agent', this.#userAgent],
        ['Cookie', `${SESSION_COOKIE}=${parseSessionCookie(cookie).reveal()}`],
      ],
    });
    if (status >= 400) throw new PeerRefusedError(`The gateway answered the log-out with ${status} ${printable(reason)}.`);
  }

  get #loginOptions(): LoginOptions {
    return { userAgent: this.#userAgent, hostname: this.#settings.client.localHostname };
  }

  get #userAgent(): string {
    const { userAgent, chosenUserAgent } = this.#settings.client;
    return chosenUserAgent ?? userAgent;
  }
}
