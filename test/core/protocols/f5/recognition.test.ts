/** What is a BIG-IP, and what is not, by what it answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { f5Recogniser } from '../../../../src/core/protocols/f5/recognition.ts';
import { reply } from '../../../support/played-io.ts';

describe('recognition of F5', () => {
  it('is certain where a gateway sends to its policy or sets its cookies', () => {
    const { judgeEntry, judge } = f5Recogniser;
    assert.deepEqual(judgeEntry(reply(302, '', [['Location', '/my.policy']])), {
      certainty: 'certain',
      sign: 'it sends browsers to /my.policy',
    });
    assert.equal(judgeEntry(reply(200, '', [['Set-Cookie', 'MRHSession=1; path=/']])).certainty, 'certain');
    assert.equal(judge(reply(200, '', [['Set-Cookie', 'LastMRH_Session=1']])).sign, 'it sets a cookie LastMRH_Session');
    assert.equal(judge(reply(200, '<form id="auth_form" method="post">')).certainty, 'likely');
  });

  it('asks for the page of the policy', () => {
    const { method, target } = f5Recogniser.request({ host: 'vpn.example', port: 443, path: '/' });
    assert.deepEqual([method, target.path], ['GET', '/my.policy']);
  });

  it('finds nothing in other answers', () => {
    for (const answer of [reply(404), reply(302, '', [['Location', '/remote/login']]), reply(200, '<form id="login">')]) {
      assert.equal(f5Recogniser.judgeEntry(answer).certainty, 'no');
      assert.equal(f5Recogniser.judge(answer).certainty, 'no');
    }
  });
});
