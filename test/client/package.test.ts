/** The package by its name, as programs import it: what was built, through the `exports` of package.json. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import * as sallyport from 'sallyport';
import * as core from 'sallyport/core';
import { testCrypto } from '../support/test-crypto.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

describe('the package', () => {
  it('connects and logs in by its main entry, with what their options and errors are made of', async () => {
    assert.deepEqual(
      ['connect', 'authenticate', 'Vpn', 'MemoryDevice', 'Secret', 'PeerRefusedError', 'CertificateNotTrustedError'].filter(
        (name) => !(name in sallyport),
      ),
      [],
    );
    await assert.rejects(sallyport.connect('https://vpn.example.com', { network: 'none', pins: ['sha1:00'] }), sallyport.MisuseError);
    await assert.rejects(sallyport.authenticate('https://vpn.example.com', { proxy: 'ftp://x' }), sallyport.MisuseError);
  });

  it('refuses what would only be noticed after a log-in', async () => {
    const device = new sallyport.MemoryDevice();
    await assert.rejects(sallyport.connect('https://vpn.example.com', { device, network: 'configure' }), sallyport.MisuseError);
  });

  it('leaves nothing running when an attempt is cancelled', async () => {
    const device = new sallyport.MemoryDevice();
    const attempt = sallyport.connect('https://127.0.0.1:9', { device, signal: AbortSignal.abort() });
    await assert.rejects(attempt, sallyport.CancelledError);
  });

  it('has the core at an entry of its own, with the same errors', async () => {
    assert.equal(core.SallyportError, sallyport.SallyportError);
    const settings: core.ProtocolSettings = {
      crypto: testCrypto(),
      log: core.silentLogger,
      client: { userAgent: 'test', version: 'v9', os: 'linux-64', localHostname: 'here' },
      usesXml: true,
      httpAuth: [],
      compression: 'none',
      wantsIpv6: true,
      usesDatagrams: true,
      datagramCiphers: { allowsLegacy: false },
    };
    const protocol = await core.loadClientProtocol('anyconnect', settings);
    assert.equal(protocol.id, 'anyconnect');
    assert.equal(new core.SessionMachine({ reconnectBudget: 1000 }).state.name, 'idle');
  });

  it('has a core that loads nothing of Node', () => {
    const seen = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/(?:from|import\() ?'([^']+)'/g)) {
        assert.doesNotMatch(specifier, /^node:/, file);
        if (specifier.startsWith('.')) visit(path.resolve(path.dirname(file), specifier));
      }
    };
    visit(path.join(ROOT, 'dist/core/index.js'));
    assert.ok(seen.size > 50, `${seen.size} files`);
  });
});
