/**
 * What comes first in a DTLS association: whose it is, and whether that is all right. One datagram each.
 *
 * Read first: spec "Fortinet", section 5.
 *
 *   0        2                                     then pairs of texts, each with a NUL behind it
 *   +--------+---------------------------------------------------------------
 *   | length | GFtype=clthello  SVPNCOOKIE=<value>       or
 *   +--------+ GFtype=svrhello  handshake=ok | fail
 *      the whole datagram
 */
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { SESSION_COOKIE } from './session-cookie.ts';

const TYPE = 'GFtype';
const CLIENT_HELLO = 'clthello';
const SERVER_HELLO = 'svrhello';
const HANDSHAKE = 'handshake';

/** Texts in one hello: names and values. */
const MAX_TEXTS = 32;

export function renderClientHello(cookie: string): Uint8Array {
  return renderPairs([
    [TYPE, CLIENT_HELLO],
    [SESSION_COOKIE, cookie],
  ]);
}

/** The cookie of a hello; undefined if the datagram is none. */
export function parseClientHello(datagram: Uint8Array): string | undefined {
  const pairs = parsePairs(datagram);
  const cookie = pairs?.get(SESSION_COOKIE);
  return pairs?.get(TYPE) === CLIENT_HELLO && cookie !== '' ? cookie : undefined;
}

export function renderServerHello(answer: 'ok' | 'fail'): Uint8Array {
  return renderPairs([
    [TYPE, SERVER_HELLO],
    [HANDSHAKE, answer],
  ]);
}

/** `fail` for whatever is not `ok`; undefined if the datagram is no hello. */
export function parseServerHello(datagram: Uint8Array): 'ok' | 'fail' | undefined {
  const pairs = parsePairs(datagram);
  if (pairs?.get(TYPE) !== SERVER_HELLO) return undefined;
  return pairs.get(HANDSHAKE) === 'ok' ? 'ok' : 'fail';
}

function renderPairs(pairs: readonly (readonly [name: string, value: string])[]): Uint8Array {
  const texts = pairs.flat().map(utf8);
  const writer = new ByteWriter().u16(2 + texts.reduce((sum, text) => sum + text.length + 1, 0));
  for (const text of texts) writer.bytes(text).u8(0);
  return writer.finish();
}

/** The first value of each name. Further pairs than the known ones are allowed. */
function parsePairs(datagram: Uint8Array): ReadonlyMap<string, string> | undefined {
  if (datagram.length < 3 || new ByteReader(datagram).u16('length') !== datagram.length || datagram.at(-1) !== 0) return undefined;
  const texts = fromUtf8(datagram.subarray(2, -1)).split('\0', MAX_TEXTS + 1);
  if (texts.length > MAX_TEXTS || texts.length % 2 !== 0) return undefined;
  const pairs = new Map<string, string>();
  for (let i = 0; i < texts.length; i += 2) {
    const [name = '', value = ''] = texts.slice(i, i + 2);
    if (!pairs.has(name)) pairs.set(name, value);
  }
  return pairs;
}
