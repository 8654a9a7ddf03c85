/** A log-in at an Array gateway, played: what is sent is what the specification has seen on the wire. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PeerMisbehavedError, PeerRefusedError } from '../../../../src/core/errors.ts';
import type { HttpHeaders } from '../../../../src/core/http/message.ts';
import { login } from '../../../../src/core/protocols/array/login.ts';
import { PlayedIo, type PlayedStep, reply } from '../../../support/played-io.ts';

const TARGET = { host: 'vpn.example', port: 443, path: '/' };
const PAGES = '/prx/000/http/localhost';
const COOKIE: HttpHeaders = [['Set-Cookie', 'ANsession0123456789=abcdef0123; path=/; secure; HttpOnly']];

const FORM: PlayedStep = { asked: ['method', 'uname', 'pwd'], values: ['Corp', 'alice', 'se&cret'] };
const POST = `POST ${PAGES}/login method=Corp&uname=alice&pwd=se%26cret`;
const SCRIPT: PlayedStep = { sent: `GET ${PAGES}/an_login.js`, answer: reply(404) };

async function play(steps: readonly PlayedStep[]) {
  const io = new PlayedIo(steps);
  const credential = await login(io, TARGET, 'Open AnyConnect VPN Agent v9.01');
  io.assertFinished(['se&cret', 'se%26cret', 'abcdef0123']);
  return { io, credential };
}

describe("Array's log-in", () => {
  it('is one form and a cookie', async () => {
    const { io, credential } = await play([FORM, { sent: POST, answer: reply(200, '<html>ok</html>', COOKIE) }]);
    assert.equal(credential.cookie.reveal(), 'ANsession0123456789=abcdef0123');
    assert.deepEqual([credential.protocol, credential.gateway], ['array', TARGET]);
    const names = io.requests[0]?.headers.map(([name]) => name);
    assert.deepEqual(names, ['Host', 'User-Agent', 'X-Pad', 'Content-Type', 'Content-Length']);
    assert.equal(io.forms[0]?.id, 'form');
  });

  it('may end with a redirect, which is followed with the cookie', async () => {
    const { io } = await play([
      FORM,
      { sent: POST, answer: reply(302, '', [...COOKIE, ['Location', `${PAGES}/welcome`]]) },
      { sent: `GET ${PAGES}/welcome`, answer: reply(200, 'Welcome') },
    ]);
    assert.deepEqual(io.requests[1]?.headers.at(-1), ['Cookie', 'ANsession0123456789=abcdef0123']);
  });

  it('is a no where it leads back to a log-in, whatever cookie was set, and says why in the gateway’s words', async () => {
    const script = reply(200, 'var _AN_str_errormsg_login = "Account locked";');
    const { io } = await play([
      FORM,
      { sent: POST, answer: reply(302, '', [...COOKIE, ['Location', `${PAGES}/login`]]) },
      { sent: `GET ${PAGES}/login`, answer: reply(200, 'login') },
      { sent: `GET ${PAGES}/an_login.js`, answer: script },
      FORM,
      { sent: POST, answer: reply(200, '<html>ok</html>', COOKIE) },
    ]);
    assert.equal(io.forms[1]?.error, 'Account locked');
    assert.equal(
      io.requests[3]?.headers.some(([name]) => name === 'Cookie'),
      false,
      'what came before is forgotten',
    );
  });

  it('is refused after three pages without a cookie', async () => {
    const round = [FORM, { sent: POST, answer: reply(200, 'no') }, SCRIPT];
    await assert.rejects(play([...round, ...round, ...round]), PeerRefusedError);
  });

  it('is none where the answer is no answer, or leads to another server', async () => {
    await assert.rejects(play([FORM, { sent: POST, answer: reply(500) }]), PeerMisbehavedError);
    const away = reply(302, '', [['Location', 'https://elsewhere.example/']]);
    await assert.rejects(play([FORM, { sent: POST, answer: away }]), PeerMisbehavedError);
    const around: PlayedStep = { sent: `GET ${PAGES}/welcome`, answer: reply(302, '', [['Location', `${PAGES}/welcome`]]) };
    const first: PlayedStep = { sent: POST, answer: reply(302, '', [['Location', `${PAGES}/welcome`]]) };
    await assert.rejects(play([FORM, first, ...Array.from({ length: 10 }, () => around)]), /more than 10/);
  });
});
