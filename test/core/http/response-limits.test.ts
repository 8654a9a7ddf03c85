/** The response parser against what is too long, wrong or cut anywhere. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError, SallyportError } from '../../../src/core/errors.ts';
import type { HttpResponse } from '../../../src/core/http/message.ts';
import type { Received } from '../../../src/core/http/message-reader.ts';
import { ResponseParser } from '../../../src/core/http/response-parser.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import { sized } from '../../support/size.ts';
import { sliceSizes, slicesOf } from '../../support/slices.ts';
import { given } from './response-reading.ts';

describe('the limits of a response', () => {
  const limits = { lineBytes: 40, headerCount: 3, headBytes: 100, bodyBytes: 10, chunkLineBytes: 8, interimResponses: 2 };
  const isLimit = (error: unknown) => error instanceof PeerMisbehavedError && error.code === 'ERR_HTTP_LIMIT';
  const overflows = (text: string) => assert.throws(() => given(text, { limits }).next(), isLimit);
  const fits = (text: string) => assert.ok(given(text, { limits }).next() !== undefined);

  it('bound a line, complete or not', () => {
    fits(`HTTP/1.1 204 ${'x'.repeat(27)}\r\n\r\n`);
    overflows(`HTTP/1.1 204 ${'x'.repeat(28)}\r\n\r\n`);
    overflows('x'.repeat(42));
    assert.equal(given('x'.repeat(40), { limits }).next(), undefined);
  });

  it('bound a folded header', () => {
    fits(`HTTP/1.1 204 x\r\nX: ${'x'.repeat(17)}\r\n ${'y'.repeat(19)}\r\n\r\n`);
    overflows(`HTTP/1.1 204 x\r\nX: ${'x'.repeat(18)}\r\n ${'y'.repeat(19)}\r\n\r\n`);
  });

  it('bound the headers and the head, trailers included', () => {
    fits('HTTP/1.1 204 x\r\na:\r\nb:\r\nc:\r\n\r\n');
    overflows('HTTP/1.1 204 x\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n');
    overflows(`HTTP/1.1 204 x\r\na: ${'x'.repeat(37)}\r\nb: ${'x'.repeat(37)}\r\n\r\n`);
    overflows('\r\n'.repeat(51));
    overflows('HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n');
  });

  it('bound a body in each of its framings', () => {
    fits('HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\n0123456789');
    overflows('HTTP/1.1 200 x\r\nContent-Length: 11\r\n\r\n');
    fits('HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n');
    overflows('HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n');
    overflows('HTTP/1.0 200 x\r\n\r\n01234567890');
    overflows('HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n1;4567890\r\n');
  });

  it('bound the interim responses', () => {
    const interim = 'HTTP/1.1 100 x\r\n\r\n';
    fits(`${interim.repeat(2)}HTTP/1.1 204 x\r\n\r\n`);
    overflows(`${interim.repeat(3)}HTTP/1.1 204 x\r\n\r\n`);
  });

  it('keep a slow line and a hostile run of blanks cheap', () => {
    const parser = new ResponseParser({ lineBytes: 300_000, headBytes: 1_000_000 });
    parser.expect('GET');
    const blank = utf8(' ');
    parser.push(utf8('HTTP/1.1 204 x\r\nX: a'));
    for (let i = 0; i < 200_000; i++) {
      parser.push(blank);
      parser.next();
    }
    parser.push(utf8('b\r\n\r\n'));
    assert.equal(parser.next()?.message.headers[0]?.[1].length, 200_002);
  });
});

describe('the response parser', () => {
  /** Bytes that look like HTTP more often than chance would have it. */
  const hostile = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          'HTTP/1.1 200 OK',
          'HTTP/1.0 401',
          'HTTP/1.1 100 x',
          '\r\n',
          '\n',
          '\r\n\r\n',
          ': ',
          ' ',
          '0',
          '5',
          'ffffffffffff',
          '-',
        ),
        fc.constantFrom('Content-Length: ', 'Transfer-Encoding: chunked', 'Connection: close', 'abcde', '\u0000', '\t', ';', ','),
        fc.string({ unit: 'binary', maxLength: 5 }),
      ),
      { maxLength: 30 },
    )
    .map((parts) => utf8(parts.join('')));

  it('throws nothing but its own errors, whatever the bytes', () => {
    fc.assert(
      fc.property(hostile, sliceSizes, fc.constantFrom('GET', 'HEAD', 'CONNECT'), (bytes, sizes, method) => {
        const parser = new ResponseParser({ lineBytes: 200, headBytes: 400, bodyBytes: 100 });
        try {
          parser.expect(method);
          for (const slice of slicesOf(bytes, sizes)) {
            parser.push(slice);
            while (parser.next() !== undefined) parser.takeRest();
          }
          parser.finish();
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
      }),
      { numRuns: sized(1000, 100_000) },
    );
  });

  it('comes to the same result in any slicing', () => {
    const outcome = (bytes: Uint8Array, sizes: readonly number[]) => {
      const parser = new ResponseParser();
      parser.expect('GET');
      try {
        let received: Received<HttpResponse> | undefined;
        for (const slice of slicesOf(bytes, sizes)) {
          parser.push(slice);
          received ??= parser.next();
        }
        return received ?? parser.finish();
      } catch (error) {
        return (error as Error).message;
      }
    };
    fc.assert(
      fc.property(hostile, sliceSizes, (bytes, sizes) => assert.deepEqual(outcome(bytes, sizes), outcome(bytes, []))),
      { numRuns: sized(1000, 100_000) },
    );
  });
});
