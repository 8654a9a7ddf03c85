import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import type { ConnectArguments } from '../../../src/cli/sallyport/arguments.ts';
import { connectOptions } from '../../../src/cli/sallyport/client-options.ts';
import { renderCookie } from '../../../src/cli/sallyport/cookie-text.ts';
import { UnattendedAsker } from '../../../src/cli/sallyport/unattended-asker.ts';
import type { ConnectOptions } from '../../../src/client/connect-options.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { parseServer } from '../../../src/core/http/url.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { revealed, Secret } from '../../../src/core/secret.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-options-'));
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const full = path.join(folder, name);
  writeFileSync(full, content);
  return full;
}

const PLAIN: ConnectArguments = {
  tokenMode: 'totp',
  systemTrust: true,
  protocol: 'anyconnect',
  network: true,
  udp: true,
  ipv6: true,
  compression: 'none',
};

/** The options that come of arguments, and of lines on standard input. */
function optionsOf(given: Partial<ConnectArguments>, lines: readonly string[] = []): Promise<ConnectOptions> {
  const left = [...lines];
  return connectOptions(
    'vpn.example.com',
    { ...PLAIN, ...given },
    {
      asker: new UnattendedAsker({ nextSecret: undefined, onCertificate: () => undefined }),
      readLine: () => Promise.resolve(left.shift()),
      signal: new AbortController().signal,
      log: silentLogger,
    },
  );
}

function text(secret: string | Secret | undefined): string {
  return secret === undefined ? '' : revealed(secret);
}

describe('the options of a connection, from its arguments', () => {
  it('set up the network by ourselves on an interface of the system’s choice, unless told otherwise', async () => {
    const plain = await optionsOf({});
    assert.deepEqual([plain.device, plain.network, plain.pins, plain.password], ['tun', 'configure', undefined, undefined]);
    const { device, network } = await optionsOf({ interface: 'vpn9', network: false });
    assert.deepEqual([device, network], [{ name: 'vpn9' }, 'none']);
    assert.deepEqual((await optionsOf({ script: 'vpnc-script' })).network, { script: 'vpnc-script' });
    await assert.rejects(optionsOf({ script: 'vpnc-script', network: false }), MisuseError);
  });

  it('read secrets from standard input, the key’s first, a line each', async () => {
    const options = await optionsOf({ passwordStdin: true, keyPasswordStdin: true, certificate: 'alice.p12' }, ['of the key', 'of Alice']);
    assert.equal(text(options.password), 'of Alice');
    assert.equal(text(options.certificate?.password), 'of the key');
    await assert.rejects(optionsOf({ passwordStdin: true }), /--password-stdin reads a line of standard input, and there is none/);
  });

  it('take a cookie with the gateway that it is of, and trust its key alone', async () => {
    const credential = {
      gateway: parseServer('https://node7.example.com/'),
      pin: `pin-sha256:${'A'.repeat(43)}=`,
      cookie: new Secret('swordfish'),
    };
    const options = await optionsOf({ cookieStdin: true }, [renderCookie(credential, 'json')]);
    assert.equal(options.credential?.gateway.host, 'node7.example.com');
    assert.deepEqual(options.pins, [credential.pin]);
    const named = await optionsOf({ cookieStdin: true, pin: ['pin-sha256:other'] }, [renderCookie(credential, 'json')]);
    assert.deepEqual(named.pins, ['pin-sha256:other'], 'what the user says goes');
    const bare = await optionsOf({ cookieStdin: true }, ['swordfish']);
    assert.deepEqual([bare.credential?.gateway.host, bare.pins], ['vpn.example.com', undefined]);
    await assert.rejects(optionsOf({ cookieStdin: true }), /No cookie came by standard input/);
    await assert.rejects(optionsOf({ cookieStdin: true, passwordStdin: true }, ['a', 'b']), MisuseError);
  });

  it('make codes with the secret in a file, which keeps the counter', async () => {
    const name = file('hotp', 'base32:GEZDGNBV,7\n');
    const { token } = await optionsOf({ token: name, tokenMode: 'hotp' });
    assert.deepEqual([token?.mode, text(token?.secret)], ['hotp', 'base32:GEZDGNBV,7']);
    await token?.keep?.(new Secret('base32:GEZDGNBV,8'));
    assert.equal(readFileSync(name, 'utf8'), 'base32:GEZDGNBV,8\n');
  });

  it('answer further questions from a file, but for its comments', async () => {
    const { formEntries = [] } = await optionsOf({ answers: file('answers', '# mine\n\nmain:colour=blue=green\r\nmain:pet=cat\n') });
    assert.deepEqual(
      formEntries.map(({ form, field, value }) => [form, field, text(value)]),
      [
        ['main', 'colour', 'blue=green'],
        ['main', 'pet', 'cat'],
      ],
    );
    await assert.rejects(optionsOf({ answers: file('bad', 'colour\n') }), MisuseError);
    await assert.rejects(
      optionsOf({ answers: path.join(folder, 'nowhere') }),
      /The file of --answers, .*nowhere, cannot be read: No such file or directory\.$/,
    );
  });

  it('read who one is at the proxy from a file, and do not repeat it', async () => {
    const { proxyLogin } = await optionsOf({ proxyLogin: file('proxy', 'alice:a:b\n') });
    assert.deepEqual([proxyLogin?.username, text(proxyLogin?.password)], ['alice', 'a:b']);
    await assert.rejects(
      optionsOf({ proxyLogin: file('proxy', 'swordfish\n') }),
      (error: unknown) => error instanceof MisuseError && !error.message.includes('swordfish'),
    );
  });

  it('take addresses for hosts, of both families', async () => {
    assert.deepEqual((await optionsOf({ resolve: ['a:192.0.2.1', 'b:2001:db8::1'] })).addresses, { a: '192.0.2.1', b: '2001:db8::1' });
    await assert.rejects(optionsOf({ resolve: ['a'] }), /HOST:ADDRESS/);
  });

  it('wait for a connection in milliseconds, which people give in seconds', async () => {
    assert.equal((await optionsOf({ reconnectTimeout: 60 })).reconnectTimeout, 60_000);
  });

  it('want a certificate where there is a key', async () => {
    await assert.rejects(optionsOf({ key: 'alice.pem' }), /--key belongs to a --certificate/);
  });
});
