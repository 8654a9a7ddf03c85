/** What a program without a compiler gives us, and what it is told. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkOptions } from '../../src/client/check-options.ts';
import { authenticate, type Credential, connect, MisuseError, recognise, Secret } from '../../src/client/index.ts';
import { FakeGateway } from '../../src/gateway/index.ts';

const URL = 'https://vpn.example.com';
const CREDENTIAL: Credential = {
  ...{ gateway: { host: 'vpn.example.com', port: 443, path: '/' }, pin: `pin-sha256:${'A'.repeat(43)}=`, cookie: new Secret('x') },
};

describe('options that a compiler would have refused', () => {
  const mistakes: readonly { readonly options: unknown; readonly says: RegExp }[] = [
    { options: null, says: /^The options are an object\.$/ },
    { options: { protocol: 'cisco' }, says: /"protocol" is one of "auto", "anyconnect"/ },
    { options: { user: 5 }, says: /"user" is text\.$/ },
    { options: { password: 5 }, says: /"password" is text or a Secret\.$/ },
    { options: { token: { secret: 'base32:A' } }, says: /"token" is \{ mode: "totp" or "hotp", secret \}\.$/ },
    { options: { formEntries: [{ form: 'main', value: 'x' }] }, says: /"formEntries" is a list of/ },
    { options: { onForm: {} }, says: /"onForm" is a function\.$/ },
    { options: { certificate: 'alice.pem' }, says: /"certificate" is \{ certificate: FILE/ },
    { options: { pins: `pin-sha256:${'A'.repeat(43)}=` }, says: /"pins" is a list of pins\.$/ },
    { options: { allowLegacy: ['ssl'] }, says: /"allowLegacy" is a list of "tls" and "dtls"\.$/ },
    { options: { signal: 5 }, says: /"signal" is an AbortSignal\.$/ },
    { options: { signal: { addEventListener: () => undefined } }, says: /"signal" is an AbortSignal\.$/ },
    { options: { hostCheckWords: { hostCheck: 5 } }, says: /"hostCheckWords" is \{ hostCheck, virtualDesktop \}\.$/ },
    { options: { credential: { gateway: {} } }, says: /"credential" is what a log-in yielded/ },
    { options: { credential: JSON.parse(JSON.stringify(CREDENTIAL)) }, says: /of which "cookie" is a Secret\.$/ },
    { options: { device: 'userspce' }, says: /"device" is "tun", "userspace", \{ name \}, or a device\.$/ },
    { options: { network: 'configured' }, says: /"network" is "configure", "none" or \{ script \}\.$/ },
    { options: { udp: 'no' }, says: /"udp" is true or false\.$/ },
    { options: { reconnectTimeout: Number.NaN }, says: /"reconnectTimeout" is a number of milliseconds\.$/ },
  ];
  for (const { options, says } of mistakes) {
    it(`are named, and their values are not repeated: ${JSON.stringify(options)}`, () => {
      assert.throws(
        () => checkOptions(URL, options),
        (error) => error instanceof MisuseError && says.test(error.message),
      );
    });
  }

  it('name no interface that cannot be, before anybody logs in', async () => {
    await assert.rejects(connect(URL, { device: { name: 'a b' } }), /"a b" cannot be the name of an interface/);
    checkOptions(URL, { device: { name: 'a b', start: () => undefined } }); // a device that is there
  });

  it('are looked at by whatever takes them, as is the gateway', async () => {
    const wrong = { protocol: 'cisco' } as never;
    for (const take of [connect, authenticate, recognise]) {
      await assert.rejects(take(URL, wrong), MisuseError, take.name);
      await assert.rejects(take(undefined as never), MisuseError, take.name);
    }
  });

  it('may be left out, undefined, and more than we know', () => {
    checkOptions(URL, {});
    checkOptions(URL, {
      user: undefined,
      password: new Secret('x'),
      device: { name: 'vpn0' },
      network: { script: 'true' },
      log: console,
      credential: CREDENTIAL,
      more: 1,
    });
  });
});

describe('functions of the caller', () => {
  it('that throw, or answer what is no answer, end the log-in with a MisuseError that has the cause', async () => {
    await using gateway = await FakeGateway.start({ protocol: 'anyconnect' });
    const trusting = { pins: [gateway.pin] };
    const mine = new Error('mine');
    const throwing = async () => Promise.reject(mine);
    await assert.rejects(authenticate(gateway.url, { ...trusting, onForm: throwing }), {
      name: 'MisuseError',
      message: 'onForm has thrown: mine',
      cause: mine,
    });
    await assert.rejects(authenticate(gateway.url, { onCertificate: throwing }), {
      name: 'MisuseError',
      message: 'onCertificate has thrown: mine',
    });
    for (const answer of [undefined, {}, { type: 'submit' }, { type: 'submit', values: { username: 5 } }, { type: 'change-group' }]) {
      const onForm = () => answer as never;
      await assert.rejects(authenticate(gateway.url, { ...trusting, onForm }), { name: 'MisuseError', message: /^onForm answers with/ });
    }
  });
});
