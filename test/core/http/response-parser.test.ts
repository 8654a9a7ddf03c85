import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MisuseError, TruncatedError, UnsupportedError } from '../../../src/core/errors.ts';
import { ResponseParser } from '../../../src/core/http/response-parser.ts';
import { fromUtf8, utf8 } from '../../../src/core/wire/text.ts';
import { given, only, refuses } from './response-reading.ts';

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
