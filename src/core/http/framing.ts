/**
 * Where the body of an HTTP/1.1 message ends (RFC 9112 §6.3) and whether the connection can go on after it (§9.3).
 *
 * Strict, as two readers that disagree about a length read different messages: a length twice with different values, a length beside
 * `Transfer-Encoding`, or one that is no number is an error, never a guess.
 */
import { PeerMisbehavedError, UnsupportedError } from '../errors.ts';
import { checkHttpLimit, type HttpLimits } from './limits.ts';
import { type HttpHeaders, type HttpVersion, headerValues } from './message.ts';
import { listMembers, trimBlanks } from './tokens.ts';

export type BodyFraming =
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  /** The body ends when the connection does. */
  | { readonly kind: 'until-close' };

export const NO_BODY: BodyFraming = { kind: 'length', length: 0 };

/**
 * What a message head says about its body; undefined if it says nothing. Throws {@link PeerMisbehavedError} if it contradicts itself,
 * {@link UnsupportedError} for a transfer coding other than chunked.
 */
export function statedFraming(version: HttpVersion, headers: HttpHeaders, limits: HttpLimits): BodyFraming | undefined {
  const codings = listMembers(headerValues(headers, 'Transfer-Encoding'));
  const length = statedLength(headers, limits);
  if (codings.length === 0) return length === undefined ? undefined : { kind: 'length', length };
  if (length !== undefined) throw new PeerMisbehavedError('HTTP message has both Content-Length and Transfer-Encoding');
  if (version === '1.0') throw new PeerMisbehavedError('HTTP/1.0 message has a Transfer-Encoding, which came with 1.1'); // RFC 9112 §6.1
  if (codings.join() !== 'chunked') throw new UnsupportedError('HTTP message has a Transfer-Encoding other than chunked');
  return { kind: 'chunked' };
}

/** RFC 9110 §8.6: the same length may come several times, in one line or many; anything else is an error. */
function statedLength(headers: HttpHeaders, limits: HttpLimits): number | undefined {
  const lines = headerValues(headers, 'Content-Length');
  if (lines.length === 0) return undefined;
  const [first, ...others] = new Set(lines.flatMap((line) => line.split(',')).map(trimBlanks));
  if (others.length > 0) throw new PeerMisbehavedError('HTTP message has several different Content-Lengths');
  if (first === undefined || !/^\d+$/.test(first)) throw new PeerMisbehavedError('HTTP Content-Length is not a number');
  // A number too long for a double becomes larger than any limit, never smaller: no overflow to guard against.
  checkHttpLimit(Number(first), limits.bodyBytes, 'bytes of body');
  return Number(first);
}

/** True if the connection can carry another message after this one. HTTP/1.0 never can: spec "AnyConnect", section 2.1. */
export function keepsAlive(version: HttpVersion, headers: HttpHeaders): boolean {
  // Proxies say the same in a header of their own, which was never standard.
  const options = listMembers([...headerValues(headers, 'Connection'), ...headerValues(headers, 'Proxy-Connection')]);
  return version === '1.1' && !options.includes('close');
}
