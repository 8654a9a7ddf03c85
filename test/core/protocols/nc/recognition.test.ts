/** What is a Network Connect gateway, and what is not, by what it answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HttpHeaders } from '../../../../src/core/http/message.ts';
import { ncGateway } from '../../../../src/core/protocols/nc/gateway.ts';
import { ncRecogniser } from '../../../../src/core/protocols/nc/recognition.ts';
import { reply } from '../../../support/played-io.ts';

describe('Network Connect’s front at our gateway', () => {
  const claim = (path: string, ...headers: HttpHeaders) =>
    ncGateway.claims({ method: 'GET', target: path, version: '1.1', headers, body: new Uint8Array(0) });

  it('claims what its clients ask for, and not what Pulse’s ask for with the same cookie', () => {
    assert.equal(claim('/dana-na/auth/url_6/welcome.cgi?p=failed'), 'certain');
    assert.equal(claim('/', ['NCP-Version', '3']), 'certain');
    assert.equal(claim('/', ['Cookie', 'a=b; DSID=1']), 'certain');
    assert.equal(claim('/'), 'likely');
    assert.equal(claim('/', ['Cookie', 'DSID=1'], ['Upgrade', 'IF-T/TLS 1.0']), 'no');
    assert.equal(claim('/remote/login'), 'no');
  });
});

describe('recognition of Network Connect', () => {
  it('is certain where a gateway sends to its welcome page, sets its cookies, or shows its form', () => {
    const { judgeEntry, judge } = ncRecogniser;
    for (const location of ['/dana-na/auth/url_default/welcome.cgi', 'https://vpn.example/dana-na/auth/url_6/welcome.cgi?p=preauth']) {
      assert.equal(judgeEntry(reply(302, '', [['Location', location]])).certainty, 'certain', location);
    }
    assert.equal(judgeEntry(reply(200, '', [['Set-Cookie', 'DSSIGNIN=url_default; path=/dana-na/']])).sign, 'it sets a cookie DSSIGNIN');
    assert.equal(judge(reply(200, '<form name="frmLogin" method="POST">')).certainty, 'certain');
  });

  it('asks for the welcome page', () => {
    const { method, target } = ncRecogniser.request({ host: 'vpn.example', port: 443, path: '/' });
    assert.deepEqual([method, target.path], ['GET', '/dana-na/auth/url_default/welcome.cgi']);
  });

  it('finds nothing in other answers', () => {
    for (const answer of [reply(404), reply(302, '', [['Location', '/my.policy']]), reply(200, '<form name="login">')]) {
      assert.equal(ncRecogniser.judgeEntry(answer).certainty, 'no');
      assert.equal(ncRecogniser.judge(answer).certainty, 'no');
    }
  });
});
