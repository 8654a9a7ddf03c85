/**
 * HTTP/1.1 messages as bytes. Headers are written in the given order and capitalisation, and none is added: some gateways are picky, and
 * the caller's headers are what the specs show. What they say about the body must be true.
 */
import { MisuseError } from '../errors.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import { utf8 } from '../wire/text.ts';
import { type HttpHeaders, type HttpRequest, type HttpResponse, headerValue, headerValues } from './message.ts';
import { isHeadText, isRequestTarget, isToken } from './tokens.ts';

/** Throws {@link MisuseError} if the request cannot be written as it is. */
export function renderRequest(request: HttpRequest): Uint8Array {
  const { method, target, version, headers, body } = request;
  if (!isToken(method)) throw new MisuseError('An HTTP method is one word.');
  if (!isRequestTarget(target)) throw new MisuseError('An HTTP request target has no blanks and no control characters.');
  checkLength(headers, body);
  if (body.length > 0 && headerValue(headers, 'Content-Length') === undefined && !isChunked(headers)) {
    throw new MisuseError('An HTTP request with a body needs a Content-Length.');
  }
  return renderMessage(`${method} ${target} HTTP/${version}`, headers, body);
}

/** Throws {@link MisuseError} if the response cannot be written as it is. The response to HEAD has an empty body and any length. */
export function renderResponse(response: HttpResponse): Uint8Array {
  const { version, status, reason, headers, body } = response;
  if (!Number.isInteger(status) || status < 100 || status > 999) throw new MisuseError('An HTTP status has three digits.');
  if (!isHeadText(reason)) throw new MisuseError('An HTTP reason cannot hold CR, LF or NUL.');
  if (body.length > 0) checkLength(headers, body);
  return renderMessage(`HTTP/${version} ${status} ${reason}`, headers, body);
}

function renderMessage(startLine: string, headers: HttpHeaders, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter().bytes(utf8(`${startLine}\r\n`));
  for (const [name, value] of headers) {
    if (!isToken(name)) throw new MisuseError('An HTTP header name is one word.');
    // The value is not quoted: it can be a cookie or a password.
    if (!isHeadText(value)) throw new MisuseError(`The HTTP header ${name} cannot hold CR, LF or NUL.`);
    writer.bytes(utf8(`${name}: ${value}\r\n`));
  }
  return renderBody(writer.bytes(utf8('\r\n')), headers, body).finish();
}

function renderBody(writer: ByteWriter, headers: HttpHeaders, body: Uint8Array): ByteWriter {
  if (!isChunked(headers)) return writer.bytes(body);
  if (body.length > 0)
    writer
      .bytes(utf8(`${body.length.toString(16)}\r\n`))
      .bytes(body)
      .bytes(utf8('\r\n'));
  return writer.bytes(utf8('0\r\n\r\n'));
}

function isChunked(headers: HttpHeaders): boolean {
  const codings = headerValues(headers, 'Transfer-Encoding');
  if (codings.length === 0) return false;
  if (codings.join().toLowerCase() !== 'chunked') throw new MisuseError('The only HTTP Transfer-Encoding here is chunked.');
  if (headerValues(headers, 'Content-Length').length > 0) throw new MisuseError('An HTTP message has one length, not two.');
  return true;
}

/** Throws unless every Content-Length says how long the body is. */
function checkLength(headers: HttpHeaders, body: Uint8Array): void {
  if (headerValues(headers, 'Content-Length').some((length) => length !== String(body.length))) {
    throw new MisuseError(`The HTTP body has ${body.length} bytes, but its Content-Length says otherwise.`);
  }
}
