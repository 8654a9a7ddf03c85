/** F5 as the client sees it: the log-in, the resource and its options, a tunnel over PPP, and the log-out. */
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { DtlsClient } from '../../dtls/client.ts';
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import type { HttpResponse } from '../../http/message.ts';
import { type DatagramWay, PppClientTunnel, type PppClientTunnelOptions } from '../../ppp/client-tunnel.ts';
import { DatagramCarrier } from '../../ppp/datagram-carrier.ts';
import { f5Encapsulation, HDLC } from '../../ppp/encapsulation.ts';
import type { ClientNetwork } from '../../ppp/link-options.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { TunnelMachine } from '../../tunnel/machine.ts';
import type { ScriptOption } from '../../tunnel/script-options.ts';
import type { Cidr, IpAddress } from '../../wire/ip-address.ts';
import { printable } from '../../wire/text.ts';
import type { ClientProtocol, ProtocolSettings } from '../client-protocol.ts';
import { datagramCredentials } from '../datagram-credentials.ts';
import { PageHttp } from '../page-http.ts';
import { tunnelMtu } from '../stream-mtu.ts';
import { login } from './login.ts';
import { type F5Options, parseOptions } from './options-document.ts';
import { AS_XML, PATHS } from './paths.ts';
import { chosenResource, parseResources } from './resource-list.ts';
import { expiryOf, type F5Session, parseSessionCookie, SESSION_COOKIE, TIMING_COOKIE } from './session-cookie.ts';
import { DatagramRequest, renderTunnelRequest, type TunnelAnswer, TunnelRequest } from './tunnel-request.ts';

/** Of the frame, `FF 03` and the protocol (spec "PPP", section 10.2). */
const HEADER_LENGTH = 8;

export class F5Client implements ClientProtocol {
  readonly id = 'f5';
  readonly title = 'F5 BIG-IP';
  readonly startsOnStream: boolean;
  readonly scriptOptions: readonly ScriptOption[] = [
    ['ppp_ipv6', 'ipv6'],
    ['ppp_ipv4', 'ipv4'],
    ['search', 'domainsByCommas'],
    ['DNS', 'dns'],
    ['split-exclude', 'exclude'],
    ['split-include', 'include'],
  ];
  readonly #settings: ProtocolSettings;
  /** Of the session: a reconnect does not ask again (spec 6). */
  #received: ReceivedOptions | undefined;
  /** The addresses that the session has had. */
  #granted: TunnelAnswer | undefined;

  constructor(settings: ProtocolSettings) {
    this.#settings = settings;
    this.startsOnStream = !settings.usesDatagrams;
  }

  login(io: LoginIo, target: Target): Promise<Credential> {
    this.#received = undefined;
    this.#granted = undefined;
    return login(io, target, this.#userAgent);
  }

  async open(io: LoginIo, credential: Credential, previous: TunnelConfig | undefined): Promise<TunnelMachine> {
    const session = parseSessionCookie(credential.cookie);
    this.#received ??= await this.#fetchOptions(io, credential, session);
    return this.#tunnel({ io, credential, session, received: this.#received, isReconnect: previous !== undefined });
  }

  async logOut(io: LoginIo, credential: Credential): Promise<void> {
    const http = this.#http(io, credential, parseSessionCookie(credential.cookie));
    const answer = await http.get(`${PATHS.hangUp}?hangup_error=1`, { fresh: true });
    if (answer.status >= 400)
      throw new PeerRefusedError(`The gateway answered the log-out with ${answer.status} ${printable(answer.reason)}.`);
  }

  get #userAgent(): string {
    const { chosenUserAgent, userAgent } = this.#settings.client;
    return chosenUserAgent ?? userAgent;
  }

  #http(io: LoginIo, { gateway }: Credential, { id, timing }: F5Session): PageHttp {
    const http = new PageHttp(io, gateway, this.#userAgent);
    http.jar.set(SESSION_COOKIE, id);
    if (timing !== undefined) http.jar.set(TIMING_COOKIE, timing);
    return http;
  }

  async #fetchOptions(io: LoginIo, credential: Credential, session: F5Session): Promise<ReceivedOptions> {
    const { log } = this.#settings;
    const http = this.#http(io, credential, session);
    const resources = parseResources(bodyOf(await http.get(`${PATHS.resources}?${AS_XML}`), 'list of resources'));
    const resource = chosenResource(resources, this.#settings.resource);
    for (const other of resources) if (other !== resource) log.log('info', 'resource not used', { name: other.name });
    const options = parseOptions(bodyOf(await http.get(`${PATHS.options}?${resource.params}&${AS_XML}`), 'options'));
    for (const { problem, field, text } of options.warnings) log.log('warn', 'configuration value', { problem, field, text });
    log.log('info', 'configuration received', { resource: resource.name, dtls: options.datagram !== undefined, hdlc: options.usesHdlc });
    return { options, remote: io.connection().remote.address };
  }

  #tunnel({ io, credential, session, received, isReconnect }: TunnelParts): PppClientTunnel {
    const { options } = received;
    const { crypto, log, wantsIpv6, dpd, client } = this.#settings;
    const granted = () => this.#granted;
    const hasIpv6 = options.hasIpv6 && wantsIpv6;
    const wish = {
      ...{ sessionId: options.sessionId ?? session.id.reveal(), z: options.z, usesHdlc: options.usesHdlc },
      ...{ wantsIpv4: options.hasIpv4, wantsIpv6: hasIpv6, hostname: client.localHostname },
    };
    const request = renderTunnelRequest(credential.gateway, this.#userAgent, wish);
    const expiresAt = session.timing === undefined ? undefined : expiryOf(session.timing);
    // Addresses come with the answer to the request, so they are looked at when PPP begins.
    const network: ClientNetwork = {
      role: 'client',
      get ipv4() {
        return options.hasIpv4 ? ipv4Wish(options, granted()?.clientIpv4) : undefined;
      },
      get ipv6() {
        return hasIpv6 ? addressWish(granted()?.clientIpv6) : undefined;
      },
    } as ClientNetwork; // an absent family is one that says undefined
    return new PppClientTunnel({
      ...{ crypto, log, isReconnect, network },
      encapsulation: options.usesHdlc ? HDLC : f5Encapsulation('client'),
      get config() {
        return configOf(options, granted(), hasIpv6);
      },
      ...(expiresAt !== undefined && { lifetime: Math.max(expiresAt - io.now(), 0) }),
      mtuOf: (facts) => tunnelMtu(this.#settings, facts, HEADER_LENGTH),
      ...(dpd !== undefined && { dpd }),
      stream: () => new TunnelRequest(request, (answer) => this.#take(answer)),
      ...this.#datagramWay(credential.gateway, received, request),
    });
  }

  /** Spec 5.3. TLS is used where the gateway has no UDP, speaks only DTLS 1.0 there and that was not allowed, or shows another key. */
  #datagramWay(gateway: Target, { options, remote }: ReceivedOptions, request: Uint8Array): { datagram?: DatagramWay } {
    const { crypto, log, usesDatagrams, datagramCiphers } = this.#settings;
    const credentials = datagramCredentials(this.#settings, gateway);
    const { datagram, usesHdlc } = options;
    if (!usesDatagrams || datagram === undefined || usesHdlc || credentials === undefined) return {};
    if (!datagram.allows12 && !datagramCiphers.allowsLegacy) {
      log.log('info', 'datagram disabled', { reason: 'the gateway speaks only DTLS 1.0, which is insecure' });
      return {};
    }
    return {
      datagram: {
        ...{ port: datagram.port, address: remote },
        open: (path, { engine }, link) =>
          new DatagramCarrier({
            ...{ path, link, isCarried: engine },
            prologue: new DatagramRequest(request, (answer) => this.#take(answer)),
            dtls: new DtlsClient({ crypto, version: datagram.allows12 ? '1.2' : '1.0', credentials }),
          }),
      },
    };
  }

  /** What is said once holds for the session: another address on a reconnect is refused by PPP, or by the session. */
  #take(answer: TunnelAnswer): void {
    this.#granted = { ...this.#granted, ...answer };
  }
}

interface ReceivedOptions {
  readonly options: F5Options;
  /** Who said it: UDP goes there too. */
  readonly remote: IpAddress;
}

interface TunnelParts {
  readonly io: LoginIo;
  readonly credential: Credential;
  readonly session: F5Session;
  readonly received: ReceivedOptions;
  readonly isReconnect: boolean;
}

function bodyOf({ status, reason, body }: HttpResponse, what: string): Uint8Array {
  if (status === 200) return body;
  const said = `${status} ${printable(reason)}`;
  if (status >= 300 && status < 500) throw new PeerRefusedError(`The gateway does not take the cookie (${said}). Log in again.`);
  throw new PeerMisbehavedError(`The gateway answered the request for its ${what} with ${said}.`);
}

function ipv4Wish({ config }: F5Options, address: IpAddress | undefined): NonNullable<ClientNetwork['ipv4']> {
  return { ...addressWish(address), asksServers: config.dns.length === 0 && config.nbns.length === 0 };
}

function addressWish(address: IpAddress | undefined): { readonly address?: IpAddress } {
  return address === undefined ? {} : { address };
}

/** Spec 4: a family of which no route is named, and to which not everything goes, reaches itself alone. In our model no route means all. */
function configOf(options: F5Options, granted: TunnelAnswer | undefined, hasIpv6: boolean): PppClientTunnelOptions['config'] {
  const { config, isDefaultRoute } = options;
  const own = [granted?.clientIpv4, hasIpv6 ? granted?.clientIpv6 : undefined].filter((address) => address !== undefined);
  const alone = own.filter(({ family }) => !isDefaultRoute && !config.include.some(({ address }) => address.family === family));
  const [ipv4, ipv6] = [own.find(({ family }) => family === 4), own.find(({ family }) => family === 6)];
  return {
    ...config,
    ...(ipv4 !== undefined && { ipv4: { address: ipv4, prefix: 32 } }),
    ...(ipv6 !== undefined && { ipv6: { address: ipv6, prefix: 64 } }),
    include: [...config.include, ...alone.map((address): Cidr => ({ address, prefix: address.bytes.length * 8 }))],
  };
}
