/** One response read by the parser, as its tests want it. */
import assert from 'node:assert/strict';
import { PeerMisbehavedError } from '../../../src/core/errors.ts';
import type { HttpLimits } from '../../../src/core/http/limits.ts';
import type { HttpResponse } from '../../../src/core/http/message.ts';
import type { Received } from '../../../src/core/http/message-reader.ts';
import { ResponseParser } from '../../../src/core/http/response-parser.ts';
import { fromUtf8, utf8 } from '../../../src/core/wire/text.ts';

/** A parser that expects one response and has been given these bytes. */
export function given(
  text: string | Uint8Array,
  how: { method?: string; startsTunnel?: boolean; limits?: Partial<HttpLimits> } = {},
): ResponseParser {
  const parser = new ResponseParser(how.limits);
  parser.expect(how.method ?? 'GET', how.startsTunnel === undefined ? {} : { startsTunnel: how.startsTunnel });
  parser.push(typeof text === 'string' ? utf8(text) : text);
  return parser;
}

export function only(received: Received<HttpResponse> | undefined): { status: number; body: string; connection: string } {
  assert.ok(received !== undefined, 'the response is complete');
  return { status: received.message.status, body: fromUtf8(received.message.body), connection: received.connection };
}

export const refuses = (text: string, message: RegExp, how: Parameters<typeof given>[1] = {}) =>
  assert.throws(
    () => given(text, how).next(),
    (error: unknown) => error instanceof PeerMisbehavedError && message.test(error.message),
  );
