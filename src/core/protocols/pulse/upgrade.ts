/**
 * The one HTTP exchange of a Pulse connection.
 *
 * Read first: spec "Pulse", section 2.
 */
import { type HttpHeaders, type HttpRequest, type HttpResponse, headerValue } from '../../http/message.ts';

export const UPGRADE_TOKEN = 'IF-T/TLS 1.0';

/** Clients say no `Connection: Upgrade`. */
export function isUpgrade({ headers }: HttpRequest): boolean {
  return /\bIF-T\/TLS\b/i.test(headerValue(headers, 'Upgrade') ?? '');
}

export function upgradeHeaders(host: string, userAgent: string): HttpHeaders {
  return [
    ['Host', host],
    ['User-Agent', userAgent],
    ['Content-Type', 'EAP'],
    ['Upgrade', UPGRADE_TOKEN],
    ['Content-Length', '0'],
  ];
}

export const SWITCHING: HttpResponse = {
  version: '1.1',
  status: 101,
  reason: 'Switching Protocols',
  headers: [
    ['Content-type', 'application/octet-stream'],
    ['Pragma', 'no-cache'],
    ['Upgrade', UPGRADE_TOKEN],
    ['Connection', 'Upgrade'],
  ],
  body: new Uint8Array(0),
};
