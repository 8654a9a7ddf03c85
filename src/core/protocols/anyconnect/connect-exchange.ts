/**
 * CONNECT and its answer on one new stream.
 *
 * Read first: spec "AnyConnect", sections 4.1, 4.2 and 4.7.
 */
import { PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../errors.ts';
import { type HttpResponse, headerValue } from '../../http/message.ts';
import { renderRequest } from '../../http/render.ts';
import { ResponseParser } from '../../http/response-parser.ts';
import type { InterfaceAddress, TunnelConfig } from '../../tunnel/config.ts';
import type { CloseReason, PathFacts } from '../../tunnel/machine.ts';
import { minTunnelMtu, mtuRequest } from '../../tunnel/mtu.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { sameIp } from '../../wire/ip-address.ts';
import { printable } from '../../wire/text.ts';
import { connectRequest } from './connect-request.ts';
import { type ChannelParameters, type ConnectResponse, parseConnectResponse } from './connect-response.ts';
import { PSK_NEGOTIATE } from './dtls-suites.ts';
import { statelessEncodings, type TunnelOptions } from './tunnel-options.ts';

const MASTER_SECRET_BYTES = 48;

/** They hold the session's cookie or token (spec 3.17). */
const SECRET_HEADERS: readonly string[] = ['x-cstp-post-auth-xml', 'set-cookie'];

export type ExchangeResult =
  | { readonly type: 'waiting' }
  /** `rest`: what came behind the answer, the tunnel's first bytes. */
  | { readonly type: 'granted'; readonly response: ConnectResponse; readonly rest: Uint8Array }
  | { readonly type: 'denied'; readonly reason: CloseReason };

export class ConnectExchange {
  /** The request as it goes on the wire. */
  readonly request: Uint8Array;
  /** Fresh for each request (spec 4.1). */
  readonly masterSecret: Uint8Array;
  readonly #options: TunnelOptions;
  readonly #parser = new ResponseParser();

  constructor(options: TunnelOptions, facts: PathFacts) {
    this.#options = options;
    this.masterSecret = options.crypto.randomBytes(MASTER_SECRET_BYTES);
    this.#parser.expect('CONNECT');
    this.request = renderRequest(this.#httpRequest(facts));
  }

  /** A byte of the answer has come. */
  get hasBegun(): boolean {
    return this.#parser.hasBegun;
  }

  receive(bytes: Uint8Array, now: Millis): ExchangeResult {
    try {
      this.#parser.push(bytes);
      const received = this.#parser.next();
      if (received === undefined) return { type: 'waiting' };
      return this.#answered(received.message, now);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      return { type: 'denied', reason: { kind: 'misbehaved', message: error.message, error } };
    }
  }

  #httpRequest(facts: PathFacts): ReturnType<typeof connectRequest> {
    const { options, masterSecret } = { options: this.#options, masterSecret: this.masterSecret };
    const { family } = facts.remote.address;
    const mtu = mtuRequest({
      family,
      ...(options.mtu !== undefined && { mtu: options.mtu }),
      ...(options.baseMtu !== undefined && { baseMtu: options.baseMtu }),
      ...(facts.pathMtu !== undefined && { pathMtu: facts.pathMtu }),
    });
    const finished = facts.tls?.finished;
    const strap = finished === undefined ? undefined : options.strap?.(finished);
    const { suites, suites12 } = options.datagram ?? {};
    return connectRequest({
      target: options.target,
      client: options.client,
      cookie: options.cookie,
      ...(strap !== undefined && { strap }),
      streamEncodings: options.encodings,
      baseMtu: mtu.base,
      mtu: mtu.tunnel,
      wantsIpv6: options.wantsIpv6,
      previous: [options.previous?.ipv4, options.previous?.ipv6].flatMap((previous) => previous?.address ?? []),
      ...(suites !== undefined &&
        suites12 !== undefined && { datagram: { masterSecret, suites, suites12, encodings: statelessEncodings(options.encodings) } }),
    });
  }

  #answered(answer: HttpResponse, now: Millis): ExchangeResult {
    const { log } = this.#options;
    const why = headerValue(answer.headers, 'X-Reason');
    log.log('info', 'connect answered', {
      status: answer.status,
      reason: printable(answer.reason),
      version: answer.version,
      ...(why !== undefined && { why: printable(why) }),
    });
    for (const [name, value] of answer.headers) {
      if (!SECRET_HEADERS.includes(name.toLowerCase()))
        log.log('debug', 'connect header', { name: printable(name), value: printable(value) });
    }
    if (answer.status !== 200) return { type: 'denied', reason: denial(answer) };
    const response = this.#limited(this.#offered(parseConnectResponse(answer.headers, now)));
    for (const { problem, field, text } of response.warnings) log.log('warn', 'configuration value', { problem, field, text });
    const moved = changedAddress(this.#options.previous, response.config);
    if (moved !== undefined) return { type: 'denied', reason: { kind: 'refused', message: moved } };
    return { type: 'granted', response, rest: this.#parser.takeRest() };
  }

  /**
   * The user's MTU is a limit, whatever the gateway makes of the request: ocserv 1.1.6 reads `X-CSTP-MTU` only without a base MTU. Never below what
   * IP needs.
   */
  #limited(response: ConnectResponse): ConnectResponse {
    const { mtu } = this.#options;
    const { config } = response;
    if (mtu === undefined || mtu >= config.mtu) return response;
    return { ...response, config: { ...config, mtu: Math.max(mtu, minTunnelMtu(config.ipv6 !== undefined)) } };
  }

  /**
   * A gateway may choose only among what it was offered. Of the stream that is a must. A datagram channel with anything else is left out, as
   * packets can do without it; and so is one that was not asked for at all.
   */
  #offered(response: ConnectResponse): ConnectResponse {
    const { encodings, datagram: wishes } = this.#options;
    const isOffered = ({ compression }: ChannelParameters) => compression === undefined || encodings.includes(compression);
    if (!isOffered(response.stream)) {
      throw new PeerMisbehavedError(`The gateway chose the compression ${response.stream.compression}, which it was not offered.`);
    }
    const { datagram, datagramProblem, ...others } = response;
    if (wishes === undefined) return { ...others, datagram: undefined };
    if (datagram === undefined) return response;
    const { association, compression } = datagram;
    const name = association.mode === 'psk' ? PSK_NEGOTIATE : association.suite.name;
    const unoffered = [
      ...(wishes.suites.includes(name) || wishes.suites12.includes(name) ? [] : [`the DTLS cipher ${name}`]),
      ...(isOffered(datagram) ? [] : [`the DTLS compression ${compression}`]),
    ];
    if (unoffered.length === 0) return response;
    return { ...others, datagram: undefined, datagramProblem: `The gateway chose ${unoffered.join(' and ')}, which it was not offered.` };
  }
}

/** Spec 4.2: 401 says the session is over; anything else may be better at the next try. */
function denial(answer: HttpResponse): CloseReason {
  const line = `HTTP/${answer.version} ${answer.status} ${printable(answer.reason)}`;
  if (answer.status === 401) {
    const message = 'The gateway no longer accepts the session cookie: log in again.';
    return { kind: 'refused', message, error: new PeerRefusedError(`${message} It answered ${line}.`, { code: 'ERR_COOKIE_REFUSED' }) };
  }
  const why = headerValue(answer.headers, 'X-Reason');
  const message = `The gateway does not open a tunnel: ${line}${why === undefined ? '' : ` (${printable(why)})`}.`;
  return { kind: 'path-lost', message, error: new PeerRefusedError(message, { code: 'ERR_CONNECT_REFUSED' }) };
}

/** Spec 4.7: what is configured on the device cannot change under it. */
function changedAddress(previous: TunnelConfig | undefined, config: TunnelConfig): string | undefined {
  if (previous === undefined) return undefined;
  const isSame = (a: InterfaceAddress | undefined, b: InterfaceAddress | undefined) =>
    a === undefined || (b !== undefined && sameIp(a.address, b.address) && a.prefix === b.prefix);
  if (isSame(previous.ipv4, config.ipv4) && isSame(previous.ipv6, config.ipv6)) return undefined;
  return 'The gateway gave other addresses than before the reconnect, so the session cannot go on.';
}
