/** What is a Network Connect gateway, and what is not, by what it answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ncRecogniser } from '../../../../src/core/protocols/nc/recognition.ts';
import { reply } from '../../../support/played-io.ts';

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
