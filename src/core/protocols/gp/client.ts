/** GlobalProtect as the client sees it: the log-in, the configuration, a tunnel by ESP or over TLS, and the log-out. */
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import { espCapacity } from '../../esp/packet.ts';
import { encodeForm } from '../../http/form-urlencoded.ts';
import { parseXml } from '../../markup/xml.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { Path, PathFacts, TunnelMachine } from '../../tunnel/machine.ts';
import { DEFAULT_BASE_MTU, datagramOfLink, MIN_BASE_MTU, minTunnelMtu } from '../../tunnel/mtu.ts';
import type { Millis } from '../../tunnel/packet.ts';
import type { ScriptOption } from '../../tunnel/script-options.ts';
import { formatIp, type IpAddress, sameIp } from '../../wire/ip-address.ts';
import { printable, utf8 } from '../../wire/text.ts';
import type { ClientProtocol, ProtocolSettings } from '../client-protocol.ts';
import { tunnelMtu } from '../stream-mtu.ts';
import { reportHost } from './client-host-report.ts';
import { GpHttp, platformOf } from './client-http.ts';
import { earliest, GpClientTunnel, type GpClientTunnelOptions } from './client-tunnel.ts';
import { type GpConfiguration, parseConfiguration } from './configuration.ts';
import { HEADER_LENGTH } from './frame.ts';
import { CIPHERS, MACS } from './ipsec.ts';
import { login } from './login.ts';
import { PATHS } from './paths.ts';
import { XML_LIMITS } from './prelogin.ts';
import { type CookieFields, parseSessionCookie } from './session-cookie.ts';

/** Gateways that ask for 6.1.4 or later are common (spec 9.1). */
const APP_VERSION = '6.3.3-619';

const DEFAULT_DPD = 10_000;

/** A gateway that wants reports wants one each hour, where no portal has said how often: with a new configuration, a minute before (spec 11). */
const DEFAULT_REPORT_INTERVAL = 3_600_000;
const REPORT_AHEAD = 60_000;
/** Of what the user wants. */
const MIN_CHOSEN_INTERVAL = 10_000;

export class GpClient implements ClientProtocol {
  readonly id = 'gp';
  readonly title = 'GlobalProtect';
  readonly startsOnStream: boolean;
  readonly scriptOptions: readonly ScriptOption[] = [
    ['split-exclude', 'excludeIpv4'],
    ['split-include', 'includeIpv4'],
    ['search', 'domains'],
    ['WINS', 'nbns'],
    ['DNS', 'dns'],
    ['ipaddr6', 'ipv6'],
    ['netmask', 'ipv4Netmask'],
    ['ipaddr', 'ipv4'],
  ];
  readonly #settings: ProtocolSettings;
  /** Of the portal, where the log-in was at one. */
  #reportInterval = DEFAULT_REPORT_INTERVAL;

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
    this.startsOnStream = !settings.usesDatagrams;
  }

  get #version(): string {
    return this.#settings.client.chosenVersion ?? APP_VERSION;
  }

  async login(io: LoginIo, target: Target): Promise<Credential> {
    const { client, wantsIpv6, user } = this.#settings;
    const options = { client, wantsIpv6, ...(user !== undefined && { user }) };
    const { credential, reportInterval = DEFAULT_REPORT_INTERVAL } = await login(io, target, options);
    this.#reportInterval = reportInterval;
    return credential;
  }

  async open(io: LoginIo, credential: Credential, previous: TunnelConfig | undefined): Promise<TunnelMachine> {
    const { crypto, log, client, dpd = DEFAULT_DPD } = this.#settings;
    const cookie = parseSessionCookie(credential.cookie);
    const http = new GpHttp(io, credential.gateway, client);
    const configuration = await this.#fetchConfiguration(http, cookie, previous);
    const { config, lifetime, tunnelPath } = configuration;
    const isReported = await reportHost({ io, http, client, clientVersion: this.#version, cookie, config });
    const renewAfter = earliest(configuration.renewAfter, isReported ? this.#reportAfter : undefined);
    return new GpClientTunnel({
      ...{ crypto, log, dpd, config, request: tunnelRequest(tunnelPath, cookie) },
      ...this.#esp(configuration, io.connection().remote.address),
      mtuOf: (facts, kind) => this.#mtuOf(configuration, facts, kind),
      ...(lifetime !== undefined && { lifetime }),
      ...(renewAfter !== undefined && { renewAfter }),
    });
  }

  get #reportAfter(): Millis {
    const { hostReportInterval: chosen } = this.#settings;
    return chosen === undefined ? this.#reportInterval - REPORT_AHEAD : Math.max(chosen, MIN_CHOSEN_INTERVAL);
  }

  #esp({ esp }: GpConfiguration, address: IpAddress): Pick<GpClientTunnelOptions, 'esp'> {
    if (!this.#settings.usesDatagrams || esp === undefined) return {};
    if (typeof esp !== 'string') return { esp: { ...esp, address } };
    this.#settings.log.log('warn', 'ESP cannot be used', { reason: esp });
    return {};
  }

  /** The user's word, the gateway's, or what the way to it holds. */
  #mtuOf({ mtu, esp, config }: GpConfiguration, facts: PathFacts, kind: Path['kind']): number {
    const { mtu: wished = mtu, baseMtu } = this.#settings;
    if (wished !== undefined) return wished;
    if (kind === 'stream' || esp === undefined || typeof esp === 'string') return tunnelMtu(this.#settings, facts, HEADER_LENGTH);
    const linkMtu = Math.max(baseMtu ?? facts.pathMtu ?? DEFAULT_BASE_MTU, MIN_BASE_MTU);
    return Math.max(
      espCapacity(datagramOfLink(linkMtu, facts.remote.address.family), esp.toGateway.mac),
      minTunnelMtu(config.ipv6 !== undefined),
    );
  }

  /** Spec 14: a session whose fields are not all the same stays alive, and that is said. */
  async logOut(io: LoginIo, credential: Credential): Promise<void> {
    const body = encodeForm([...parseSessionCookie(credential.cookie)]);
    const http = new GpHttp(io, credential.gateway, this.#settings.client);
    const answer = await http.post(PATHS.logOut, body, '…');
    const isOver = answer.status === 200 && parseXml(answer.body, XML_LIMITS).attributes.get('status') === 'success';
    if (!isOver) throw new PeerRefusedError('The gateway did not end the session.');
  }

  /** Spec 9.1. On a reconnect the address is asked for again. */
  async #fetchConfiguration(http: GpHttp, cookie: CookieFields, previous: TunnelConfig | undefined): Promise<GpConfiguration> {
    const { client, wantsIpv6, log } = this.#settings;
    const { clientos, osVersion } = platformOf(client);
    const plain = [
      ...([
        ['client-type', '1'],
        ['protocol-version', 'p1'],
        ['internal', 'no'],
        ['app-version', this.#version],
      ] as const),
      ...([
        ['ipv6-support', wantsIpv6 ? 'yes' : 'no'],
        ['clientos', clientos],
        ['os-version', osVersion],
      ] as const),
      ...([
        ['hmac-algo', MACS.join(',')],
        ['enc-algo', CIPHERS.join(',')],
      ] as const),
    ] as const;
    const wished =
      previous === undefined
        ? []
        : ([
            ['preferred-ip', previous.ipv4 === undefined ? '' : formatIp(previous.ipv4.address)],
            ['preferred-ipv6', previous.ipv6 === undefined ? '' : formatIp(previous.ipv6.address)],
          ] as const);
    const fields = [...cookie].filter(([name]) => previous === undefined || !name.startsWith('preferred-'));
    const answer = await http.post(PATHS.configuration, encodeForm([...plain, ...wished, ...fields]), `${encodeForm(plain)}&…`);
    if (answer.status !== 200) throw refusal('the request for its configuration', answer);
    const configuration = parseConfiguration(answer.body, wantsIpv6);
    for (const { problem, field, text } of configuration.warnings) log.log('warn', 'configuration value', { problem, field, text });
    const own = configuration.config.ipv4;
    if (previous?.ipv4 !== undefined && (own === undefined || !sameIp(own.address, previous.ipv4.address))) {
      log.log('warn', 'the address has changed');
    }
    return configuration;
  }
}

function tunnelRequest(path: string, cookie: CookieFields): Uint8Array {
  const query = encodeForm([
    ['authcookie', cookie.get('authcookie') ?? ''],
    ['user', cookie.get('user') ?? ''],
  ]);
  return utf8(`GET ${path}?${query} HTTP/1.1\r\n\r\n`);
}

function refusal(what: string, { status, reason }: { readonly status: number; readonly reason: string }): Error {
  const said = `The gateway answered ${what} with ${status} ${printable(reason)}.`;
  return status >= 400 && status < 500 ? new PeerRefusedError(said) : new PeerMisbehavedError(said);
}
