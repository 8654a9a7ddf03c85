/**
 * HTTP messages as log events, line by line, without what is secret: cookies, authorisation, and in bodies whatever the log-in marked.
 * The drop-in shows them under `--dump-http-traffic`.
 */
import type { LoginRequest, Target } from '../core/auth/login-io.ts';
import type { HttpHeaders, HttpResponse } from '../core/http/message.ts';
import type { Logger } from '../core/log.ts';
import { fromUtf8, printable } from '../core/wire/text.ts';

const SECRET_HEADERS = /^(?:cookie|authorization|proxy-authorization|x-dtls-master-secret|x-cstp-post-auth-xml)$/i;

/** Elements of gateways' documents whose text is as good as a password; `argument` is each line of GlobalProtect's answer to a log-in, `val` a key. */
const SECRET_ELEMENTS =
  /(<(session-token|sso-token|host-scan-token|session_id|ur_z|argument|val|prelogin-cookie|portal-(?:prelogon)?userauthcookie)\b[^>]*>)[^<]*/gi;

export function dumpRequest(log: Logger, request: LoginRequest): void {
  log.log('trace', 'http sent', { line: `${request.method} ${shownTarget(request).path} HTTP/1.1` });
  for (const line of headerLines(request.headers)) log.log('trace', 'http sent', { line });
  log.log('trace', 'http sent', { line: '' });
  for (const line of (request.shownBody ?? '').split('\n')) if (line !== '') log.log('trace', 'http sent', { line: printable(line) });
}

export function dumpResponse(log: Logger, response: HttpResponse): void {
  log.log('debug', 'http response', { status: response.status, reason: printable(response.reason), version: response.version });
  for (const line of headerLines(response.headers)) log.log('debug', 'http response header', { line });
  log.log('debug', 'http response body', { length: response.body.length });
  const text = fromUtf8(response.body).replace(SECRET_ELEMENTS, '$1[secret]');
  for (const line of text.split('\n')) if (line !== '') log.log('trace', 'http received', { line: printable(line) });
}

/** Where a request goes, as logs may show it. */
export function shownTarget({ target, shownPath }: LoginRequest): Target {
  return shownPath === undefined ? target : { ...target, path: shownPath };
}

function headerLines(headers: HttpHeaders): string[] {
  return headers.map(([name, value]) => `${name}: ${printable(shownValue(name, value))}`);
}

function shownValue(name: string, value: string): string {
  if (SECRET_HEADERS.test(name)) return '[secret]';
  if (name.toLowerCase() !== 'set-cookie') return value;
  return value.replace(/^([^=;]*=)[^;]+/, '$1[secret]');
}
