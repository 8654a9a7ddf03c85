import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError, PeerMisbehavedError, SallyportError, TruncatedError, UnsupportedError } from '../../../src/core/errors.ts';
import type { HttpLimits } from '../../../src/core/http/limits.ts';
import type { HttpResponse } from '../../../src/core/http/message.ts';
import type { Received } from '../../../src/core/http/message-reader.ts';
import { ResponseParser } from '../../../src/core/http/response-parser.ts';
import { fromUtf8, utf8 } from '../../../src/core/wire/text.ts';
import { sized } from '../../support/size.ts';
import { sliceSizes, slicesOf } from '../../support/slices.ts';

/** A parser that expects one response and has been given these bytes. */
function given(
  text: string | Uint8Array,
  how: { method?: string; startsTunnel?: boolean; limits?: Partial<HttpLimits> } = {},
): ResponseParser {
  const parser = new ResponseParser(how.limits);
  parser.expect(how.method ?? 'GET', how.startsTunnel === undefined ? {} : { startsTunnel: how.startsTunnel });
  parser.push(typeof text === 'string' ? utf8(text) : text);
  return parser;
}

function only(received: Received<HttpResponse> | undefined): { status: number; body: string; connection: string } {
  assert.ok(received !== undefined, 'the response is complete');
  return { status: received.message.status, body: fromUtf8(received.message.body), connection: received.connection };
}

const refuses = (text: string, message: RegExp, how: Parameters<typeof given>[1] = {}) =>
  assert.throws(
    () => given(text, how).next(),
    (error: unknown) => error instanceof PeerMisbehavedError && message.test(error.message),
  );

describe('the head of a response', () => {
  it('keeps names, capitalisation, order and repetition of its headers', () => {
    const received = given(
      'HTTP/1.1 200 CONNECTED\r\nX-CSTP-DNS: 10.0.0.1\r\nx-cstp-dns:10.0.0.2\r\nX-CSTP-MTU: \t1399 \r\nContent-Length: 0\r\n\r\n',
    ).next();
    assert.deepEqual(received?.message, {
      version: '1.1',
      status: 200,
      reason: 'CONNECTED',
      headers: [
        ['X-CSTP-DNS', '10.0.0.1'],
        ['x-cstp-dns', '10.0.0.2'],
        ['X-CSTP-MTU', '1399'],
        ['Content-Length', '0'],
      ],
      body: new Uint8Array(0),
    });
  });

  it('may end its lines with LF alone', () => {
    assert.deepEqual(only(given('HTTP/1.1 200 OK\nContent-Length: 2\n\nhi').next()), { status: 200, body: 'hi', connection: 'keep-alive' });
  });

  it('may come without a reason, or with one in UTF-8', () => {
    assert.equal(given('HTTP/1.1 204\r\n\r\n').next()?.message.reason, '');
    assert.equal(given('HTTP/1.1 204 grüß dich\r\n\r\n').next()?.message.reason, 'grüß dich');
    assert.equal(given('HTTP/1.1 204 one\u2028line\r\n\r\n').next()?.message.reason, 'one\u2028line');
  });

  it('may fold a header over several lines, which become one blank each', () => {
    const received = given('HTTP/1.1 204 x\r\nX-Reason: one\r\n\t two\r\n three\r\n \r\nServer: y\r\n\r\n').next();
    assert.deepEqual(received?.message.headers, [
      ['X-Reason', 'one two three'],
      ['Server', 'y'],
    ]);
  });

  it('may follow empty lines that an earlier body left behind', () => {
    assert.equal(given('\r\n\n\r\nHTTP/1.1 204 x\r\n\r\n').next()?.message.status, 204);
  });

  it('is refused with another version, no status or no name of a header', () => {
    refuses('HTTP/2 200 OK\r\n\r\n', /not an HTTP\/1.1 response: HTTP\/2 200/);
    refuses('HTTP/1.1 20 OK\r\n\r\n', /not an HTTP/);
    refuses('HTTP/1.1 099 OK\r\n\r\n', /not an HTTP/);
    refuses('SSH-2.0-OpenSSH\u001b[31m\r\n\r\n', /not an HTTP\/1.1 response: SSH-2.0-OpenSSH\[31m$/);
    refuses('HTTP/1.1 200 OK\r\nno colon\r\n\r\n', /no valid name/);
    refuses('HTTP/1.1 200 OK\r\n: x\r\n\r\n', /no valid name/);
    refuses('HTTP/1.1 200 OK\r\n folded: x\r\n\r\n', /before its first header/);
  });

  it('is refused where two readers could see different headers', () => {
    refuses('HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n', /no valid name/);
    refuses('HTTP/1.1 200 OK\r\nX-A: b\rContent-Length: 5\r\n\r\n', /CR or NUL/);
    refuses('HTTP/1.1 200 OK\r\nX-A: b\u0000c\r\n\r\n', /CR or NUL/);
    refuses('HTTP/1.1 200 OK\r\n\ufeffContent-Length: 5\r\n\r\n', /no valid name/);
    refuses('HTTP/1.1 200 O\u0000K\r\n\r\n', /CR or NUL/);
  });

  it('does not repeat a header value in an error: it could be a cookie', () => {
    assert.throws(
      () => given('HTTP/1.1 200 OK\r\nSet-Cookie: webvpn=secret\u0000\r\n\r\n').next(),
      (error: Error) => !error.message.includes('secret'),
    );
  });
});

describe('the length of a response body', () => {
  it('is what Content-Length says, also where it says it twice', () => {
    assert.equal(only(given('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc').next()).body, 'abc');
    assert.equal(only(given('HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\nabc').next()).body, 'abc');
  });

  it('is refused where it is contradictory or no number', () => {
    refuses('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd', /several different/);
    refuses('HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabcd', /several different/);
    for (const length of ['-1', '+3', '3.0', '0x3', '', '3 3', '3;', '\u00a03', '1e1']) {
      refuses(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\nabc`, /not a number/);
    }
    refuses('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\nabc', /not a number/);
    refuses('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n', /both/);
    refuses('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', /came with 1.1/);
  });

  it('is refused where it is more than 2^31, 2^53 or 2^64, not wrapped', () => {
    for (const length of ['2147483648', '4294967299', '9007199254740993', '18446744073709551619', '9'.repeat(400)]) {
      refuses(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\nabc`, /more than 16777216 bytes of body/);
    }
  });

  it('is unknown with another transfer coding', () => {
    assert.throws(() => given('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n').next(), UnsupportedError);
  });

  it('is nothing for HEAD, 204 and 304, whatever the headers say', () => {
    const head = (status: number) => `HTTP/1.1 ${status} x\r\nContent-Length: 99999999999\r\n\r\n`;
    assert.equal(only(given(head(200), { method: 'HEAD' }).next()).body, '');
    assert.equal(only(given(head(204)).next()).body, '');
    assert.equal(only(given(head(304)).next()).body, '');
  });

  it('is all that comes until the connection ends, where the head says that it will end', () => {
    for (const head of [
      'HTTP/1.1 200 OK\r\nConnection: close',
      'HTTP/1.0 200 OK\r\nConnection: Keep-Alive',
      'HTTP/1.1 200 OK\r\nProxy-Connection: Close',
    ]) {
      const parser = given(`${head}\r\n\r\nsome`);
      assert.equal(parser.next(), undefined);
      parser.push(utf8(' more'));
      assert.equal(parser.next(), undefined);
      assert.deepEqual(only(parser.finish()), { status: 200, body: 'some more', connection: 'close' });
    }
  });

  it('may not stay unsaid on a connection that goes on', () => {
    refuses('HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody', /how long/);
  });
});

describe('a chunked response body', () => {
  const chunked = (body: string) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n${body}`;

  it('is put together; extensions and trailers are dropped', () => {
    const received = given(chunked('3\r\nabc\r\n00A;name="v"\r\n0123456789\r\n0\r\nX-Trailer: y\r\n folded\r\n\r\n')).next();
    assert.deepEqual(only(received), { status: 200, body: 'abc0123456789', connection: 'keep-alive' });
    assert.deepEqual(received?.message.headers, [['Transfer-Encoding', 'Chunked']]);
  });

  it('may have LF alone and blanks behind its sizes', () => {
    assert.equal(only(given(chunked('2 \nab\n0\n\n')).next()).body, 'ab');
  });

  it('is refused with a size that is none, or a chunk longer than its size', () => {
    for (const size of ['', '-1', '+1', '0x1', 'g', ' 1', '1 2', '1,']) refuses(chunked(`${size}\r\na\r\n0\r\n\r\n`), /no valid size/);
    refuses(chunked('1\r\nab\r\n0\r\n\r\n'), /goes on after its size/);
  });

  it('is refused when a size is too large, not wrapped', () => {
    for (const size of ['1000001', '7fffffff', '80000000', '100000001', 'f'.repeat(16), 'f'.repeat(400)]) {
      refuses(chunked(`${size}\r\nab`), /more than 16777216 bytes of body/);
    }
  });

  it('is cut short when the connection ends before its last line', () => {
    const parser = given(chunked('2\r\nab\r\n0\r\n'));
    assert.equal(parser.next(), undefined);
    assert.throws(() => parser.finish(), TruncatedError);
  });
});

describe('a tunnel in the place of a body', () => {
  it('begins after a 2xx answer to CONNECT: what follows the head is its own', () => {
    const parser = given('HTTP/1.1 200 CONNECTED\r\nX-CSTP-MTU: 1399\r\nContent-Length: 5\r\n\r\nSTF\u0001', { method: 'CONNECT' });
    assert.deepEqual(only(parser.next()), { status: 200, body: '', connection: 'tunnel' });
    parser.push(utf8('more'));
    assert.equal(parser.next(), undefined);
    assert.equal(fromUtf8(parser.takeRest()), 'STF\u0001more');
    assert.equal(parser.takeRest().length, 0);
  });

  it('begins after a 2xx answer to any request that was said to start one, even if the head says close', () => {
    const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: close\r\n\r\n'; // Network Connect
    assert.equal(given(head, { method: 'POST', startsTunnel: true }).next()?.connection, 'tunnel');
    assert.equal(given('HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n', { startsTunnel: true }).next()?.connection, 'tunnel');
  });

  it('begins after 101, whatever was asked', () => {
    const parser = given('HTTP/1.1 101 Switching Protocols\r\nUpgrade: IF-T/TLS 1.0\r\n\r\n\u0000\u0000');
    assert.equal(parser.next()?.connection, 'tunnel');
    assert.equal(parser.takeRest().length, 2);
  });

  it('does not begin after a refusal, which may say nothing of its length', () => {
    const bare = given('HTTP/1.1 401 Cookie is not acceptable\r\n\r\n', { method: 'CONNECT' });
    assert.deepEqual(only(bare.next()), { status: 401, body: '', connection: 'close' });
    const long = given('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno', { method: 'CONNECT' });
    assert.deepEqual(only(long.next()), { status: 407, body: 'no', connection: 'keep-alive' });
  });

  it('leaves nothing to expect on the connection', () => {
    const parser = given('HTTP/1.1 200 CONNECTED\r\n\r\n', { method: 'CONNECT' });
    parser.next();
    assert.throws(() => parser.expect('GET'), MisuseError);
  });
});

describe('responses on one connection', () => {
  it('are kept apart: what follows one is the next', () => {
    const parser = new ResponseParser();
    parser.expect('GET');
    parser.expect('HEAD');
    parser.expect('GET');
    parser.push(
      utf8(
        'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 x\r\nContent-Length: 7\r\n\r\nHTTP/1.1 403 y\r\nContent-Length: 0\r\n\r\n',
      ),
    );
    assert.deepEqual(
      [parser.next(), parser.next(), parser.next()].map((received) => received?.message.status),
      [200, 404, 403],
    );
    assert.equal(parser.next(), undefined);
    assert.equal(parser.finish(), undefined);
  });

  it('may have interim responses in front of them, with headers of their own', () => {
    const received = given(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    ).next();
    assert.deepEqual(only(received), { status: 200, body: 'ok', connection: 'keep-alive' });
  });

  it('end with one that closes it: later bytes are dropped', () => {
    const parser = given('HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 1\r\n\r\nagarbage');
    assert.deepEqual(only(parser.next()), { status: 200, body: 'a', connection: 'close' });
    parser.push(utf8('HTTP/1.1 200 OK\r\n'));
    assert.equal(parser.next(), undefined);
    assert.equal(parser.finish(), undefined);
    assert.throws(() => parser.expect('GET'), MisuseError);
  });

  it('are refused when no request asked for them', () => {
    const complete = new ResponseParser();
    complete.push(utf8('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n'));
    assert.throws(() => complete.next(), /without a request/);
    const early = given('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1');
    early.next();
    assert.throws(() => early.expect('GET'), /answer no HTTP request/);
    const tidy = given('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\r\n');
    tidy.next();
    tidy.expect('GET'); // an empty line after a body is a bad habit, not a response
  });

  it('tell whether one has begun, for who may send a request again', () => {
    const parser = given('');
    assert.equal(parser.hasBegun, false);
    assert.throws(() => parser.finish(), new TruncatedError('HTTP connection ended before the response'));
    const begun = given('H');
    begun.next();
    assert.equal(begun.hasBegun, true);
    assert.throws(() => begun.finish(), new TruncatedError('HTTP connection ended inside the head of a message'));
    const inside = given('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n');
    inside.next();
    assert.equal(inside.hasBegun, true);
    assert.throws(() => inside.finish(), new TruncatedError('HTTP connection ended inside the body of a message'));
  });

  it('cannot be read on after an error: it is thrown again', () => {
    const parser = given('HTTP/1.1 200 OK\r\n\r\n');
    assert.throws(() => parser.next(), /how long/);
    parser.push(utf8('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    assert.throws(() => parser.next(), /how long/);
    assert.throws(() => parser.finish(), /how long/);
  });

  it('are not handed out in pieces as a rest', () => {
    const parser = given('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na');
    parser.next();
    assert.throws(() => parser.takeRest(), MisuseError);
  });
});

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
