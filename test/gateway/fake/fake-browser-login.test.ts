/** A log-in with a browser at the fake gateway, played by requests: the library's page of this machine, the gateway's own for the identity provider's, and back. */
import assert from 'node:assert/strict';
import { request as httpsRequest } from 'node:https';
import { describe, it } from 'node:test';
import { authenticate, connect } from '../../../src/client/index.ts';
import { MisuseError, PeerRefusedError, UnsupportedError } from '../../../src/core/errors.ts';
import { FakeGateway, INSIDE } from '../../../src/gateway/fake/fake-gateway.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const USERS = [{ name: 'bob', password: 'secret', questions: [{ prompt: 'Please enter your code.', answer: '123456' }] }];

/** Of a gateway whose certificate nobody knows. */
function fetchPage(url: string, form?: Readonly<Record<string, string>>): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const body = form && new URLSearchParams(form).toString();
  const options = { method: body === undefined ? 'GET' : 'POST', rejectUnauthorized: false };
  const request = httpsRequest(url, options, (answer) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    answer.on('end', () => resolve(text));
  });
  request.on('error', reject).end(body);
  return promise;
}

const between = (text: string, pattern: RegExp) =>
  pattern.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? assert.fail(`${pattern} in ${text}`);

/** What a person does, from the page that is opened first to what is pasted into it. */
async function logIn(url: string, password: string, take: (lastPage: string) => string): Promise<void> {
  const opened = await fetch(url);
  const own = await opened.text();
  const link = new URL(between(own, /<a href="([^"]*)"/), url);
  const start = link.hostname === new URL(url).hostname && link.protocol === 'http:' ? await (await fetch(link)).text() : undefined;
  const first = start === undefined ? link.href : between(start, /action="([^"]*)"/);
  const page = start === undefined ? await fetchPage(first) : await fetchPage(first, {});
  const action = new URL(between(page, /action="([^"]*)"/), first).href;
  const question = await fetchPage(action, { user: 'bob', passwd: password });
  assert.match(question, /<h1>(Please enter your code\.|Log in)<\/h1>/);
  const state = /name="state" value="([^"]*)"/.exec(question)?.[1] ?? '';
  const last = await fetchPage(action, { state, passwd: '123456' });
  await fetch(opened.url, { method: 'POST', body: new URLSearchParams({ copied: take(last) }) });
}

describe('a log-in with a browser at the fake gateway', { timeout: HANG_LIMIT }, () => {
  for (const browserLogin of ['redirect', 'post'] as const) {
    it(`goes by the ${browserLogin === 'post' ? 'gateway’s page' : 'address'} that clients are told, and back by a link or the page’s source`, async () => {
      await using gateway = await FakeGateway.start({ protocol: 'gp', users: USERS, browserLogin });
      const takes = [(last: string) => between(last, /href="(globalprotectcallback:[^"]*)"/), (last: string) => last];
      for (const take of takes) {
        await using vpn = await connect(gateway.url, {
          ...{ protocol: 'gp', pins: [gateway.pin], device: 'userspace' },
          browser: (url) => logIn(url, 'secret', take),
        });
        assert.deepEqual(gateway.users, ['bob'], 'at the portal alone');
        await vpn.ping(INSIDE.ipv4);
      }
    });
  }

  it('is the only way in, and says what to do where there is no browser', async () => {
    await using gateway = await FakeGateway.start({ protocol: 'gp', users: USERS, browserLogin: 'redirect' });
    const options = { protocol: 'gp', pins: [gateway.pin], user: 'bob', password: 'secret' } as const;
    const wanted = (error: Error) => error instanceof UnsupportedError && error.message.includes(`${gateway.url}/SAML20/SP/login`);
    await assert.rejects(authenticate(gateway.url, options), wanted);
    for (const path of ['/global-protect/getconfig.esp', '/ssl-vpn/login.esp'])
      for (const more of [{}, { 'prelogin-cookie': 'anything' }]) {
        const answer = await fetchPage(`${gateway.url}${path}`, { user: 'bob', passwd: 'secret', ...more });
        assert.match(answer, /Authentication failure/, `the right password at ${path}`);
      }
    const wrong = authenticate(gateway.url, { ...options, browser: (url) => logIn(url, 'wrong', () => FAILED) });
    await assert.rejects(wrong, PeerRefusedError);
    assert.deepEqual(gateway.users, []);
  });

  it('is not played for protocols without', async () => {
    await assert.rejects(FakeGateway.start({ protocol: 'nc', browserLogin: 'post' }), MisuseError);
  });
});

const FAILED = '<saml-auth-status>-1</saml-auth-status>';
