/**
 * Responses from the bytes of a connection (RFC 9112 §4, §6.3). A client tells which requests it has sent, as the method decides
 * whether a body follows.
 */
import { MisuseError, PeerMisbehavedError, TruncatedError } from '../errors.ts';
import { printable } from '../wire/text.ts';
import { type BodyFraming, keepsAlive, NO_BODY, statedFraming } from './framing.ts';
import { checkHttpLimit, DEFAULT_HTTP_LIMITS, type HttpLimits } from './limits.ts';
import type { HttpHeaders, HttpResponse, HttpVersion } from './message.ts';
import { type ConnectionUse, type HeadMeaning, MessageReader, type Received } from './message-reader.ts';

export interface ExpectedResponse {
  /**
   * True if a 2xx answer starts a tunnel: it then has no body, whatever its headers say, and what follows its head is the tunnel's.
   * Default: only for CONNECT. Vendors do the same with GET and POST.
   */
  readonly startsTunnel?: boolean;
}

type StatusLine = Pick<HttpResponse, 'version' | 'status' | 'reason'>;

interface Expectation {
  readonly method: string;
  readonly startsTunnel: boolean;
}

/**
 * @example
 * parser.expect('POST');
 * parser.push(bytes);
 * const received = parser.next(); // undefined: more bytes are needed
 */
export class ResponseParser {
  readonly #limits: HttpLimits;
  readonly #reader: MessageReader<StatusLine, HttpResponse>;
  readonly #expected: Expectation[] = [];
  #interims = 0;

  constructor(limits: Partial<HttpLimits> = {}) {
    this.#limits = { ...DEFAULT_HTTP_LIMITS, ...limits };
    this.#reader = new MessageReader(this.#limits, {
      parseStartLine: parseStatusLine,
      understand: (startLine, headers) => this.#understand(startLine, headers),
    });
  }

  /**
   * A request with this method is being sent: its response comes after those that are already expected.
   * Throws {@link PeerMisbehavedError} if bytes are waiting that answer no request: they would pass for the answer to this one.
   */
  expect(method: string, { startsTunnel = method === 'CONNECT' }: ExpectedResponse = {}): void {
    if (this.#reader.isOver) throw new MisuseError('No HTTP request can follow on this connection.');
    if (this.#expected.length === 0) {
      this.#reader.next(); // reads the empty lines that some servers send after a body
      if (this.#reader.hasBegun) throw new PeerMisbehavedError('bytes came that answer no HTTP request');
    }
    this.#expected.push({ method, startsTunnel });
  }

  /** True once a byte of the expected response has arrived: from then on the request must not be sent again on another connection. */
  get hasBegun(): boolean {
    return this.#reader.hasBegun;
  }

  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /**
   * The next response, interim ones skipped; undefined until all of it has come. Throws {@link PeerMisbehavedError}, with code
   * ERR_HTTP_LIMIT if it is too large, or {@link UnsupportedError} for a transfer coding other than chunked.
   */
  next(): Received<HttpResponse> | undefined {
    return this.#reader.next();
  }

  /**
   * The stream has ended: the response whose body ends with it, or undefined if none is expected.
   * Throws {@link TruncatedError} if a response is missing or cut short.
   */
  finish(): Received<HttpResponse> | undefined {
    const received = this.#reader.finish();
    if (received === undefined && this.#expected.length > 0) throw new TruncatedError('HTTP connection ended before the response');
    return received;
  }

  /** Takes what has come after the response that started a tunnel, or after any response. MisuseError in the middle of one. */
  takeRest(): Uint8Array {
    return this.#reader.takeRest();
  }

  #understand({ version, status, reason }: StatusLine, headers: HttpHeaders): HeadMeaning<HttpResponse> {
    const request = this.#expected[0];
    if (request === undefined) throw new PeerMisbehavedError('HTTP response came without a request');
    if (status < 200 && status !== 101) {
      checkHttpLimit(++this.#interims, this.#limits.interimResponses, 'interim responses before it');
      return 'interim';
    }
    this.#expected.shift();
    this.#interims = 0;
    const build = (body: Uint8Array) => ({ version, status, reason, headers, body });
    return { ...this.#bodyOf(request, status, version, headers), build };
  }

  /** RFC 9112 §6.3, in its order. */
  #bodyOf(
    { method, startsTunnel }: Expectation,
    status: number,
    version: HttpVersion,
    headers: HttpHeaders,
  ): { framing: BodyFraming; connection: ConnectionUse } {
    if (status === 101 || (startsTunnel && status >= 200 && status < 300)) return { framing: NO_BODY, connection: 'tunnel' };
    const connection = keepsAlive(version, headers) ? 'keep-alive' : 'close';
    if (method === 'HEAD' || status === 204 || status === 304) return { framing: NO_BODY, connection };
    const stated = statedFraming(version, headers, this.#limits);
    if (stated !== undefined) return { framing: stated, connection };
    if (connection === 'close') return { framing: { kind: 'until-close' }, connection };
    // Observed: ocserv 1.1.6 refuses CONNECT with a bare status line, then a TLS alert. Waiting for an end would lose the reason.
    if (startsTunnel) return { framing: NO_BODY, connection: 'close' };
    throw new PeerMisbehavedError('HTTP response does not say how long its body is');
  }
}

/** Lenient about blanks and a missing reason; strict about the version: only 1.0 and 1.1 have this framing. */
function parseStatusLine(line: string): StatusLine {
  const match = /^HTTP\/(1\.[01])[ \t]+([1-9]\d\d)(?:[ \t]+(.*))?$/s.exec(line);
  if (match === null) throw new PeerMisbehavedError(`not an HTTP/1.1 response: ${printable(line.slice(0, 40))}`);
  const [, version, status, reason = ''] = match;
  return { version: version as HttpVersion, status: Number(status), reason };
}
