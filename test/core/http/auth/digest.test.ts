import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MisuseError } from '../../../../src/core/errors.ts';
import { parseChallenges } from '../../../../src/core/http/auth/challenge.ts';
import { DigestScheme, digestAuthorization, parseDigestChallenge } from '../../../../src/core/http/auth/digest.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { testHashes } from '../../../support/hashes.ts';

const RFC_7616 =
  'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=%, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"';
const RFC_7616_CNONCE = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ';
const MUFASA = { username: 'Mufasa', password: new Secret('Circle of Life') };
const GET_INDEX = { method: 'GET', target: '/dir/index.html' };

function answered(header: string, credentials = MUFASA, cnonce = RFC_7616_CNONCE, request = GET_INDEX): string {
  const [challenge] = parseChallenges([header]);
  const digest = challenge && parseDigestChallenge(challenge);
  assert.ok(digest !== undefined);
  return digestAuthorization(digest, credentials, request, { cnonce, count: 1 }, testHashes());
}

/** The parameters of an answer: they have the grammar of a challenge's. */
const fieldsOf = (authorization: string) => Object.fromEntries(parseChallenges([authorization])[0]?.parameters ?? []);

describe('a Digest answer', () => {
  it('is that of RFC 7616, section 3.9.1, with MD5', () => {
    assert.deepEqual(fieldsOf(answered(RFC_7616.replace('%', 'MD5'))), {
      username: 'Mufasa',
      realm: 'http-auth@example.org',
      uri: '/dir/index.html',
      algorithm: 'MD5',
      nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
      nc: '00000001',
      cnonce: RFC_7616_CNONCE,
      qop: 'auth',
      response: '8ca523f5e9506fed4657c9700eebdbec',
      opaque: 'FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS',
    });
  });

  it('is that of RFC 7616, section 3.9.1, with SHA-256', () => {
    const { response, algorithm } = fieldsOf(answered(RFC_7616.replace('%', 'SHA-256')));
    assert.equal(response, '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1');
    assert.equal(algorithm, 'SHA-256');
  });

  it('is that of RFC 2617, section 3.5', () => {
    const header =
      'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"';
    const { response, algorithm } = fieldsOf(answered(header, { username: 'Mufasa', password: new Secret('Circle Of Life') }, '0a4f113b'));
    assert.equal(response, '6629fae49393a05397450978507c4ef1');
    assert.equal(algorithm, undefined, 'what the server did not name is not named back');
  });

  it('has neither counter nor client nonce where the server names no qop', () => {
    // RFC 2069's example, with the response of its erratum 749.
    const header =
      'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"';
    assert.deepEqual(fieldsOf(answered(header, { username: 'Mufasa', password: new Secret('CircleOfLife') })), {
      username: 'Mufasa',
      realm: 'testrealm@host.com',
      nonce: 'dcd98b7102dd2f0e8b11d0f600bfb0c093',
      uri: '/dir/index.html',
      response: '1949323746fe6a43ef61f9606e7febea',
      opaque: '5ccc069c403ebaf9f0171e9517f40e41',
    });
  });

  it('binds the key to both nonces with -sess', () => {
    const session = fieldsOf(answered(RFC_7616.replace('%', 'MD5-sess')));
    assert.equal(session.cnonce, RFC_7616_CNONCE);
    // HA1 = MD5(MD5(Mufasa:http-auth@example.org:Circle of Life):nonce:cnonce), by hand with md5sum
    assert.equal(session.response, sessionResponseByHand());
  });

  it('hashes the user name where the server asks for it', () => {
    // RFC 7616, section 3.9.2 has this name with SHA-512-256; here with SHA-256.
    const header = `${RFC_7616.replace('%', 'SHA-256')}, userhash=true, charset=UTF-8`;
    const fields = fieldsOf(answered(header, { username: 'Jäsøn Doe', password: new Secret('Secret, or not?') }));
    assert.match(fields.username ?? '', /^[0-9a-f]{64}$/);
    assert.equal(fields.userhash, 'true');
  });

  it('writes a user name beyond ASCII in RFC 8187 form where the server knows UTF-8', () => {
    const credentials = { username: 'Jäsøn Doe', password: new Secret('x') };
    assert.match(answered(`${RFC_7616.replace('%', 'MD5')}, charset=UTF-8`, credentials), /username\*=UTF-8''J%C3%A4s%C3%B8n%20Doe,/);
    assert.match(answered(RFC_7616.replace('%', 'MD5'), credentials), /username="Jäsøn Doe",/);
  });

  it('escapes quotes and backslashes, and refuses line ends', () => {
    assert.match(answered(RFC_7616.replace('%', 'MD5'), { username: 'DOM\\"x"', password: new Secret('x') }), /username="DOM\\\\\\"x\\"",/);
    assert.throws(() => answered(RFC_7616.replace('%', 'MD5'), { username: 'a\r\nb', password: new Secret('x') }), MisuseError);
  });

  it('shows nothing of the password', () => {
    assert.ok(!answered(RFC_7616.replace('%', 'MD5')).includes('Circle'));
  });
});

function sessionResponseByHand(): string {
  const md5 = (text: string) => Buffer.from(testHashes().hash('md5', Buffer.from(text))).toString('hex');
  const nonce = '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v';
  const ha1 = md5(`${md5('Mufasa:http-auth@example.org:Circle of Life')}:${nonce}:${RFC_7616_CNONCE}`);
  return md5(`${ha1}:${nonce}:00000001:${RFC_7616_CNONCE}:auth:${md5('GET:/dir/index.html')}`);
}

describe('the Digest scheme', () => {
  const scheme = () => new DigestScheme(MUFASA, testHashes());
  const challenged = (to: DigestScheme, ...headers: readonly string[]) => to.challenged(parseChallenges(headers));

  it('takes the strongest algorithm that is offered', () => {
    const digest = scheme();
    assert.equal(
      challenged(digest, RFC_7616.replace('%', 'MD5'), RFC_7616.replace('%', 'SHA-512-256'), RFC_7616.replace('%', 'SHA-256')),
      undefined,
    );
    assert.match(digest.authorization(GET_INDEX) ?? '', /algorithm=SHA-256,/);
  });

  it('counts the requests that one nonce served', () => {
    const digest = scheme();
    challenged(digest, RFC_7616.replace('%', 'MD5'));
    assert.match(digest.authorization(GET_INDEX) ?? '', /nc=00000001/);
    digest.accepted();
    assert.match(digest.authorization(GET_INDEX) ?? '', /nc=00000002/);
  });

  it('keeps its own nonce as long as the server keeps its', () => {
    let filler = 0;
    const digest = new DigestScheme(MUFASA, { ...testHashes(), randomBytes: (length) => new Uint8Array(length).fill(++filler) });
    const cnonce = () => fieldsOf(digest.authorization(GET_INDEX) ?? '').cnonce;
    challenged(digest, 'Digest realm=r, nonce=1, qop=auth, algorithm=MD5-sess');
    assert.deepEqual([cnonce(), cnonce()], ['01'.repeat(16), '01'.repeat(16)]);
    challenged(digest, 'Digest realm=r, nonce=2, qop=auth, algorithm=MD5-sess, stale=true');
    assert.equal(cnonce(), '02'.repeat(16));
  });

  it('goes on with a new nonce when the old one is stale, said or not', () => {
    const digest = scheme();
    challenged(digest, 'Digest realm=r, nonce=1, qop=auth');
    digest.authorization(GET_INDEX);
    assert.equal(challenged(digest, 'Digest realm=r, nonce=2, qop=auth, stale=true'), undefined);
    assert.match(digest.authorization(GET_INDEX) ?? '', /nonce="2".*nc=00000001/);
    digest.accepted();
    digest.authorization(GET_INDEX);
    assert.equal(challenged(digest, 'Digest realm=r, nonce=3, qop=auth'), undefined, 'it was good before');
    digest.authorization(GET_INDEX);
    assert.match(challenged(digest, 'Digest realm=r, nonce=4, qop=auth') ?? '', /not accepted/);
  });

  it('takes a second challenge for a refusal', () => {
    const digest = scheme();
    challenged(digest, 'Digest realm=r, nonce=1, qop=auth');
    digest.authorization(GET_INDEX);
    assert.match(challenged(digest, 'Digest realm=r, nonce=1, qop=auth, stale=true') ?? '', /not accepted/);
    assert.match(challenged(digest, 'Digest realm=r, nonce=2, qop=auth') ?? '', /not accepted/);
  });

  it('cannot answer another algorithm, a protected body or a missing nonce', () => {
    for (const header of [
      'Digest realm=r, nonce=1, algorithm=SHA-512-256',
      'Digest realm=r, nonce=1, qop="auth-int"',
      'Digest realm=r, qop=auth',
    ]) {
      assert.match(challenged(scheme(), header) ?? '', /do not know/);
    }
  });
});
