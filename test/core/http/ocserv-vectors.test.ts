/** What a real gateway sends, from the bytes to the tree. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { CookieJar } from '../../../src/core/http/cookies.ts';
import { type HttpResponse, headerValue } from '../../../src/core/http/message.ts';
import type { Received } from '../../../src/core/http/message-reader.ts';
import { ResponseParser } from '../../../src/core/http/response-parser.ts';
import { attribute, child, childrenNamed, parseXml, textOf, type XmlElement } from '../../../src/core/markup/xml.ts';

const VECTORS = path.resolve(import.meta.dirname, '../../vectors/anyconnect');

function received(name: string, method = 'POST'): Received<HttpResponse> {
  const parser = new ResponseParser();
  parser.expect(method);
  parser.push(readFileSync(path.join(VECTORS, `ocserv-1.1.6-${name}.http`)));
  const response = parser.next();
  assert.ok(response !== undefined, 'complete');
  assert.equal(parser.takeRest().length, 0, 'to the last byte');
  return response;
}

function authOf(name: string): XmlElement {
  const auth = child(parseXml(received(name).message.body), 'auth');
  assert.ok(auth !== undefined);
  return auth;
}

const textIn = (element: XmlElement, name: string) => childrenNamed(element, name).map(textOf).join();

describe('ocserv 1.1.6', () => {
  it('asks for the user and the group, and deletes the cookie of a dialogue that is over', () => {
    const jar = new CookieJar();
    jar.set('webvpncontext', 'old');
    jar.store(received('init').message.headers);
    assert.equal(jar.size, 0);
    const form = child(authOf('init'), 'form');
    const select = form && child(form, 'select');
    assert.equal(form && attribute(form, 'action'), '/auth');
    assert.deepEqual(select && childrenNamed(select, 'option').map((option) => [attribute(option, 'value'), textOf(option)]), [
      [undefined, 'none'],
      ['ga', 'Group A'],
      ['gb', 'gb'],
    ]);
  });

  it('asks for the password, again after a wrong one', () => {
    assert.equal(textIn(authOf('password'), 'message'), 'Please enter your password.');
    assert.equal(textIn(authOf('wrong-password'), 'message'), 'Login failed.\nPlease enter your password.');
  });

  it('ends the log-in with the session cookie and a banner that is not escaped', () => {
    const { message, connection } = received('complete');
    const jar = new CookieJar();
    jar.store(message.headers);
    assert.equal(connection, 'keep-alive');
    assert.deepEqual(jar.names(), ['webvpncontext', 'webvpn', 'webvpnc']);
    assert.equal(jar.get('webvpn')?.reveal().length, 44);
    const auth = authOf('complete');
    assert.equal(attribute(auth, 'id'), 'success');
    assert.match(textIn(auth, 'banner'), /^Welcome & /);
  });

  it('says 404 with a page and closes', () => {
    const { message, connection } = received('not-found', 'GET');
    assert.deepEqual(
      [message.status, message.body.length, headerValue(message.headers, 'content-LENGTH'), connection],
      [404, 50, '50', 'close'],
    );
  });

  it('refuses a tunnel with a bare status line', () => {
    for (const [name, status, reason] of [
      ['connect-unknown-cookie', 401, 'Cookie is not acceptable'],
      ['connect-no-cookie', 503, 'Service Unavailable'],
    ] as const) {
      const { message, connection } = received(name, 'CONNECT');
      assert.deepEqual([message.status, message.reason, message.headers.length, connection], [status, reason, 0, 'close']);
    }
  });
});
