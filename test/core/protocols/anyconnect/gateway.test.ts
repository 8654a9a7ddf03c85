import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../../src/core/errors.ts';
import type { HttpHeaders, HttpRequest } from '../../../../src/core/http/message.ts';
import { anyconnectGateway } from '../../../../src/core/protocols/anyconnect/gateway.ts';
import { loadGatewayProtocol } from '../../../../src/core/protocols/registry.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { utf8 } from '../../../../src/core/wire/text.ts';
import { connect, cookieOf, Door, get, initDocument, named, post, withPassword } from '../../../support/gateway-door.ts';
import { PlayedSession, PlayedVisitor } from '../../../support/gateway-visitor.ts';
import { missing } from '../../../support/requirements.ts';
import { throwawayCertificate } from '../../../support/throwaway-certificate.ts';

const NOT_FOUND =
  'HTTP/1.1 404 Not found\r\nContent-length: 50\r\nConnection: close\r\n\r\n<html><body><h1>404 Not Found</h1></body></html>\r\n';
const ALICE = { users: { alice: { password: 'right-one' } } };

const served = (type: string, body: string, version = '1.1') =>
  `HTTP/${version} 200 OK\r\nConnection: Keep-Alive\r\nContent-Type: ${type}\r\nX-Transcend-Version: 1\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

describe('AnyConnect’s front at our gateway', () => {
  it('is what the registry loads, and claims its own clients’ requests', async () => {
    assert.equal(await loadGatewayProtocol('anyconnect'), anyconnectGateway);
    const claim = (request: HttpRequest) => anyconnectGateway.claims(request);
    assert.equal(claim(connect('x')), 'certain');
    assert.equal(claim(get('/anything', [['User-Agent', 'AnyConnect Windows 4.10']])), 'named');
    assert.equal(claim(post('/', '', [['X-Transcend-Version', '1']])), 'certain');
    assert.equal(claim(get('/', [['User-Agent', 'Mozilla/5.0']])), 'likely');
    assert.equal(claim(get('/remote/login', [['User-Agent', 'Mozilla/5.0']])), 'no');
  });

  // Observed with ocserv 1.1.6, to the byte.
  it('has the stubs that Cisco’s clients look for', async () => {
    const visitor = new PlayedVisitor();
    const manifest = served('text/xml', '<?xml version="1.0" encoding="UTF-8"?>\n<vpn rev="1.0">\n</vpn>\n');
    const empty = served('text/html', '<html></html>\n');
    for (const [target, answer] of [
      ...['/1/index.html', '/1/Linux', '/1/Linux_64', '/1/Windows', '/1/Darwin_i386', '/logout', '/1/Linux/', '/1/Linux?x'].map((path) => [
        path,
        empty,
      ]),
      ...['/1/VPNManifest.xml', '/+CSCOT+/', '/+CSCOT+/translation-table?textdomain=x&type=manifest'].map((path) => [path, manifest]),
      ['/1/binaries/update.txt', served('text/xml', '0,0,0000\n')],
      ['/1/binaries/vpndownloader.sh', served('application/x-shellscript', '#!/bin/sh\n\nexit 0')],
    ] as [string, string][]) {
      assert.equal(await new Door(visitor).text(get(target)), answer, target);
    }
  });

  it('has no other paths and methods, and closes after saying so', async () => {
    const visitor = new PlayedVisitor(ALICE);
    const requests: HttpRequest[] = [
      ...['/nope', '/authx', '/1/', '/+CSCOT+', '/svc', '/profilesx', '/ca.pem', '/ca.cer', '/cert.pem/..', '/VPNx'].map((target) =>
        get(target),
      ),
      ...['/nope', '/auth?x', '/auth/x', '/profiles', '/1/Linux'].map((target) => post(target, initDocument())),
      { ...get('/'), method: 'HEAD' },
      { ...get('/'), method: 'OPTIONS' },
      { ...get('/'), method: 'PUT' },
    ];
    for (const request of requests) {
      const door = new Door(visitor);
      assert.equal(await door.text(request), NOT_FOUND, `${request.method} ${request.target}`);
      assert.equal(await door.end, 'close');
    }
  });

  it('has its log-in at three paths, and a GET may go deeper', async () => {
    for (const request of [
      ...['/', '/auth', '/VPN', '/?x', '/auth?x', '/auth/x', '/VPN?x'].map((target) => get(target)),
      post('/VPN', initDocument()),
    ]) {
      assert.match(await new Door(new PlayedVisitor(ALICE)).text(request), /Please enter your username/, request.target);
    }
  });

  it('gives out its certificate and its issuer’s, and no more', { skip: missing('openssl') }, async () => {
    const { der, certificatePem } = throwawayCertificate();
    const issuer = utf8('issuer');
    const visitor = new PlayedVisitor({ page: { certificate: der, issuer } });
    assert.equal(await new Door(visitor).text(get('/cert.pem')), served('application/x-pem-file', certificatePem));
    const answer = await new Door(visitor).exchange(get('/cert.cer'));
    assert.ok(typeof answer !== 'string');
    assert.deepEqual(answer.body, der);
    assert.equal(await new Door(visitor).text(get('/ca.cer')), served('application/pkix-cert', 'issuer'));
  });

  it('gives the profile to who has logged in, under any name', async () => {
    const visitor = new PlayedVisitor({ page: { profile: { name: 'p.xml', bytes: utf8('<AnyConnectProfile/>\n') } } });
    const cookie = visitor.newId();
    visitor.sessions.set(cookie, new PlayedSession({}, 'alice', undefined, undefined));
    const brings = (value: string): HttpHeaders => [['Cookie', `a=b; webvpn=${value}`]];
    for (const target of ['/profiles', '/profiles/p.xml', '/profiles/%2e%2e/etc/passwd']) {
      assert.equal(await new Door(visitor).text(get(target, brings(cookie))), served('text/xml', '<AnyConnectProfile/>\n'));
    }
    assert.equal(await new Door(visitor).text(get('/profiles/p.xml')), 'HTTP/1.1 503 Service Unavailable\r\n\r\n');
    assert.equal(
      await new Door(visitor).text(get('/profiles/p.xml', brings(visitor.newId()))),
      'HTTP/1.1 401 Cookie is not acceptable\r\n\r\n',
    );
    const without = new PlayedVisitor();
    without.sessions.set(cookie, new PlayedSession({}, 'alice', undefined, undefined));
    assert.equal(await new Door(without).text(get('/profiles/p.xml', brings(cookie))), NOT_FOUND);
  });

  it('serves sixteen requests on a connection, and one of HTTP/1.0 or with Connection: close', async () => {
    const door = new Door(new PlayedVisitor());
    for (let requests = 0; requests < 16; requests++) assert.match(await door.text(get('/logout')), /^HTTP\/1\.1 200 OK/);
    assert.equal(await door.end, 'close');
    const old = new Door(new PlayedVisitor());
    assert.equal(await old.text({ ...get('/logout'), version: '1.0' }), served('text/html', '<html></html>\n', '1.0'));
    assert.equal(await old.end, 'close');
    const last = new Door(new PlayedVisitor());
    assert.match(await last.text(get('/logout', [['Connection', 'close']])), /200 OK/);
    assert.equal(await last.end, 'close');
  });

  it('closes when the client leaves, and says what is wrong with a path that is too long', async () => {
    const door = new Door(new PlayedVisitor());
    door.leave();
    assert.equal(await door.end, 'close');
    const visitor = new PlayedVisitor();
    assert.equal(await new Door(visitor).text(get(`/${'a'.repeat(255)}`)), 'HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n\r\n');
    assert.equal(await new Door(visitor).text(get(`/${'a'.repeat(254)}`)), NOT_FOUND);
  });

  it('tells the client two words of what fails on our side, and the administrator all', async () => {
    class Broken extends PlayedVisitor {
      override begin(): never {
        throw new NetworkError('The process with the passwords is gone.');
      }
    }
    const visitor = new Broken();
    const door = new Door(visitor);
    assert.equal(await door.text(get('/')), 'HTTP/1.1 503 Service Unavailable\r\nX-Reason: Server error\r\n\r\n');
    assert.ok(visitor.log.lines.some((line) => line.includes('The process with the passwords is gone.')));
  });
});

describe('Camouflage', () => {
  const camouflage = { secret: new Secret('open-sesame'), realm: 'My "site"\r\n' };
  const visitorWith = (page: object = { camouflage }) => new PlayedVisitor({ ...ALICE, page });

  it('answers like a web site that has nothing for who does not show the secret', async () => {
    for (const request of [
      get('/'),
      get('/?open-sesam'),
      get('/?x=open-sesame'),
      post('/', initDocument()),
      get('/logout'),
      get('/cert.pem'),
    ]) {
      const challenged = await new Door(visitorWith()).text(request);
      assert.equal(challenged, 'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="My site"\r\nContent-Length: 0\r\n\r\n');
      assert.equal(await new Door(visitorWith({ camouflage: { secret: camouflage.secret } })).text(request), NOT_FOUND);
    }
    for (const cookie of [undefined, new PlayedVisitor().newId()]) {
      assert.match(await new Door(visitorWith()).text(connect(cookie)), /^HTTP\/1\.1 405 Method Not Allowed\r\n/);
    }
  });

  it('is gone for the rest of the connection once the secret was shown', async () => {
    const door = new Door(visitorWith());
    assert.match(await door.text(post('/?open-sesame', initDocument())), /Please enter your username/);
    assert.match(await door.text(post('/auth', named('alice'))), /Please enter your password/);
    assert.match(await door.text(connect(undefined)), /503 Service Unavailable/);
  });

  it('lets a log-in that has begun, and a session, in on another connection', async () => {
    const visitor = visitorWith();
    const first = new Door(visitor);
    await first.exchange(post('/?open-sesame', initDocument()));
    const asked = await first.exchange(post('/auth', named('alice')));
    const cookie: HttpHeaders = [['Cookie', `webvpncontext=${cookieOf(asked, 'webvpncontext')}`]];
    const welcome = await new Door(visitor).exchange(post('/auth', withPassword('right-one'), cookie));
    const session = cookieOf(welcome, 'webvpn') ?? assert.fail('not logged in');
    assert.match(await new Door(visitor).text(get('/logout', [['Cookie', `webvpn=${session}`]])), /200 OK/);
    assert.equal(await new Door(visitor).exchange(connect(session)), 'tunnel');
  });
});
