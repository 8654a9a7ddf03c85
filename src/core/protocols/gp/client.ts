/** GlobalProtect as the client sees it: the log-in, the configuration, a tunnel over TLS, and the log-out. */
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import { encodeForm } from '../../http/form-urlencoded.ts';
import { parseXml } from '../../markup/xml.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { TunnelMachine } from '../../tunnel/machine.ts';
import { formatIp, sameIp } from '../../wire/ip-address.ts';
import { printable, toHex, utf8 } from '../../wire/text.ts';
import type { ClientProtocol, ProtocolSettings } from '../client-protocol.ts';
import { tunnelMtu } from '../ppp-client.ts';
import { GpHttp, platformOf } from './client-http.ts';
import { GpClientTunnel } from './client-tunnel.ts';
import { type GpConfiguration, parseConfiguration } from './configuration.ts';
import { HEADER_LENGTH } from './frame.ts';
import { login } from './login.ts';
import { PATHS } from './paths.ts';
import { childText, XML_LIMITS } from './prelogin.ts';
import { COOKIE_FIELDS, type CookieField, type CookieFields, parseSessionCookie, renderSessionCookie } from './session-cookie.ts';

/** Gateways that ask for 6.1.4 or later are common (spec 9.1). */
const APP_VERSION = '6.3.3-619';

const DEFAULT_DPD = 10_000;

export class GpClient implements ClientProtocol {
  readonly id = 'gp';
  readonly title = 'GlobalProtect';
  readonly startsOnStream = true;
  readonly #settings: ProtocolSettings;

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
  }

  login(io: LoginIo, target: Target): Promise<Credential> {
    const { client, wantsIpv6 } = this.#settings;
    return login(io, target, { client, wantsIpv6 });
  }

  async open(io: LoginIo, credential: Credential, previous: TunnelConfig | undefined): Promise<TunnelMachine> {
    const { log, dpd = DEFAULT_DPD } = this.#settings;
    const cookie = parseSessionCookie(credential.cookie);
    const http = new GpHttp(io, credential.gateway, this.#settings.client);
    const configuration = await this.#fetchConfiguration(http, cookie, previous);
    await this.#reportOnHost(http, cookie, configuration);
    const { config, mtu, lifetime, renewAfter, tunnelPath } = configuration;
    const { ipv6, ...others } = config;
    return new GpClientTunnel({
      ...{ log, dpd, request: tunnelRequest(tunnelPath, cookie) },
      config: { ...others, ...(ipv6 !== undefined && this.#settings.wantsIpv6 && { ipv6 }) },
      mtuOf: (facts) => this.#settings.mtu ?? mtu ?? tunnelMtu(this.#settings, facts, HEADER_LENGTH),
      ...(lifetime !== undefined && { lifetime }),
      ...(renewAfter !== undefined && { renewAfter }),
    });
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
        ['app-version', client.chosenVersion ?? APP_VERSION],
      ] as const),
      ...([
        ['ipv6-support', wantsIpv6 ? 'yes' : 'no'],
        ['clientos', clientos],
        ['os-version', osVersion],
      ] as const),
      ...([
        ['hmac-algo', 'sha256,sha1'],
        ['enc-algo', 'aes-256-cbc,aes-128-cbc'],
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
    const configuration = parseConfiguration(answer.body);
    for (const { problem, field, text } of configuration.warnings) log.log('warn', 'configuration value', { problem, field, text });
    const own = configuration.config.ipv4;
    if (previous?.ipv4 !== undefined && (own === undefined || !sameIp(own.address, previous.ipv4.address))) {
      log.log('warn', 'the address has changed');
    }
    return configuration;
  }

  /** Spec 12: whether a report is wanted. There is none to send yet, and what comes of that is said. */
  async #reportOnHost(http: GpHttp, cookie: CookieFields, { config }: GpConfiguration): Promise<void> {
    const { crypto, log } = this.#settings;
    const fixed = new Map(COOKIE_FIELDS.filter(isLabel).flatMap((name) => (cookie.has(name) ? [[name, cookie.get(name) ?? '']] : [])));
    const label = toHex(crypto.hash('md5', utf8(renderSessionCookie(fixed).reveal())));
    const body = encodeForm([
      ['client-role', 'global-protect-full'],
      ...cookie,
      ...(config.ipv4 === undefined ? [] : [['client-ip', formatIp(config.ipv4.address)] as const]),
      ...(config.ipv6 === undefined ? [] : [['client-ipv6', formatIp(config.ipv6.address)] as const]),
      ['md5', label],
    ]);
    const answer = await http.post(PATHS.reportCheck, body, '…');
    if (answer.status !== 200) throw refusal('the question for a host report', answer);
    if (childText(parseXml(answer.body, XML_LIMITS), 'hip-report-needed') === 'yes') {
      log.log('warn', 'the gateway wants a host report (HIP), which does not exist yet in Sallyport: it may restrict what you reach');
    }
  }
}

/** Of the label: what stays the same for a user, a host and a gateway. */
function isLabel(name: CookieField): boolean {
  return name !== 'authcookie' && !name.startsWith('preferred-');
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
