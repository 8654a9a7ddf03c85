/** Our Pulse client at a gateway that is played by a plain script: its certificate by EAP-TTLS, of either TLS, in fragments of any size; and ESP. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from '../../src/client/index.ts';
import { type Issued, Pki } from '../support/pki.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';

const SCRIPT = path.join(import.meta.dirname, 'pulse-transcript.mjs');
const LIMIT = 60_000;

describe('a Pulse gateway of a few lines', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  let pki: Pki;
  let server: Issued;
  let client: Issued;
  before(() => {
    pki = new Pki();
    server = pki.issueServer({ addresses: ['127.0.0.1'] });
    client = pki.issueClient({ commonName: 'alice', uid: 'alice' });
  });
  after(() => pki[Symbol.dispose]());

  const script = async (...args: string[]) => {
    const gateway = spawn(process.execPath, [SCRIPT, 'gateway', server.certificatePath, server.keyPath, ...args], {
      ...{ stdio: ['ignore', 'pipe', 'inherit'], timeout: LIMIT },
    });
    let output = '';
    gateway.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
    await once(gateway.stdout, 'data');
    const said = () => output.slice(output.indexOf('\n') + 1);
    const says = async (words: RegExp) => {
      while (!words.test(said())) await once(gateway.stdout, 'data');
    };
    return { process: gateway, said, says, port: output.trim() };
  };
  const options = (withCertificate: boolean) => ({
    ...({ protocol: 'pulse', user: 'user', password: 'secret', device: 'userspace', caFile: pki.root.certificatePath } as const),
    ...(withCertificate && { certificate: { certificate: client.certificatePath, key: client.keyPath } }),
  });

  for (const [version, fragment] of [
    ['TLSv1.2', '500'],
    ['TLSv1.3', '16000'],
  ] as const) {
    it(`is logged in to inside ${version} in fragments of ${fragment}, and come back to`, async () => {
      const gateway = await script(version, fragment);
      try {
        await using vpn = await connect(`127.0.0.1:${gateway.port}`, options(true));
        await vpn.ping('10.0.0.1');
        vpn.reconnect();
        await gateway.says(/^(certificate of alice\n){3}/);
        await vpn.ping('10.0.0.1');
        await vpn.close();
        await gateway.says(/logged out/);
        // The log-in, the tunnel, and the tunnel again.
        assert.equal(gateway.said(), `${'certificate of alice\n'.repeat(3)}logged out\n`);
      } finally {
        gateway.process.kill();
      }
    });
  }

  it('is shown no certificate inside if it is another than the one whom the connection leads to', async () => {
    const other = pki.issueServer({ addresses: ['127.0.0.1'] });
    const gateway = await script('TLSv1.2', '8000', other.certificatePath, other.keyPath);
    try {
      await assert.rejects(connect(`127.0.0.1:${gateway.port}`, options(true)), /TLS inside the log-in failed: it is not with the gateway/);
      assert.equal(gateway.said(), '');
    } finally {
      gateway.process.kill();
    }
  });

  it('has its pings by ESP, also under the keys that it sends later', async () => {
    const gateway = await script('ESP');
    try {
      await using vpn = await connect(`127.0.0.1:${gateway.port}`, options(false));
      // It answers none by TLS.
      while (!gateway.said().includes('a ping by ESP')) await vpn.ping('10.0.0.1').catch(() => undefined);
      await vpn.ping('10.0.0.1');
      await gateway.says(/a ping under other keys/);
      await vpn.close();
      await gateway.says(/logged out/);
    } finally {
      gateway.process.kill();
    }
  });

  it('says in words that it wants a certificate where there is none', async () => {
    const gateway = await script('TLSv1.2', '8000');
    try {
      await assert.rejects(connect(`127.0.0.1:${gateway.port}`, options(false)), /client certificate \(EAP-TTLS\), and there is none/);
    } finally {
      gateway.process.kill();
    }
  });
});
