/** curl as a foreign client: its requests against our parser, our responses against its parser, its log-ins against our arithmetic. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { parseChallenges } from '../../src/core/http/auth/challenge.ts';
import { digestAuthorization, parseDigestChallenge } from '../../src/core/http/auth/digest.ts';
import {
  AV_IDS,
  decodeNtlmAuthenticate,
  decodeNtlmNegotiate,
  encodeAvPairs,
  encodeNtlmChallenge,
  NTLM_FLAGS,
  utf16,
} from '../../src/core/http/auth/ntlm-messages.ts';
import { ntlmv2ResponseKey } from '../../src/core/http/auth/ntlm-v2.ts';
import { type HttpHeaders, type HttpRequest, type HttpResponse, headerValue } from '../../src/core/http/message.ts';
import { renderResponse } from '../../src/core/http/render.ts';
import { Secret } from '../../src/core/secret.ts';
import { fromBase64, toBase64, toHex, utf8 } from '../../src/core/wire/text.ts';
import { testHashes } from '../support/hashes.ts';
import { startHttpServer } from '../support/http-server.ts';
import { missing } from '../support/requirements.ts';

const crypto = testHashes();

async function curl(...parameters: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('curl', ['--silent', '--show-error', '--noproxy', '*', '--max-time', '20', ...parameters]);
  return stdout;
}

function response(status: number, headers: HttpHeaders = [], body = ''): HttpResponse {
  return { version: '1.1', status, reason: 'x', headers: [...headers, ['Content-Length', String(body.length)]], body: utf8(body) };
}

const ok = (body: string) => ({ bytes: renderResponse(response(200, [], body)) });

describe('curl', { skip: missing('curl') }, () => {
  it('sends requests that we read, several on a connection', async () => {
    await using server = await startHttpServer((request) => ok(`${request.method} ${request.target} ${request.body.length}\n`));
    const url = `http://127.0.0.1:${server.port}`;
    const output = await curl(
      `${url}/a`,
      '--next',
      '--silent',
      '-d',
      'x=1&y=2',
      `${url}/b`,
      '--next',
      '--silent',
      '-H',
      'Transfer-Encoding: chunked',
      '-d',
      'z'.repeat(5000),
      `${url}/c`,
    );
    assert.equal(output, 'GET /a 0\nPOST /b 7\nPOST /c 5000\n');
  });

  it('reads the responses that we write, in each framing', async () => {
    const body = 'two lines\nof text\n'.repeat(100);
    await using server = await startHttpServer(({ target, method }) => {
      const chunked: HttpResponse = { ...response(200, [], ''), headers: [['Transfer-Encoding', 'chunked']], body: utf8(body) };
      if (target === '/chunked') return { bytes: renderResponse(chunked) };
      if (target === '/close') return { bytes: renderResponse({ ...chunked, version: '1.0', headers: [] }), closes: true };
      if (method === 'HEAD')
        return {
          bytes: renderResponse({
            ...chunked,
            headers: [
              ['Content-Length', '5'],
              ['X-Seen', 'yes'],
            ],
            body: new Uint8Array(0),
          }),
        };
      return ok(body);
    });
    const url = `http://127.0.0.1:${server.port}`;
    assert.equal(await curl(`${url}/length`, `${url}/chunked`, `${url}/close`), body.repeat(3));
    assert.match(await curl('--head', `${url}/head`), /X-Seen: yes/);
  });

  for (const challenge of ['algorithm=MD5, qop="auth"', 'algorithm=SHA-256, qop="auth"', 'algorithm=MD5-sess, qop="auth"', 'opaque="o"']) {
    it(`answers a Digest challenge as we do (${challenge})`, async () => {
      const header = `Digest realm="a \\"b\\"", nonce="n0nce", ${challenge}`;
      await using server = await startHttpServer((request) => {
        const authorization = headerValue(request.headers, 'Authorization');
        if (authorization === undefined) return { bytes: renderResponse(response(401, [['WWW-Authenticate', header]])) };
        return ok(isDigestRight(header, authorization, request) ? 'welcome' : 'wrong');
      });
      assert.equal(await curl('--digest', '--user', 'alice:open sesame', `http://127.0.0.1:${server.port}/path?q=1`), 'welcome');
    });
  }

  it('logs in with NTLMv2 as we do', async () => {
    // An ASCII password: curl 7.88 widens bytes instead of decoding UTF-8.
    const serverChallenge = utf8('01234567');
    const targetInfo = encodeAvPairs([
      { id: 2, value: utf16('CORP') },
      { id: AV_IDS.timestamp, value: utf8('\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0001') },
    ]);
    const flags = NTLM_FLAGS.unicode | NTLM_FLAGS.ntlm | NTLM_FLAGS.targetInfo | NTLM_FLAGS.extendedSessionSecurity;
    const negotiated = new WeakSet<object>();
    await using server = await startHttpServer((request, connection) => {
      const message = headerValue(request.headers, 'Authorization')?.replace('NTLM ', '');
      if (message === undefined) return { bytes: renderResponse(response(401, [['WWW-Authenticate', 'NTLM']])) };
      if (!negotiated.has(connection)) {
        negotiated.add(connection);
        assert.ok((decodeNtlmNegotiate(fromBase64(message)).flags & NTLM_FLAGS.ntlm) !== 0);
        const challenge = toBase64(encodeNtlmChallenge({ flags, serverChallenge, targetInfo }));
        return { bytes: renderResponse(response(401, [['WWW-Authenticate', `NTLM ${challenge}`]])) };
      }
      const { user, domain, ntResponse } = decodeNtlmAuthenticate(fromBase64(message));
      const key = ntlmv2ResponseKey(crypto, user, domain, 'Pass word 1');
      const proof = crypto.hmac('md5', key, Buffer.concat([serverChallenge, ntResponse.subarray(16)]));
      return ok(`${domain}\\${user} ${toHex(proof) === toHex(ntResponse.subarray(0, 16))}`);
    });
    assert.equal(await curl('--ntlm', '--user', 'CORP\\alice:Pass word 1', `http://127.0.0.1:${server.port}/`), 'CORP\\alice true');
  });
});

function isDigestRight(challengeHeader: string, authorization: string, { method, target }: HttpRequest): boolean {
  const fieldsOf = (header: string) => parseChallenges([header])[0]?.parameters ?? new Map<string, string>();
  const [challenge] = parseChallenges([challengeHeader]);
  const digest = challenge && parseDigestChallenge(challenge);
  assert.ok(digest !== undefined);
  const theirs = fieldsOf(authorization);
  const nonces = { cnonce: theirs.get('cnonce') ?? '', count: Number.parseInt(theirs.get('nc') ?? '1', 16) };
  const credentials = { username: 'alice', password: new Secret('open sesame') };
  const ours = fieldsOf(digestAuthorization(digest, credentials, { method, target }, nonces, crypto));
  return ours.get('response') === theirs.get('response') && ours.get('realm') === theirs.get('realm');
}
