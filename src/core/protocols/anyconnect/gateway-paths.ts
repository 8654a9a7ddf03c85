/**
 * What a gateway serves beside log-in and tunnel: its certificates, and stubs for the files that Cisco's clients look for.
 *
 * Read first: spec "AnyConnect", sections 11.1 and 11.3. Everything is harmless and the same for everybody.
 */
import type { HttpRequest } from '../../http/message.ts';
import { toBase64, utf8 } from '../../wire/text.ts';
import type { HostPage } from '../gateway-protocol.ts';
import { file, type GatewayAnswer, notFound } from './gateway-answer.ts';

const LOGIN_PATHS: readonly string[] = ['/', '/auth', '/VPN'];

/** A path without its query. */
export function pathOf(target: string): string {
  return target.split('?', 1)[0] ?? '';
}

/** Observed: a GET may have a query and go deeper, a POST may not. */
export function isLoginPath({ method, target }: Pick<HttpRequest, 'method' | 'target'>): boolean {
  if (method === 'POST') return LOGIN_PATHS.includes(target);
  return method === 'GET' && (pathOf(target) === '/' || LOGIN_PATHS.slice(1).some((path) => isAtOrBelow(path, target)));
}

/** The profile is one file, whatever name stands behind this. */
export function isProfilePath({ method, target }: Pick<HttpRequest, 'method' | 'target'>): boolean {
  return method === 'GET' && isAtOrBelow('/profiles', target);
}

function isAtOrBelow(path: string, target: string): boolean {
  return target === path || target.startsWith(`${path}/`) || target.startsWith(`${path}?`);
}

interface Stub {
  readonly type: string;
  readonly body: Uint8Array;
}

const EMPTY_PAGE: Stub = { type: 'text/html', body: utf8('<html></html>\n') };
const EMPTY_MANIFEST: Stub = { type: 'text/xml', body: utf8('<?xml version="1.0" encoding="UTF-8"?>\n<vpn rev="1.0">\n</vpn>\n') };

const STUBS: ReadonlyMap<string, Stub> = new Map([
  ['/1/index.html', EMPTY_PAGE],
  ['/1/Linux', EMPTY_PAGE],
  ['/1/Linux_64', EMPTY_PAGE],
  ['/1/Windows', EMPTY_PAGE],
  ['/1/Darwin_i386', EMPTY_PAGE],
  ['/logout', EMPTY_PAGE],
  ['/1/VPNManifest.xml', EMPTY_MANIFEST],
  // A version that is never newer.
  ['/1/binaries/update.txt', { type: 'text/xml', body: utf8('0,0,0000\n') }],
  ['/1/binaries/vpndownloader.sh', { type: 'application/x-shellscript', body: utf8('#!/bin/sh\n\nexit 0') }],
]);

/** The answer to a GET of anything but log-in and profile: a file, or that there is none. */
export function serveFile(request: HttpRequest, host: HostPage): GatewayAnswer {
  const found = request.method === 'GET' ? (certificateAt(request.target, host) ?? stubAt(request.target)) : undefined;
  return found === undefined ? notFound(request) : file(request, found.type, found.body, host.headers);
}

function stubAt(target: string): Stub | undefined {
  for (const [path, stub] of STUBS) if (isAtOrBelow(path, target)) return stub;
  // Spec 11.1: translations and customisations: there are none.
  return target.startsWith('/+CSCOT+/') ? EMPTY_MANIFEST : undefined;
}

function certificateAt(target: string, { certificate, issuer }: HostPage): Stub | undefined {
  switch (target) {
    case '/cert.pem':
      return asPem(certificate);
    case '/cert.cer':
      return asDer(certificate);
    case '/ca.pem':
      return issuer && asPem(issuer);
    case '/ca.cer':
      return issuer && asDer(issuer);
    default:
      return undefined;
  }
}

function asDer(body: Uint8Array): Stub {
  return { type: 'application/pkix-cert', body };
}

/** RFC 7468. */
function asPem(der: Uint8Array): Stub {
  const lines = toBase64(der).match(/.{1,64}/g) ?? [];
  return {
    type: 'application/x-pem-file',
    body: utf8(['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')),
  };
}
