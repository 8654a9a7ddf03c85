import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError } from '../../../src/core/errors.ts';
import type { HttpHeaders, HttpRequest, HttpResponse, HttpVersion } from '../../../src/core/http/message.ts';
import { renderRequest, renderResponse } from '../../../src/core/http/render.ts';
import { RequestParser } from '../../../src/core/http/request-parser.ts';
import { ResponseParser } from '../../../src/core/http/response-parser.ts';
import { fromUtf8, utf8 } from '../../../src/core/wire/text.ts';
import { sized } from '../../support/size.ts';
import { sliceSizes, slicesOf } from '../../support/slices.ts';

const request = (changes: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  target: '/',
  version: '1.1',
  headers: [],
  body: new Uint8Array(0),
  ...changes,
});

const response = (changes: Partial<HttpResponse> = {}): HttpResponse => ({
  version: '1.1',
  status: 200,
  reason: 'OK',
  headers: [],
  body: new Uint8Array(0),
  ...changes,
});

describe('rendering', () => {
  it('writes headers in the given order and capitalisation and adds none', () => {
    const headers: HttpHeaders = [
      ['Host', 'vpn.example'],
      ['X-CSTP-Version', '1'],
      ['x-cstp-hostname', 'laptop'],
      ['Empty', ''],
    ];
    assert.equal(
      fromUtf8(renderRequest(request({ method: 'CONNECT', target: '/CSCOSSLC/tunnel', headers }))),
      'CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nHost: vpn.example\r\nX-CSTP-Version: 1\r\nx-cstp-hostname: laptop\r\nEmpty: \r\n\r\n',
    );
    assert.equal(
      fromUtf8(renderRequest(request({ target: '/ssl-tunnel-connect.sslvpn?user=a' }))),
      'GET /ssl-tunnel-connect.sslvpn?user=a HTTP/1.1\r\n\r\n',
    );
    assert.equal(fromUtf8(renderResponse(response({ status: 401, reason: '' }))), 'HTTP/1.1 401 \r\n\r\n');
  });

  it('writes the body in the coding that its headers name', () => {
    const body = utf8('hello, world');
    assert.equal(
      fromUtf8(renderResponse(response({ headers: [['Transfer-Encoding', 'chunked']], body }))),
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nhello, world\r\n0\r\n\r\n',
    );
    assert.equal(
      fromUtf8(renderResponse(response({ headers: [['Content-Length', '12']], body }))),
      'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world',
    );
  });

  it('refuses whatever would break out of the head', () => {
    const breaks = ['a\r\nb', 'a\nb', 'a\rb', 'a\u0000b'];
    for (const text of breaks) {
      const wrong = [
        () => renderRequest(request({ method: text })),
        () => renderRequest(request({ target: text })),
        () => renderRequest(request({ headers: [['X', text]] })),
        () => renderRequest(request({ headers: [[text, 'x']] })),
        () => renderResponse(response({ reason: text })),
        () => renderResponse(response({ headers: [['X', text]] })),
      ];
      for (const render of wrong) assert.throws(render, MisuseError);
    }
  });

  it('does not repeat a refused value: it could be a password', () => {
    assert.throws(
      () => renderRequest(request({ headers: [['Cookie', 'secret\r\n']] })),
      (error: Error) => !error.message.includes('secret'),
    );
  });

  it('refuses words that are none, and a status of other than three digits', () => {
    for (const name of ['', 'a b', 'a:', 'ä']) assert.throws(() => renderRequest(request({ headers: [[name, 'x']] })), MisuseError);
    for (const method of ['', 'GET ', 'G/T']) assert.throws(() => renderRequest(request({ method })), MisuseError);
    for (const target of ['', '/a b', '/a\tb', '/\u00a0']) assert.throws(() => renderRequest(request({ target })), MisuseError);
    for (const status of [99, 1000, 200.5, Number.NaN]) assert.throws(() => renderResponse(response({ status })), MisuseError);
  });

  it('refuses a head that lies about its body', () => {
    const body = utf8('abc');
    assert.throws(() => renderRequest(request({ method: 'POST', body })), /needs a Content-Length/);
    assert.throws(() => renderRequest(request({ headers: [['Content-Length', '3']] })), /says otherwise/);
    assert.throws(() => renderResponse(response({ headers: [['Content-Length', '4']], body })), /says otherwise/);
    assert.throws(() => renderResponse(response({ headers: [['Transfer-Encoding', 'gzip']], body })), /only HTTP Transfer-Encoding/);
    const twice: HttpHeaders = [
      ['Content-Length', '3'],
      ['Transfer-Encoding', 'chunked'],
    ];
    assert.throws(() => renderResponse(response({ headers: twice, body })), /one length, not two/);
  });

  it('lets the answer to HEAD name the length of what it leaves out', () => {
    assert.match(fromUtf8(renderResponse(response({ headers: [['Content-Length', '500']] }))), /Content-Length: 500\r\n\r\n$/);
  });
});

describe('what is rendered', () => {
  const name = fc
    .stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/)
    .filter((text) => !/^(content-length|transfer-encoding|connection|proxy-connection)$/i.test(text));
  const value = fc
    .string({ unit: 'grapheme', maxLength: 30 })
    .map((text) => text.replace(/[\r\n\u0000]/g, '').replace(/^[ \t]+|[ \t]+$/g, ''));
  const headers = fc.array(fc.tuple(name, value), { maxLength: 8 });
  const body = fc.uint8Array({ maxLength: 200 });
  const framing = fc.constantFrom('length', 'chunked');
  const version = fc.constantFrom<HttpVersion>('1.0', '1.1');

  const framed = (framing: string, version: HttpVersion, given: readonly (readonly [string, string])[], body: Uint8Array): HttpHeaders =>
    framing === 'chunked' && version === '1.1'
      ? [...given, ['Transfer-Encoding', 'chunked']]
      : [['Content-Length', String(body.length)], ...given];

  const requests = fc
    .record({
      method: name.filter((text) => text !== 'CONNECT'),
      target: fc.stringMatching(/^\/[!-~]{0,30}$/),
      version,
      headers,
      body,
      framing,
    })
    .map(({ framing, ...rest }): HttpRequest => ({ ...rest, headers: framed(framing, rest.version, rest.headers, rest.body) }));
  const responses = fc
    .record({
      version,
      status: fc.integer({ min: 200, max: 999 }).filter((status) => status !== 204 && status !== 304),
      reason: value,
      headers,
      body,
      framing,
    })
    .map(({ framing, ...rest }): HttpResponse => ({ ...rest, headers: framed(framing, rest.version, rest.headers, rest.body) }));

  it('is read back as it was, requests one after the other, in any slicing', () => {
    fc.assert(
      fc.property(fc.array(requests, { maxLength: 3 }), sliceSizes, (sent, sizes) => {
        const stream = Buffer.concat(sent.map(renderRequest));
        const parser = new RequestParser();
        const received: HttpRequest[] = [];
        for (const slice of slicesOf(stream, sizes)) {
          parser.push(slice);
          for (let next = parser.next(); next !== undefined; next = parser.next()) received.push(next.message);
        }
        const untilClose = sent.findIndex((message) => message.version === '1.0');
        assert.deepEqual(received, untilClose < 0 ? sent : sent.slice(0, untilClose + 1));
      }),
      { numRuns: sized(300, 20_000) },
    );
  });

  it('is read back as it was, responses one after the other, in any slicing', () => {
    fc.assert(
      fc.property(fc.array(responses, { minLength: 1, maxLength: 3 }), sliceSizes, (sent, sizes) => {
        const stream = Buffer.concat(sent.map(renderResponse));
        const parser = new ResponseParser();
        for (const _ of sent) parser.expect('POST');
        const received: HttpResponse[] = [];
        for (const slice of slicesOf(stream, sizes)) {
          parser.push(slice);
          for (let next = parser.next(); next !== undefined; next = parser.next()) received.push(next.message);
        }
        const untilClose = sent.findIndex((message) => message.version === '1.0');
        assert.deepEqual(received, untilClose < 0 ? sent : sent.slice(0, untilClose + 1));
      }),
      { numRuns: sized(300, 20_000) },
    );
  });
});
