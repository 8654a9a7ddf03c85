/** Fortinet as the client sees it: the log-in, the configuration, a tunnel over PPP, and the log-out. */
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { DtlsClient } from '../../dtls/client.ts';
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import { type DatagramWay, PppClientTunnel } from '../../ppp/client-tunnel.ts';
import { DatagramCarrier } from '../../ppp/datagram-carrier.ts';
import { fortinetEncapsulation } from '../../ppp/encapsulation.ts';
import type { DatagramPrologue } from '../../ppp/prologue.ts';
import type { Secret } from '../../secret.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { TunnelMachine } from '../../tunnel/machine.ts';
import type { ScriptOption } from '../../tunnel/script-options.ts';
import type { IpAddress } from '../../wire/ip-address.ts';
import { printable } from '../../wire/text.ts';
import type { ClientProtocol, ProtocolSettings } from '../client-protocol.ts';
import { datagramCredentials } from '../datagram-credentials.ts';
import { tunnelMtu } from '../stream-mtu.ts';
import { FortinetHttp, USER_AGENT } from './client-http.ts';
import { type FortinetConfiguration, parseConfiguration } from './configuration.ts';
import { parseServerHello, renderClientHello } from './dtls-hello.ts';
import { login } from './login.ts';
import { PATHS } from './paths.ts';
import { parseSessionCookie, SESSION_COOKIE } from './session-cookie.ts';
import { TunnelRequest } from './tunnel-request.ts';

export class FortinetClient implements ClientProtocol {
  readonly id = 'fortinet';
  readonly title = 'Fortinet';
  readonly startsOnStream: boolean;
  readonly scriptOptions: readonly ScriptOption[] = [
    ['search', 'domains'],
    ['ipaddr6', 'ipv6Network'],
    ['DNS', 'dnsIpv6'], // each family's in its own part of the configuration
    ['ipaddr', 'ipv4'],
    ['DNS', 'dnsIpv4'],
  ];
  readonly #settings: ProtocolSettings;
  /** Of the session: some gateways let the cookie die when they are asked again (spec 6). */
  #configuration: ReceivedConfiguration | undefined;

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
    this.startsOnStream = !settings.usesDatagrams;
  }

  login(io: LoginIo, target: Target): Promise<Credential> {
    const { client, hostCheckWords } = this.#settings;
    this.#configuration = undefined;
    return login(io, target, { client, ...(hostCheckWords !== undefined && { hostCheckWords }) });
  }

  async open(io: LoginIo, credential: Credential, previous: TunnelConfig | undefined): Promise<TunnelMachine> {
    const cookie = parseSessionCookie(credential.cookie);
    this.#configuration ??= await this.#fetchConfiguration(io, credential, cookie);
    return this.#tunnel(io, { credential, cookie, received: this.#configuration, isReconnect: previous !== undefined });
  }

  async logOut(io: LoginIo, credential: Credential): Promise<void> {
    const answer = await this.#http(io, credential, parseSessionCookie(credential.cookie)).get(PATHS.logOut, { fresh: true });
    if (answer.status >= 400)
      throw new PeerRefusedError(`The gateway answered the log-out with ${answer.status} ${printable(answer.reason)}.`);
  }

  #http(io: LoginIo, { gateway }: Credential, cookie: Secret): FortinetHttp {
    const http = new FortinetHttp(io, gateway, this.#settings.client);
    http.jar.set(SESSION_COOKIE, cookie);
    return http;
  }

  /** Spec 3.1. Only who asks for both families gets both. */
  async #fetchConfiguration(io: LoginIo, credential: Credential, cookie: Secret): Promise<ReceivedConfiguration> {
    const { wantsIpv6, log } = this.#settings;
    const path = wantsIpv6 ? `${PATHS.configuration}?dual_stack=1` : PATHS.configuration;
    const { status, reason, body } = await this.#http(io, credential, cookie).get(path);
    if (status >= 300 && status < 500) {
      throw new PeerRefusedError(`The gateway does not take the cookie (${status} ${printable(reason)}). Log in again.`);
    }
    if (status !== 200)
      throw new PeerMisbehavedError(`The gateway answered the request for its configuration with ${status} ${printable(reason)}.`);
    const configuration = parseConfiguration(body);
    const { warnings, firmware, hasDatagrams } = configuration;
    for (const { problem, field, text } of warnings) log.log('warn', 'configuration value', { problem, field, text });
    log.log('debug', 'configuration received', { dtls: hasDatagrams, ...(firmware !== undefined && { firmware }) });
    return { configuration, at: io.now(), remote: io.connection().remote.address };
  }

  #tunnel(io: LoginIo, { credential, cookie, received, isReconnect }: TunnelParts): PppClientTunnel {
    const { crypto, log, client, wantsIpv6, dpd = received.configuration.heartbeat } = this.#settings;
    const { config, lifetime } = received.configuration;
    const { ipv4, ipv6, ...others } = config;
    const own = wantsIpv6 && ipv6 !== undefined ? { ipv6 } : {};
    return new PppClientTunnel({
      ...{ crypto, log, isReconnect },
      encapsulation: fortinetEncapsulation('client'),
      network: {
        role: 'client',
        ...(ipv4 !== undefined && { ipv4: { address: ipv4.address, asksServers: config.dns.length === 0 } }),
        ...own,
      },
      config: { ...others, ...(ipv4 !== undefined && { ipv4 }), ...own },
      ...(lifetime !== undefined && { lifetime: received.at + lifetime - io.now() }),
      mtuOf: (facts) => tunnelMtu(this.#settings, facts, HEADER_LENGTH),
      ...this.#datagramWay({ credential, cookie, received, isReconnect }),
      ...(dpd !== undefined && { dpd }),
      stream: () => new TunnelRequest(credential.gateway, client.chosenUserAgent ?? USER_AGENT, cookie),
    });
  }

  /** Spec 5. TLS is used where the gateway has no UDP, or shows another key there. */
  #datagramWay({ credential: { gateway }, cookie, received }: TunnelParts): { datagram?: DatagramWay } {
    const { crypto, usesDatagrams } = this.#settings;
    const credentials = datagramCredentials(this.#settings, gateway);
    if (!usesDatagrams || !received.configuration.hasDatagrams || credentials === undefined) return {};
    return {
      datagram: {
        ...{ port: gateway.port, address: received.remote },
        open: (path, { engine }, link) =>
          new DatagramCarrier({
            ...{ path, link, isCarried: engine, prologue: datagramPrologue(cookie) },
            dtls: new DtlsClient({ crypto, version: '1.2', credentials }),
          }),
      },
    };
  }
}

/** Of the frame, `FF 03` and the protocol (spec "PPP", section 10.2). */
const HEADER_LENGTH = 10;

function datagramPrologue(cookie: Secret): DatagramPrologue {
  return {
    hello: renderClientHello(cookie.reveal()),
    read: (datagram) => {
      const answer = parseServerHello(datagram);
      if (answer !== undefined) return answer === 'ok' ? 'accepted' : 'refused';
      return isFrame(datagram) ? 'frame' : 'unknown';
    },
  };
}

/** Spec "PPP", section 2.4. */
function isFrame(datagram: Uint8Array): boolean {
  const u16 = (offset: number) => ((datagram[offset] ?? 0) << 8) | (datagram[offset + 1] ?? 0);
  return u16(2) === 0x5050 && u16(0) === datagram.length && u16(4) === datagram.length - 6;
}

/** What a gateway has said, and when: in milliseconds since 1970. */
interface ReceivedConfiguration {
  readonly configuration: FortinetConfiguration;
  readonly at: number;
  /** Who said it: UDP goes there too. */
  readonly remote: IpAddress;
}

interface TunnelParts {
  readonly credential: Credential;
  readonly cookie: Secret;
  readonly received: ReceivedConfiguration;
  readonly isReconnect: boolean;
}
