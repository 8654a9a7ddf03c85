/** Both ends of each vendor against the transcript of its specification, played by a plain script that has nothing of ours. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { connect } from '../../src/client/index.ts';
import { FakeGateway } from '../../src/gateway/fake/fake-gateway.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { throwawayCertificate } from '../support/throwaway-certificate.ts';

/** Vendors with a script `NAME-transcript.mjs`. */
const PROTOCOLS = ['fortinet', 'f5', 'gp', 'nc', 'array', 'pulse'] as const;

const LIMIT = 60_000;

for (const protocol of PROTOCOLS) {
  describe(`the transcript of ${protocol}`, { timeout: HANG_LIMIT }, () => {
    const scriptFile = path.join(import.meta.dirname, `${protocol}-transcript.mjs`);

    it('is what our gateway says to the client of it', async () => {
      await using gateway = await FakeGateway.start({ protocol });
      const run = promisify(execFile)(process.execPath, [scriptFile, 'client', String(gateway.port), 'alice', 'secret'], {
        timeout: LIMIT,
      });
      assert.equal((await run).stdout, 'all as in the transcript\n');
      assert.deepEqual(gateway.users, []);
    });

    it('is what our client says to the gateway of it', { skip: missing('openssl') }, async () => {
      const certificate = throwawayCertificate();
      const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-'));
      const files = ['certificate.pem', 'key.pem'].map((name) => path.join(folder, name));
      await Promise.all([certificate.certificatePem, certificate.keyPem].map((text, i) => writeFile(files[i] ?? assert.fail(), text)));
      const script = spawn(process.execPath, [scriptFile, 'gateway', ...files], { stdio: ['ignore', 'pipe', 'inherit'], timeout: LIMIT });
      try {
        let output = '';
        script.stdout.on('data', (bytes: Buffer) => {
          output += bytes.toString();
        });
        await once(script.stdout, 'data');
        const vpn = await connect(`127.0.0.1:${output.trim()}`, {
          ...{ protocol, pins: [certificate.pin], user: 'user', password: 'secret', device: 'userspace' },
          ...(protocol === 'array' && { group: '', allowLegacy: ['dtls'] }),
        });
        await vpn.ping('10.0.0.1');
        // By TLS at first; until it is up, UDP is not waited for.
        while (protocol === 'array' && !output.endsWith('by UDP\n')) await vpn.ping('10.0.0.1');
        await vpn.close();
        assert.match(output, protocol === 'array' ? /^\d+\nby UDP\nlogged out\n$/ : /^\d+\nlogged out\n$/);
      } finally {
        script.kill();
        await rm(folder, { recursive: true });
      }
    });
  });
}
