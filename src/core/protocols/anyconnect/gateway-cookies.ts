/**
 * The cookies of a gateway, both ways: what a client brings, and what a log-in leaves it with, attribute by attribute as ocserv has them.
 *
 * Read first: spec "AnyConnect", sections 3.5, 3.17 and 11.3.
 */
import { parseCookies } from '../../http/cookies.ts';
import { type HttpHeaders, headerValues } from '../../http/message.ts';
import { Secret } from '../../secret.ts';
import type { Millis } from '../../tunnel/packet.ts';
import type { ProfileReference } from './gateway-document.ts';
import { SESSION_COOKIE } from './session-cookie.ts';

/** Carries a log-in over its connections. */
export const DIALOGUE_COOKIE = 'webvpncontext';
/** What Cisco's downloader looks for. */
const DOWNLOAD_COOKIE = 'webvpnc';

type Header = readonly [name: 'Set-Cookie', value: string];

/** As both of them are made: 32 bytes in base64. */
const MADE_BY_A_GATEWAY = /^[A-Za-z0-9+/]{43}=$/;

/** `none`: there is none; `odd`: no gateway has made it; else its value. */
export type BroughtCookie = 'none' | 'odd' | Secret;

/** The last of a name counts: a client's jar has one of each. */
export function broughtCookie(headers: HttpHeaders, name: typeof DIALOGUE_COOKIE | typeof SESSION_COOKIE): BroughtCookie {
  const value = headerValues(headers, 'Cookie')
    .flatMap(parseCookies)
    .findLast((cookie) => cookie.name === name)?.value;
  if (value === undefined || value === '') return 'none';
  return MADE_BY_A_GATEWAY.test(value) ? new Secret(value) : 'odd';
}

/** A log-in that has begun. */
export function dialogueCookie(id: string, timeout: Millis): Header {
  return ['Set-Cookie', `${DIALOGUE_COOKIE}=${id}; Max-Age=${Math.ceil(timeout / 1000)}; Secure; HttpOnly`];
}

export function noDialogueCookie(): Header {
  return ['Set-Cookie', expired(DIALOGUE_COOKIE)];
}

export function noSessionCookie(): Header {
  return ['Set-Cookie', expired(SESSION_COOKIE)];
}

function expired(name: string): string {
  return `${name}=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly`;
}

/** What a log-in is done with; the administrator's headers stand where ocserv has them. */
export function welcomeCookies(
  dialogue: string,
  session: Secret,
  headers: HttpHeaders,
  facts: { readonly certificateSha1: string; readonly profile: (ProfileReference & { readonly name: string }) | undefined },
): HttpHeaders {
  return [
    ['Set-Cookie', `${DIALOGUE_COOKIE}=${dialogue}; Secure; HttpOnly`],
    ['Set-Cookie', `${SESSION_COOKIE}=${session.reveal()}; Secure; HttpOnly`],
    ['Set-Cookie', expired(DOWNLOAD_COOKIE)],
    ...headers,
    ['Set-Cookie', `${DOWNLOAD_COOKIE}=bu:/&p:t&iu:1/&sh:${facts.certificateSha1}${profilePart(facts.profile)}; path=/; Secure; HttpOnly`],
  ];
}

function profilePart(profile: (ProfileReference & { readonly name: string }) | undefined): string {
  if (profile === undefined) return '';
  return `&lu:/+CSCOT+/translation-table?textdomain%3DAnyConnect%26type%3Dmanifest&fu:profiles%2F${encodeURIComponent(profile.name)}&fh:${profile.sha1}`;
}
