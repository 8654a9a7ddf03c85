import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError, SallyportError, TruncatedError } from '../../../src/core/errors.ts';
import { RequestParser } from '../../../src/core/http/request-parser.ts';
import { fromUtf8, utf8 } from '../../../src/core/wire/text.ts';
import { sized } from '../../support/size.ts';
import { sliceSizes, slicesOf } from '../../support/slices.ts';

function given(text: string, limits = {}): RequestParser {
  const parser = new RequestParser(limits);
  parser.push(utf8(text));
  return parser;
}

const refuses = (text: string, message: RegExp) =>
  assert.throws(
    () => given(text).next(),
    (error: unknown) => error instanceof PeerMisbehavedError && message.test(error.message),
  );

describe('the request parser', () => {
  it('reads a request with its body', () => {
    const text = 'POST /auth HTTP/1.1\r\nHost: gw:4443\r\nX-Pad: 000\r\nContent-Length: 4\r\n\r\na=b&';
    assert.deepEqual(given(text).next(), {
      message: {
        method: 'POST',
        target: '/auth',
        version: '1.1',
        headers: [
          ['Host', 'gw:4443'],
          ['X-Pad', '000'],
          ['Content-Length', '4'],
        ],
        body: utf8('a=b&'),
      },
      connection: 'keep-alive',
    });
  });

  it('takes a request without a length as one without a body', () => {
    const parser = given('POST /global-protect/prelogin.esp HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n');
    assert.equal(parser.next()?.message.body.length, 0);
    assert.equal(parser.next()?.connection, 'close', 'HTTP/1.0 is answered once');
  });

  it('tolerates a body on GET, and several blanks in the request line', () => {
    const received = given('GET   / \t HTTP/1.1\nContent-Length: 2\n\nhi').next();
    assert.equal(received?.message.target, '/');
    assert.equal(fromUtf8(received?.message.body ?? new Uint8Array()), 'hi');
  });

  it('leaves what follows a request to whoever asks first: the next request or a tunnel', () => {
    const text = 'GET /remote/sslvpn-tunnel HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n\r\n';
    const asTunnel = given(text);
    asTunnel.next();
    assert.equal(fromUtf8(asTunnel.takeRest()), 'GET /next HTTP/1.1\r\n\r\n');
    const asHttp = given(text);
    asHttp.next();
    assert.equal(asHttp.next()?.message.target, '/next');
  });

  it('reads no body where a request lies about its own, and leaves the tunnel alone', () => {
    const parser = new RequestParser({}, ({ method, target }) => method === 'POST' && target === '/tunnel');
    parser.push(utf8('POST /tunnel HTTP/1.1\r\nContent-Length: 256\r\n\r\nhello'));
    const received = parser.next();
    assert.deepEqual([received?.message.body.length, received?.connection], [0, 'tunnel']);
    assert.deepEqual(parser.takeRest(), utf8('hello'));
  });

  it('reads nothing more after CONNECT', () => {
    const parser = given('CONNECT localhost:0  HTTP/1.0\r\nContent-Length: 3\r\n\r\nGET / HTTP/1.1\r\n\r\n'); // NetExtender: two blanks
    const received = parser.next();
    assert.equal(received?.connection, 'tunnel');
    assert.equal(received?.message.target, 'localhost:0');
    assert.equal(parser.next(), undefined);
    assert.equal(fromUtf8(parser.takeRest()), 'GET / HTTP/1.1\r\n\r\n');
  });

  it('refuses what is no request line, without repeating it: the target can hold a cookie', () => {
    for (const line of [
      'GET /',
      'GET / HTTP/2.0',
      'GET / HTTP/1.2',
      'GET / http/1.1',
      '/ HTTP/1.1',
      'G(T / HTTP/1.1',
      'GET /a b HTTP/1.1',
      ' GET / HTTP/1.1',
      '\u0016\u0003\u0001',
    ]) {
      refuses(`${line}\r\n\r\n`, /^not an HTTP\/1.1 request line$/);
    }
    refuses('GET /a\u007f HTTP/1.1\r\n\r\n', /not an HTTP/);
  });

  it('refuses a body whose length can be read in two ways', () => {
    refuses('POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n', /both/);
    refuses('POST / HTTP/1.1\r\nContent-Length: 3\r\ncontent-length: 5\r\n\r\n', /several different/);
  });

  it('tells a request that is too large from one that is wrong', () => {
    assert.throws(() => given('POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n', { bodyBytes: 65_536 }).next(), {
      code: 'ERR_HTTP_LIMIT',
    });
    assert.throws(() => given('POST\r\n').next(), { code: 'ERR_PEER_MISBEHAVED' });
  });

  it('takes larger bodies from when it is allowed to, and no sooner', () => {
    const parser = new RequestParser({ bodyBytes: 4 });
    const request = (length: number) => utf8(`POST / HTTP/1.1\r\nContent-Length: ${length}\r\n\r\n${'x'.repeat(length)}`);
    parser.push(request(4));
    parser.push(request(8));
    assert.equal(parser.next()?.message.body.length, 4);
    parser.allowBody(8);
    assert.equal(parser.next()?.message.body.length, 8);
    parser.push(utf8('POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n'));
    assert.throws(() => parser.next(), { code: 'ERR_HTTP_LIMIT' });
  });

  it('ends quietly between requests and with an error inside one', () => {
    assert.equal(given('').finish(), undefined);
    assert.equal(given('GET / HTTP/1.1\r\n\r\n').finish()?.message.method, 'GET');
    assert.throws(() => given('GET / HT').finish(), TruncatedError);
    assert.throws(() => given('POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na').finish(), TruncatedError);
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    const part = fc.oneof(
      fc.constantFrom(
        'GET / HTTP/1.1\r\n',
        'CONNECT /t HTTP/1.1\r\n',
        '\r\n',
        'Content-Length: 3\r\n',
        'Transfer-Encoding: chunked\r\n',
        '3\r\nabc\r\n',
        '0\r\n\r\n',
      ),
      fc.string({ unit: 'binary', maxLength: 6 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), sliceSizes, (parts, sizes) => {
        const parser = new RequestParser();
        try {
          for (const slice of slicesOf(utf8(parts.join('')), sizes)) {
            parser.push(slice);
            while (parser.next() !== undefined);
          }
          parser.finish();
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
      }),
      { numRuns: sized(1000, 100_000) },
    );
  });
});
