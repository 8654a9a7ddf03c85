/** Requests from the bytes of a connection (RFC 9112 §3, §6.3): what a gateway reads. */
import { PeerMisbehavedError } from '../errors.ts';
import { keepsAlive, NO_BODY, statedFraming } from './framing.ts';
import { DEFAULT_HTTP_LIMITS, type HttpLimits } from './limits.ts';
import type { HttpHeaders, HttpRequest, HttpVersion } from './message.ts';
import { type HeadMeaning, MessageReader, type Received } from './message-reader.ts';
import { isRequestTarget, isToken } from './tokens.ts';

type RequestLine = Pick<HttpRequest, 'method' | 'target' | 'version'>;

/** Whether what follows this head is a tunnel's, whatever the head says of a body: some vendors' requests lie about theirs. */
export type TunnelStart = (head: Pick<HttpRequest, 'method' | 'target'>) => boolean;

/**
 * Each {@link next} reads one request and no further, so that a gateway that starts a tunnel after one (some vendors do it after a GET)
 * finds what follows in {@link takeRest}. After CONNECT, and what `startsTunnel` says, it reads no more requests.
 */
export class RequestParser {
  #limits: HttpLimits;
  readonly #reader: MessageReader<RequestLine, HttpRequest>;
  readonly #startsTunnel: TunnelStart;

  /** @param startsTunnel besides CONNECT. Default: nothing */
  constructor(limits: Partial<HttpLimits> = {}, startsTunnel: TunnelStart = () => false) {
    this.#startsTunnel = startsTunnel;
    this.#limits = { ...DEFAULT_HTTP_LIMITS, ...limits };
    this.#reader = new MessageReader(this.#limits, {
      parseStartLine: parseRequestLine,
      understand: (startLine, headers) => this.#understand(startLine, headers),
    });
  }

  /** True once a byte of the request that is to come next has arrived. */
  get hasBegun(): boolean {
    return this.#reader.hasBegun;
  }

  /** The requests after the one that {@link next} has given may have bodies of so many bytes. */
  allowBody(bodyBytes: number): void {
    this.#limits = { ...this.#limits, bodyBytes };
    this.#reader.allowBody(bodyBytes);
  }

  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /**
   * The next request; undefined until all of it has come. Throws {@link PeerMisbehavedError}, with code ERR_HTTP_LIMIT if it is too
   * large, or {@link UnsupportedError} for a transfer coding other than chunked: a gateway answers 400, 413 or 431, and 501.
   */
  next(): Received<HttpRequest> | undefined {
    return this.#reader.next();
  }

  /** The stream has ended: the last request, or undefined if all were read. Throws {@link TruncatedError} inside a request. */
  finish(): Received<HttpRequest> | undefined {
    return this.#reader.finish();
  }

  /** Takes what has come after the last request. MisuseError in the middle of one. */
  takeRest(): Uint8Array {
    return this.#reader.takeRest();
  }

  #understand({ method, target, version }: RequestLine, headers: HttpHeaders): HeadMeaning<HttpRequest> {
    const build = (body: Uint8Array) => ({ method, target, version, headers, body });
    // RFC 9110 §9.3.6: CONNECT has no body; what follows its head is the tunnel's.
    if (method === 'CONNECT' || this.#startsTunnel({ method, target })) return { framing: NO_BODY, connection: 'tunnel', build };
    const connection = keepsAlive(version, headers) ? 'keep-alive' : 'close';
    return { framing: statedFraming(version, headers, this.#limits) ?? NO_BODY, connection, build };
  }
}

/** Takes several blanks between the parts: NetExtender's clients send two (spec "SonicWall NetExtender", tunnel request). */
function parseRequestLine(line: string): RequestLine {
  const [method = '', target = '', version = '', ...more] = line.split(/[ \t]+/);
  const number = /^HTTP\/(1\.[01])$/.exec(version)?.[1];
  // The line is not quoted: a target can hold a session cookie.
  if (!isToken(method) || !isRequestTarget(target) || number === undefined || more.length > 0) {
    throw new PeerMisbehavedError('not an HTTP/1.1 request line');
  }
  return { method, target, version: number as HttpVersion };
}
