import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError } from '../../../../src/core/errors.ts';
import { parseSecrets, parseSettings, readRadcliConfig } from '../../../../src/gateway/auth/radius/radcli-file.ts';

async function read(main: string, servers = 'radius.test sesame\n2001:db8::1 other\n192.0.2.5 third\n') {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-radcli-'));
  try {
    writeFileSync(path.join(folder, 'servers'), servers);
    writeFileSync(path.join(folder, 'main'), main);
    return await readRadcliConfig(path.join(folder, 'main'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('configuration files of radcli', () => {
  it('name servers with and without ports, each with its secret', async () => {
    const config = await read(
      'authserver radius.test\nauthserver 192.0.2.5:11812\n# comment\nacctserver [2001:db8::1]:99\nservers servers\nradius_timeout 5\nradius_retries 2\nbindaddr *\n',
    );
    const shown = config.authentication.map(({ host, port, secret }) => [host, port, secret.reveal()]);
    assert.deepEqual(shown, [
      ['radius.test', 1812, 'sesame'],
      ['192.0.2.5', 11812, 'third'],
    ]);
    assert.deepEqual(
      config.accounting.map(({ host, port }) => [host, port]),
      [['2001:db8::1', 99]],
    );
    assert.deepEqual([config.timeout, config.retries, config.bindAddress, config.needsMessageAuthenticator], [5_000, 2, undefined, true]);
  });

  it('may have the secret beside the server', async () => {
    const { authentication } = await read('authserver radius.test::in-line\n');
    assert.deepEqual([authentication[0]?.port, authentication[0]?.secret.reveal()], [1812, 'in-line']);
  });

  it('are refused with the reason, which is never a secret', async () => {
    await assert.rejects(
      read('authserver unknown.test\nservers servers\n'),
      (error) => error instanceof MisuseError && /no secret for server unknown.test/.test(error.message),
    );
    await assert.rejects(
      read('authserver radius.test:99999:hush\nservers servers\n'),
      (error) => error instanceof MisuseError && !error.message.includes('hush'),
    );
    await assert.rejects(read('authserver radius.test\nservers servers\nradius_retries many\n'), /radius_retries is not a number/);
    await assert.rejects(read('serv-type tls\n'), /serv-type tls is not supported/);
  });

  it('wait and try no longer than is good for anybody', async () => {
    const config = await read('authserver radius.test\nservers servers\nradius_timeout 999999\nradius_retries 999999\n');
    assert.deepEqual([config.timeout, config.retries], [60_000, 10]);
  });

  it('are read without an error, whatever they hold', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        parseSettings(text);
        parseSecrets(text);
      }),
    );
  });
});
