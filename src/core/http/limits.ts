/** How much of an HTTP message a parser takes before it gives up on the peer. Everything a peer can make longer has a limit here. */
import { PeerMisbehavedError } from '../errors.ts';

export interface HttpLimits {
  /** Bytes of one line of a head, without its line end; a folded header counts as one line. */
  readonly lineBytes: number;
  /** Header lines of one head. */
  readonly headerCount: number;
  /** Bytes of a whole head with its line ends; the trailers of a chunked body count as a head of their own. */
  readonly headBytes: number;
  readonly bodyBytes: number;
  /** Bytes of the line in front of a chunk, with its extensions. */
  readonly chunkLineBytes: number;
  /** 1xx responses in front of the final one. */
  readonly interimResponses: number;
}

/** What a client can live with: gateways send thousands of split-tunnel headers. A gateway sets less before anyone has logged in. */
export const DEFAULT_HTTP_LIMITS: HttpLimits = {
  lineBytes: 64 * 1024,
  headerCount: 4096,
  headBytes: 512 * 1024,
  bodyBytes: 16 * 1024 * 1024,
  chunkLineBytes: 1024,
  interimResponses: 16,
};

/** The code of the error that is thrown when a limit is reached: a gateway answers it with 413 or 431 instead of 400. */
export const HTTP_LIMIT_CODE = 'ERR_HTTP_LIMIT';

/** Throws if a peer went over a limit. `what` names the thing and its unit: `header lines`, `bytes of body`. */
export function checkHttpLimit(value: number, limit: number, what: string): void {
  if (value > limit) throw new PeerMisbehavedError(`HTTP message has more than ${limit} ${what}`, { code: HTTP_LIMIT_CODE });
}
