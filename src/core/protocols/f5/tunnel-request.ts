/**
 * The request for a tunnel and its answer, both ways: the same on a TLS stream and in one datagram of DTLS.
 *
 * Read first: spec "F5", sections 5.1 to 5.3.
 *
 *   GET /myvpn?sess=…&hdlc_framing=no&ipv4=yes&ipv6=no&Z=…&hostname=… ─►
 *                                  ◄─ 200, X-VPN-client-IP, X-VPN-client-IPv6, then PPP      504: sess or Z is not known (any more)
 */
import type { Target } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../errors.ts';
import { type HttpHeaders, type HttpRequest, type HttpResponse, headerValue } from '../../http/message.ts';
import { renderRequest, renderResponse } from '../../http/render.ts';
import { RequestParser } from '../../http/request-parser.ts';
import { pathOf, queryValue } from '../../http/request-target.ts';
import { ResponseParser } from '../../http/response-parser.ts';
import { hostHeader } from '../../http/url.ts';
import type { DatagramPrologue, PrologueResult, StreamPrologue } from '../../ppp/prologue.ts';
import { ConfigReader } from '../../tunnel/config-values.ts';
import type { CloseReason } from '../../tunnel/machine.ts';
import { formatIp, type IpAddress } from '../../wire/ip-address.ts';
import { fromBase64, fromUtf8, printable, toBase64, utf8 } from '../../wire/text.ts';
import { PATHS } from './paths.ts';

export interface TunnelWish {
  readonly sessionId: string;
  readonly z: string;
  readonly usesHdlc: boolean;
  readonly wantsIpv4: boolean;
  readonly wantsIpv6: boolean;
  readonly hostname?: string;
}

const NO_BYTES = new Uint8Array(0);
const MAX_HOSTNAME_LENGTH = 255;
/** Of a request in a record (spec 9). */
const MAX_REQUEST_LENGTH = 2048;

/** The order of the reference client. The host name is base64 without escapes (spec 5.1). */
export function renderTunnelTarget({ sessionId, z, usesHdlc, wantsIpv4, wantsIpv6, hostname = 'localhost' }: TunnelWish): string {
  const word = (flag: boolean) => (flag ? 'yes' : 'no');
  const families = `ipv4=${word(wantsIpv4)}&ipv6=${word(wantsIpv6)}`;
  return `${PATHS.tunnel}?sess=${sessionId}&hdlc_framing=${word(usesHdlc)}&${families}&Z=${z}&hostname=${toBase64(utf8(hostname))}`;
}

/** In any order. Undefined: it names no session. */
export function parseTunnelTarget(target: string): TunnelWish | undefined {
  const sessionId = queryValue(target, 'sess');
  const z = queryValue(target, 'Z');
  if (sessionId === undefined || z === undefined) return undefined;
  const isYes = (name: string) => queryValue(target, name)?.toLowerCase() === 'yes';
  const hostname = hostnameIn(queryValue(target, 'hostname'));
  return {
    ...{ sessionId, z, usesHdlc: isYes('hdlc_framing') },
    wantsIpv4: isYes('ipv4') || queryValue(target, 'ipv4') === undefined,
    wantsIpv6: isYes('ipv6'),
    ...(hostname !== undefined && { hostname }),
  };
}

function hostnameIn(text: string | undefined): string | undefined {
  try {
    const name = printable(fromUtf8(fromBase64(text ?? ''))).trim();
    return name === '' || name.length > MAX_HOSTNAME_LENGTH ? undefined : name;
  } catch (error) {
    if (error instanceof SallyportError) return undefined; // it is for people only
    throw error;
  }
}

/** The addresses of an answer: of both ends, as far as they are said. */
export interface TunnelAnswer {
  readonly clientIpv4?: IpAddress;
  readonly clientIpv6?: IpAddress;
  readonly serverIpv4?: IpAddress;
}

const HEADERS = { clientIpv4: 'X-VPN-client-IP', clientIpv6: 'X-VPN-client-IPv6', serverIpv4: 'X-VPN-server-IP' } as const;

export function renderTunnelAnswer(answer: TunnelAnswer): Uint8Array {
  const headers = Object.entries(HEADERS).flatMap(([key, name]): HttpHeaders => {
    const address = answer[key as keyof TunnelAnswer];
    return address === undefined ? [] : [[name, formatIp(address)]];
  });
  return renderResponse({ version: '1.1', status: 200, reason: 'OK', headers: [['Content-Length', '0'], ...headers], body: NO_BYTES });
}

/** Observed: appliances answer so for a session that they do not know. */
export function renderTunnelRefusal(): Uint8Array {
  return renderResponse({ version: '1.1', status: 504, reason: 'Gateway Timeout', headers: [['Content-Length', '0']], body: NO_BYTES });
}

/** The request in one record of DTLS (spec 9: GET and this path alone); undefined: the record is none. */
export function requestIn(record: Uint8Array): HttpRequest | undefined {
  if (record.length > MAX_REQUEST_LENGTH || record[0] !== 'G'.charCodeAt(0)) return undefined;
  const parser = new RequestParser();
  try {
    parser.push(record);
    const request = parser.next()?.message;
    return request?.method === 'GET' && pathOf(request.target) === PATHS.tunnel ? request : undefined;
  } catch (error) {
    if (error instanceof SallyportError) return undefined; // one record of whoever: the next is another matter
    throw error;
  }
}

/** What is no address of its family is left out. */
export function tunnelAnswerIn({ headers }: HttpResponse): TunnelAnswer {
  const reader = new ConfigReader();
  const address = (name: string, family: 4 | 6) => {
    const text = headerValue(headers, name);
    const read = text === undefined ? undefined : reader.address(name, text);
    return read?.family === family ? read : undefined;
  };
  const [clientIpv4, clientIpv6] = [address(HEADERS.clientIpv4, 4), address(HEADERS.clientIpv6, 6)];
  const serverIpv4 = address(HEADERS.serverIpv4, 4);
  return {
    ...(clientIpv4 !== undefined && { clientIpv4 }),
    ...(clientIpv6 !== undefined && { clientIpv6 }),
    ...(serverIpv4 !== undefined && { serverIpv4 }),
  };
}

/** @param onAnswer is told what the gateway has granted, before PPP begins */
export class TunnelRequest implements StreamPrologue {
  readonly request: Uint8Array;
  readonly startsAtOnce = false;
  readonly #parser = new ResponseParser();
  readonly #onAnswer: (answer: TunnelAnswer) => void;

  constructor(request: Uint8Array, onAnswer: (answer: TunnelAnswer) => void) {
    this.request = request;
    this.#onAnswer = onAnswer;
    this.#parser.expect('GET', { startsTunnel: true });
  }

  receive(bytes: Uint8Array): PrologueResult {
    try {
      this.#parser.push(bytes);
      const answer = this.#parser.next()?.message;
      if (answer === undefined) return { type: 'waiting' };
      if (answer.status !== 200 && answer.status !== 201) return { type: 'denied', reason: denial(answer) };
      this.#onAnswer(tunnelAnswerIn(answer));
      return { type: 'begun', rest: this.#parser.takeRest() };
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      return { type: 'denied', reason: { kind: 'misbehaved', message: error.message, error } };
    }
  }
}

/** The same in a DTLS association: the answer is one record (spec 5.3). */
export class DatagramRequest implements DatagramPrologue {
  readonly hello: Uint8Array;
  readonly #onAnswer: (answer: TunnelAnswer) => void;

  constructor(hello: Uint8Array, onAnswer: (answer: TunnelAnswer) => void) {
    this.hello = hello;
    this.#onAnswer = onAnswer;
  }

  read(datagram: Uint8Array): 'accepted' | 'refused' | 'frame' | 'unknown' {
    if (datagram[0] === FRAME_START) return 'frame';
    const answer = responseIn(datagram);
    if (answer === undefined) return 'unknown';
    if (answer.status !== 200) return 'refused';
    this.#onAnswer(tunnelAnswerIn(answer));
    return 'accepted';
  }
}

/** The first byte of every frame of PPP here. */
const FRAME_START = 0xf5;

function responseIn(datagram: Uint8Array): HttpResponse | undefined {
  const parser = new ResponseParser();
  parser.expect('GET');
  try {
    parser.push(datagram);
    return parser.next()?.message;
  } catch (error) {
    if (error instanceof SallyportError) return undefined; // one datagram of whatever: the next is another matter
    throw error;
  }
}

export function renderTunnelRequest(gateway: Target, userAgent: string, wish: TunnelWish): Uint8Array {
  // No cookies: the request must fit one datagram, and the two texts are enough (spec 5.1).
  const headers: HttpHeaders = [
    ['Host', hostHeader(gateway)],
    ['User-Agent', userAgent],
  ];
  return renderRequest({ method: 'GET', target: renderTunnelTarget(wish), version: '1.1', headers, body: NO_BYTES });
}

/** Observed: appliances answer 504 for a session they do not know. */
function denial({ status, reason }: HttpResponse): CloseReason {
  const said = `${status} ${printable(reason)}`;
  if (status === 504 || (status >= 300 && status < 500)) {
    const message = `The gateway does not take the cookie for a tunnel (${said}).`;
    return { kind: 'refused', message, error: new PeerRefusedError(message) };
  }
  const message = `The gateway answered the request for a tunnel with ${said}.`;
  return { kind: 'unusable', message, error: new PeerMisbehavedError(message) };
}
