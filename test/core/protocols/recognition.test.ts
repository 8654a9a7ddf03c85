/** What a gateway is taken for, by what it answers to strangers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LoginRequest } from '../../../src/core/auth/login-io.ts';
import { NetworkError } from '../../../src/core/errors.ts';
import type { HttpResponse } from '../../../src/core/http/message.ts';
import { recogniseGateway } from '../../../src/core/protocols/recognition.ts';
import { PlayedIo, reply } from '../../support/played-io.ts';

const TARGET = { host: 'vpn.example', port: 443, path: '/' };

/** Answers by method and path; everything else is not there. */
class StrangersIo extends PlayedIo {
  readonly #answers: Readonly<Record<string, HttpResponse>>;

  readonly #resets: string | undefined;

  /** @param resets the request at which the connection breaks */
  constructor(answers: Readonly<Record<string, HttpResponse>>, resets?: string) {
    super([]);
    this.#answers = answers;
    this.#resets = resets;
  }

  override async http(request: LoginRequest): Promise<HttpResponse> {
    this.requests.push(request);
    const name = `${request.method} ${request.target.path}`;
    if (name === this.#resets) throw new NetworkError('The connection was reset.');
    return this.#answers[name] ?? reply(404);
  }
}

async function recognise(answers: Readonly<Record<string, HttpResponse>>, asks: 'enough' | 'all' = 'enough') {
  const io = new StrangersIo(answers);
  const { protocol, certainty } = await recogniseGateway(io, TARGET, asks);
  return { found: [protocol, certainty], requests: io.requests };
}

describe('a gateway', () => {
  it('is known by where it sends a stranger, with one request', async () => {
    const fortinet = await recognise({ 'GET /': reply(302, '', [['Location', '/remote/login?lang=en']]) });
    assert.deepEqual(fortinet.found, ['fortinet', 'certain']);
    assert.equal(fortinet.requests.length, 1);
    const script = await recognise({ 'GET /': reply(200, '<script>top.location="/remote/login";</script>') });
    assert.deepEqual(script.found, ['fortinet', 'certain']);
    const array = await recognise({ 'GET /': reply(302, '', [['Location', '/prx/000/http/localhost/login']]) });
    assert.deepEqual(array.found, ['array', 'certain']);
    const cisco = await recognise({ 'GET /': reply(302, '', [['Location', 'https://vpn.example/+CSCOE+/logon.html']]) });
    assert.deepEqual(cisco.found, ['anyconnect', 'certain']);
  });

  it('is known by how it answers a client of its own, where the entry says nothing', async () => {
    const anyconnect = await recognise({ 'POST /': reply(200, '<?xml version="1.0"?><config-auth client="vpn" type="auth-request"/>') });
    assert.deepEqual(anyconnect.found, ['anyconnect', 'certain']);
    const fortinet = await recognise({ 'GET /remote/login': reply(200, '<form action="/remote/logincheck">') });
    assert.deepEqual(fortinet.found, ['fortinet', 'certain']);
    assert.deepEqual((await recognise({ 'GET /remote/login': reply(200, 'fgt_lang') })).found, ['fortinet', 'likely']);
    const pages = '/prx/000/http/localhost/';
    const array = await recognise({ [`GET ${pages}login`]: reply(200, `<form action="${pages}login">`) });
    assert.deepEqual(array.found, ['array', 'certain']);
    assert.deepEqual((await recognise({ [`GET ${pages}login`]: reply(200, 'var _AN_str_x') })).found, ['array', 'likely']);
  });

  it('is asked on where it cannot stand the request of another vendor', async () => {
    const io = new StrangersIo({ 'GET /remote/login': reply(200, '<form action="/remote/logincheck">') }, 'POST /');
    const { protocol, evidence } = await recogniseGateway(io, TARGET, 'enough');
    assert.equal(protocol, 'fortinet');
    assert.ok(!evidence.some(({ request }) => request.startsWith('POST')), 'what was not answered proves nothing');
    await assert.rejects(recogniseGateway(new StrangersIo({}, 'GET /'), TARGET), NetworkError);
  });

  it('that says nothing is tried as the usual one, and that is said', async () => {
    assert.deepEqual((await recognise({})).found, ['anyconnect', 'no']);
  });

  it('is asked everything by who wants to see everything, and is sent nothing of anybody', async () => {
    const { requests } = await recognise({ 'GET /': reply(302, '', [['Location', '/remote/login']]) }, 'all');
    assert.ok(requests.length > 2);
    for (const { headers } of requests) assert.ok(!headers.some(([name]) => ['cookie', 'authorization'].includes(name.toLowerCase())));
  });
});
