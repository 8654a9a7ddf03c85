/** Log-in by tokens: a provider of our own on loopback, over TLS, with keys that change. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Secret } from '../../../src/core/secret.ts';
import { parseOidcFile } from '../../../src/gateway/auth/oidc-verifier.ts';
import { Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';
import { sampleConfig, sampleHost } from '../config-samples.ts';
import { AuthScene, START } from './auth-scene.ts';

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

class Issuer implements AsyncDisposable {
  readonly pki: Pki;
  readonly url: string;
  readonly #server: Server;
  #keys: Keys;
  #kid = 0;
  fetches = 0;

  private constructor(pki: Pki, server: Server, keys: Keys) {
    this.pki = pki;
    this.#server = server;
    this.#keys = keys;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', async (request, response) => {
      this.fetches++;
      const isDiscovery = request.url === '/.well-known/openid-configuration';
      const key = { ...(await exportJWK(this.#keys.publicKey)), kid: String(this.#kid), alg: 'ES256' };
      response.end(JSON.stringify(isDiscovery ? { jwks_uri: `${this.url}/keys` } : { keys: [key] }));
    });
  }

  static async open(): Promise<Issuer> {
    const pki = new Pki();
    const { keyPem, certificatePem } = pki.issueServer({ addresses: ['127.0.0.1'] });
    const server = createServer({ key: keyPem, cert: certificatePem });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Issuer(pki, server, await generateKeyPair('ES256'));
  }

  async rotate(): Promise<void> {
    this.#keys = await generateKeyPair('ES256');
    this.#kid++;
  }

  token(claims: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const all = { aud: 'vpn', iss: this.url, exp: START / 1000 + 600, preferred_username: 'alice', ...claims };
    return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid: String(this.#kid) }).sign(this.#keys.privateKey);
  }

  file(auth: AuthScene, more: object = {}): string {
    const file = auth.file('oidc.json');
    writeFileSync(
      file,
      JSON.stringify({
        openid_configuration_url: `${this.url}/.well-known/openid-configuration`,
        user_name_claim: 'preferred_username',
        required_claims: { aud: 'vpn', iss: this.url },
        ca_file: this.pki.root.certificatePath,
        ...more,
      }),
    );
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
    this.pki[Symbol.dispose]();
  }
}

async function logIn(auth: AuthScene, token: string): Promise<string> {
  const { step } = await auth.service.begin(auth.hints({ bearer: new Secret(token) }));
  return step.type === 'admitted' ? step.user : step.type;
}

async function scene(issuer: Issuer, more: object = {}): Promise<AuthScene> {
  const auth = new AuthScene();
  await auth.open(sampleConfig(sampleHost({ auth: { required: [{ method: 'oidc', file: issuer.file(auth, more) }] } })));
  return auth;
}

describe('log-in by token', { skip: missing('openssl') }, () => {
  it('admits the user that the provider names', async () => {
    await using issuer = await Issuer.open();
    await using auth = await scene(issuer);
    assert.equal(await logIn(auth, await issuer.token()), 'alice');
    assert.equal(await logIn(auth, await issuer.token({ preferred_username: 'bob' })), 'bob');
    assert.equal(issuer.fetches, 2, 'the keys are kept');
    assert.equal((await auth.service.begin(auth.hints())).step.type, 'refused', 'no token, no log-in');
  });

  it('refuses tokens for others, of others, out of date, without a user, unsigned or signed by others', async () => {
    await using issuer = await Issuer.open();
    await using stranger = await Issuer.open();
    await using auth = await scene(issuer, { required_claims: { aud: 'vpn', iss: issuer.url, tenant: 'ours' } });
    const good = { tenant: 'ours' };
    assert.equal(await logIn(auth, await issuer.token(good)), 'alice');
    const unsigned = [{ alg: 'none' }, { ...good, aud: 'vpn', iss: issuer.url, exp: START / 1000 + 600, preferred_username: 'alice' }]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const bad = [
      await issuer.token({ ...good, aud: 'mail' }),
      await issuer.token({ ...good, iss: 'https://elsewhere.test' }),
      await issuer.token({ ...good, exp: START / 1000 - 61 }),
      await issuer.token({ ...good, nbf: START / 1000 + 61 }),
      await issuer.token({ ...good, preferred_username: undefined }),
      await issuer.token({ ...good, preferred_username: 7 }),
      await issuer.token({ ...good, preferred_username: '../root' }),
      await issuer.token({ tenant: 'theirs' }),
      await stranger.token({ ...good, iss: issuer.url }),
      `${unsigned}.`,
      'x'.repeat(20_000),
      'not a token',
    ];
    for (const token of bad) assert.equal(await logIn(auth, token), 'refused', token.slice(0, 40));
    const shown = JSON.stringify(auth.logged);
    for (const token of bad) assert.ok(!shown.includes(token), 'a token in the log');
    assert.ok(auth.failures.length >= bad.length - 1);
  });

  it('fetches keys anew when the provider has changed them, but not for every stray token', async () => {
    await using issuer = await Issuer.open();
    await using auth = await scene(issuer);
    const old = await issuer.token();
    assert.equal(await logIn(auth, old), 'alice');
    await issuer.rotate();
    assert.equal(await logIn(auth, await issuer.token()), 'refused', 'the keys are too young to be asked for again');
    assert.equal(issuer.fetches, 2);
    auth.now += 60_000;
    assert.equal(await logIn(auth, await issuer.token()), 'alice');
    assert.equal(issuer.fetches, 4);
    auth.now += 60_000;
    assert.equal(await logIn(auth, old), 'refused');
  });

  it('does not believe a provider whose certificate is not verified', async () => {
    await using issuer = await Issuer.open();
    await using auth = await scene(issuer, { ca_file: undefined });
    assert.equal(await logIn(auth, await issuer.token()), 'refused');
    assert.equal(issuer.fetches, 0);
  });

  it('can have its keys in a file', async () => {
    await using issuer = await Issuer.open();
    await using auth = new AuthScene();
    const { publicKey, privateKey } = await generateKeyPair('RS256');
    writeFileSync(auth.file('keys.json'), JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'RS256' }] }));
    const file = issuer.file(auth, { openid_configuration_url: undefined, jwks_file: auth.file('keys.json') });
    await auth.open(sampleConfig(sampleHost({ auth: { required: [{ method: 'oidc', file }] } })));
    const claims = { aud: 'vpn', iss: issuer.url, exp: START / 1000 + 600, preferred_username: 'carol' };
    assert.equal(await logIn(auth, await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k' }).sign(privateKey)), 'carol');
    assert.equal(issuer.fetches, 0);
  });

  it('says what is wrong with its file', () => {
    assert.throws(() => parseOidcFile('f.json', '{'), /f\.json is not JSON/);
    assert.throws(() => parseOidcFile('f.json', '{}'), /user_name_claim/);
    const file = { openid_configuration_url: 'http://x.test/', user_name_claim: 'sub', required_claims: { aud: 'a', iss: 'b' } };
    assert.throws(() => parseOidcFile('f.json', JSON.stringify(file)), /openid_configuration_url/, 'keys by plain HTTP can be anybody’s');
    assert.throws(
      () => parseOidcFile('f.json', JSON.stringify({ ...file, openid_configuration_url: 'https://x.test/', required_claims: {} })),
      /aud and iss/,
    );
  });
});
