/** Array as the client sees it: the log-in, a tunnel over TLS and UDP, and the log-out. */
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { PeerRefusedError } from '../../errors.ts';
import { MIN_MTU_IPV4, type TunnelConfig } from '../../tunnel/config.ts';
import type { TunnelMachine } from '../../tunnel/machine.ts';
import type { ScriptOption } from '../../tunnel/script-options.ts';
import { printable } from '../../wire/text.ts';
import type { ClientProtocol, ProtocolSettings } from '../client-protocol.ts';
import { datagramCredentials } from '../datagram-credentials.ts';
import { PageHttp } from '../page-http.ts';
import type { DatagramWishes } from './client-datagrams.ts';
import { renderClientId } from './client-id.ts';
import { ArrayClientTunnel } from './client-tunnel.ts';
import { TUNNEL_MTU } from './configuration.ts';
import { login } from './login.ts';
import { PATHS } from './paths.ts';
import { parseSessionCookie } from './session-cookie.ts';
import { renderTunnelRequest, TunnelRequests } from './tunnel-request.ts';

const CLIENT_ID_BYTES = 16;

/** Where nobody says what the way to the gateway carries. */
const DEFAULT_LINK_MTU = 1500;
/** What IP, UDP and DTLS, or TCP and TLS, put around a packet, in round figures: 1400 bytes pass where 1500 do. */
const OVERHEAD = 100;

export class ArrayClient implements ClientProtocol {
  readonly id = 'array';
  readonly title = 'Array Networks';
  readonly startsOnStream = true;
  readonly scriptOptions: readonly ScriptOption[] = [
    ['search', 'domains'],
    ['DNS', 'dns'],
    ['split-exclude', 'excludeIpv4ByNetmask'], // "split-include" of openconnect's, which nobody could tell from the others
    ['split-include', 'includeIpv4ByNetmask'],
    ['client_ipv4_mask', 'ipv4Netmask'],
    ['client_ipv4', 'ipv4'],
  ];
  readonly #settings: ProtocolSettings;
  /** Of the session: the same for each of its tunnels, and another after each log-in (spec 3, 10). */
  #clientId: string | undefined;
  #requests = new TunnelRequests();

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
  }

  login(io: LoginIo, target: Target): Promise<Credential> {
    this.#clientId = undefined;
    this.#requests = new TunnelRequests();
    return login(io, target, this.#userAgent);
  }

  async open(_io: LoginIo, { gateway, cookie }: Credential, previous: TunnelConfig | undefined): Promise<TunnelMachine> {
    const { crypto, log, client, dpd } = this.#settings;
    this.#clientId ??= renderClientId(crypto.randomBytes(CLIENT_ID_BYTES));
    const cookies = parseSessionCookie(cookie).map(({ name, value }) => `${name}=${value}`);
    const wish = { userAgent: this.#userAgent, cookies: cookies.join('; '), clientId: this.#clientId, hostname: client.localHostname };
    return new ArrayClientTunnel({
      log,
      request: renderTunnelRequest(gateway, wish),
      requests: this.#requests,
      mtu: this.#mtu,
      datagrams: this.#datagrams(gateway, this.#clientId),
      ...(dpd !== undefined && { dpd }),
      ...(previous !== undefined && { previous }),
    });
  }

  /** On a connection of its own: the one before was the tunnel's (spec 7). */
  async logOut(io: LoginIo, { gateway, cookie }: Credential): Promise<void> {
    const http = new PageHttp(io, gateway, this.#userAgent);
    for (const { name, value } of parseSessionCookie(cookie)) http.jar.set(name, value);
    const { status, reason } = await http.get(PATHS.logOut, { fresh: true });
    if (status >= 400) throw new PeerRefusedError(`The gateway answered the log-out with ${status} ${printable(reason)}.`);
  }

  get #mtu(): number {
    const { mtu, baseMtu = DEFAULT_LINK_MTU } = this.#settings;
    return mtu ?? Math.min(Math.max(baseMtu - OVERHEAD, MIN_MTU_IPV4), TUNNEL_MTU);
  }

  /** Spec 6.2: DTLS 1.0 is for who allows what is as old. */
  #datagrams(gateway: Target, clientId: string): DatagramWishes | string {
    const { crypto, usesDatagrams, datagramCiphers, baseMtu } = this.#settings;
    if (!usesDatagrams) return 'it is not wanted';
    if (!datagramCiphers.allowsLegacy) return 'this protocol has DTLS 1.0 only, which is not allowed';
    const credentials = datagramCredentials(this.#settings, gateway);
    if (credentials === undefined) return 'DTLS with certificates cannot be had here';
    return { crypto, clientId, credentials, ...(baseMtu !== undefined && { linkMtu: baseMtu }) };
  }

  get #userAgent(): string {
    const { userAgent, chosenUserAgent = userAgent } = this.#settings.client;
    return chosenUserAgent;
  }
}
