/**
 * The fields of a message as a proxy passes them on.
 *
 * Read first: RFC 9110 §7.6.
 */

/** RFC 9110 §7.6.1: of this hop only, with those that it lists as sent in practice. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** RFC 9110 §7.6.3: a proxy says that it was there. */
const VIA = '1.1 sallyport';

/**
 * `raw`: names and values in turn. `host`: what the target says, which replaces what the client says (RFC 9112 §3.2.2). The body's framing is
 * that of its own hop: node:http makes it anew; `isOld`: for a client of HTTP/1.0, to whom the end of the connection says it (RFC 9112 §6.1).
 */
export function forwardedHeaders(
  raw: readonly string[],
  { host, isOld = false }: { readonly host?: string; readonly isOld?: boolean },
): string[] {
  const fields = pairs(raw);
  const listed = new Set(
    fields.filter(([name]) => name.toLowerCase() === 'connection').flatMap(([, value]) => value.toLowerCase().split(/[\s,]+/)),
  );
  const kept = fields.filter(([name]) => {
    const lower = name.toLowerCase();
    return !HOP_BY_HOP.has(lower) && !listed.has(lower) && !(host !== undefined && lower === 'host');
  });
  const isChunked = !isOld && fields.some(([name]) => name.toLowerCase() === 'transfer-encoding');
  const hop: [string, string][] = host === undefined ? [] : [['Connection', 'close']];
  const front: [string, string][] = host === undefined ? [] : [['Host', host]];
  return [...front, ...kept, ['Via', VIA], ...(isChunked ? [['Transfer-Encoding', 'chunked']] : []), ...hop].flat();
}

function pairs(raw: readonly string[]): [name: string, value: string][] {
  const found: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) found.push([raw[i] ?? '', raw[i + 1] ?? '']);
  return found;
}
