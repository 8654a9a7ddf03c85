/**
 * A log-in in a web browser (SAML, or the vendor's Cloud Authentication Service): how a server says where it begins, and what the browser has in the end.
 * Both ways.
 *
 * Read first: spec "GlobalProtect", section 4.
 *
 *   prelogin ── address or page ──► browser … identity provider … ──► a last page ── its tags, or globalprotectcallback:… ──► field of the log-in
 */
import { PeerRefusedError } from '../../errors.ts';
import { parseForm, percentDecode } from '../../http/form-urlencoded.ts';
import { renderXml, xmlElement } from '../../markup/xml.ts';
import { toXmlText } from '../../markup/xml-names.ts';
import { Secret } from '../../secret.ts';
import { fromBase64, fromUtf8, printable, toBase64, utf8 } from '../../wire/text.ts';

/** Where a browser begins: an address, or a page that goes on from there by itself. */
export type BrowserStart = { readonly url: string } | { readonly html: string };

/** What a browser has brought: the log-in's field, and what goes into it. */
export interface BrowserAnswer {
  readonly user: string;
  readonly field: string;
  readonly secret: Secret;
}

/** Of a request, and of what somebody has copied out of a browser. */
const MAX_URL = 16_384;
const MAX_PAGE = 262_144;
const MAX_USER = 256;
/** Shorter values are none (spec 4.1), longer ones nobody's. */
const MIN_SECRET = 6;
const MAX_SECRET = 16_384;

/** Undefined: nobody could begin there. */
export function readBrowserStart(method: string, request: string): BrowserStart | undefined {
  const text = decoded(request.replace(/\s+/g, ''));
  if (text === undefined || text.length > MAX_PAGE) return undefined;
  if (method === 'POST') return { html: text };
  // Only HTTPS, and nothing that a terminal or a browser's command line would take for something else.
  return method === 'REDIRECT' && text.length <= MAX_URL && /^https:\/\/[!-~]+$/.test(text) ? { url: text } : undefined;
}

export function renderBrowserStart(start: BrowserStart): { readonly method: 'POST' | 'REDIRECT'; readonly request: string } {
  return 'url' in start
    ? { method: 'REDIRECT', request: toBase64(utf8(start.url)) }
    : { method: 'POST', request: toBase64(utf8(start.html)) };
}

const SCHEME = 'globalprotectcallback:';
const COOKIES = ['prelogin-cookie', 'portal-userauthcookie'] as const;

/**
 * What a person has copied: the address that the browser was sent to, or the source of the last page. Undefined: it is neither. Throws
 * {@link PeerRefusedError} where it says that the log-in has failed.
 */
export function readBrowserAnswer(copied: string): BrowserAnswer | undefined {
  const text = copied.slice(0, MAX_PAGE);
  const callback = text.toLowerCase().indexOf(SCHEME);
  if (callback < 0) return ofTags(text);
  const [whole = ''] = /^[^\s"'<>]*/.exec(text.slice(callback + SCHEME.length)) ?? [];
  const payload = unescaped(whole).replace(/^\/+/, '');
  const plain = /^cas-as%3d/i.test(payload) ? percentDecode(payload) : payload;
  if (plain.startsWith('cas-as=')) return ofService(new Map(parseForm(plain)));
  const page = decoded(payload.includes('%') ? percentDecode(payload) : payload);
  return page === undefined ? undefined : ofTags(page);
}

/** Spec 4.1: siblings in a comment. */
function ofTags(page: string): BrowserAnswer | undefined {
  const value = (name: string) => unescaped(new RegExp(`<${name}>([^<]*)</${name}>`).exec(page)?.[1] ?? '').trim();
  const status = value('saml-auth-status');
  if (status !== '' && status !== '1') throw new PeerRefusedError('The browser’s log-in has failed, says the server.');
  const field = COOKIES.find((name) => isSecret(value(name)));
  return field && answerOf(value('saml-username'), field, value(field));
}

/** Of XML, or of an HTML attribute (spec 4.3): its five names, and numbers. */
function unescaped(text: string): string {
  return text.replace(
    /&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#[xX]([\da-fA-F]{1,6}));/g,
    (whole, name?: string, digits?: string, hex?: string) => {
      if (name !== undefined) return NAMED[name] ?? whole;
      const code = digits === undefined ? Number.parseInt(hex ?? '', 16) : Number(digits);
      return code <= MAX_CODE_POINT ? String.fromCodePoint(code) : whole;
    },
  );
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
const MAX_CODE_POINT = 0x10ffff;

/** Spec 4.5. */
function ofService(fields: ReadonlyMap<string, string>): BrowserAnswer | undefined {
  if (fields.get('cas-as') !== '1') throw new PeerRefusedError('The browser’s log-in has failed, says the server.');
  const token = fields.get('token') ?? '';
  return isSecret(token) ? answerOf(fields.get('un') ?? '', 'token', token) : undefined;
}

function answerOf(user: string, field: string, secret: string): BrowserAnswer | undefined {
  const name = printable(user).trim();
  return name === '' || name.length > MAX_USER ? undefined : { user: name, field, secret: new Secret(secret) };
}

/**
 * Whether a browser has logged in who was to be (spec 17). Directories do not tell upper case from lower, and an identity provider may say a domain that
 * people do not: where one of the two has none, the names count.
 */
export function isExpectedUser(user: string, expected: string): boolean {
  const [is, should] = [partsOf(user), partsOf(expected)];
  return is.name === should.name && (is.domain === should.domain || is.domain === '' || should.domain === '');
}

/** `name`, `name@domain`, or `DOMAIN\\name`. */
function partsOf(text: string): { readonly name: string; readonly domain: string } {
  const [, domain = '', name = ''] = /^(?:([^\\]*)\\)?(.*)$/s.exec(text.trim().toLowerCase()) ?? [];
  const at = domain === '' ? name.lastIndexOf('@') : -1;
  return at < 0 ? { name, domain } : { name: name.slice(0, at), domain: name.slice(at + 1) };
}

function isSecret(value: string): boolean {
  return value.length >= MIN_SECRET && value.length <= MAX_SECRET && /^[!-~]+$/.test(value);
}

/** The address that the last page leads to. It holds the cookie. */
export function renderCallback(user: string, cookie: Secret): Secret {
  return new Secret(`${SCHEME}${toBase64(utf8(`<html><!-- ${tagsOf(user, cookie)} --></html>`))}`);
}

/** What a last page has in a comment of its own. */
export function tagsOf(user: string, cookie: Secret): string {
  const tag = (name: string, value: string) => renderXml(xmlElement(name, {}, [toXmlText(value)]));
  return `${tag('saml-auth-status', '1')}${tag('prelogin-cookie', cookie.reveal())}${tag('saml-username', user)}${tag('saml-slo', 'no')}`;
}

function decoded(base64: string): string | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length > 2 * MAX_PAGE) return undefined;
  try {
    return fromUtf8(fromBase64(base64));
  } catch {
    return undefined; // base64 that is cut short
  }
}
