import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { MisuseError } from '../../../src/core/errors.ts';
import type { TlsPolicyConfig } from '../../../src/gateway/config/gateway-config.ts';
import { parseTlsPriorities } from '../../../src/gateway/config/tls-priorities.ts';
import { Lab } from '../../support/lab.ts';
import { Ocserv } from '../../support/ocserv.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import type { CertificateFiles } from '../../support/throwaway-certificates.ts';
import { takenOffers } from './tls-offers.ts';

let folder: string;
let certificate: CertificateFiles;

before(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'sallyport-priorities-'));
  certificate = { certificate: path.join(folder, 'rsa.pem'), key: path.join(folder, 'rsa.key') };
  const files = ['-keyout', certificate.key, '-out', certificate.certificate];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=gateway.test', ...files], {
    stdio: 'ignore',
  });
});

after(() => rmSync(folder, { recursive: true }));

/** What a server of node:tls takes with the policy. */
async function takenByOurs(policy: TlsPolicyConfig): Promise<readonly string[]> {
  const server = tls.createServer({
    cert: readFileSync(certificate.certificate),
    key: readFileSync(certificate.key),
    minVersion: policy.minVersion,
    maxVersion: policy.maxVersion,
    ...(policy.ciphers !== undefined && { ciphers: policy.ciphers }),
    ...(policy.groups !== undefined && { ecdhCurve: policy.groups }),
    ...(policy.signatures !== undefined && { sigalgs: policy.signatures }),
    honorCipherOrder: policy.prefersServerOrder,
    dhparam: 'auto',
  });
  server.on('tlsClientError', () => undefined); // refused, as it may be
  server.on('secureConnection', (socket) => socket.on('error', () => undefined));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await takenOffers('127.0.0.1', (server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

describe('tls-priorities', () => {
  it('orders by the server where it says so', () => {
    assert.equal(parseTlsPriorities('NORMAL').prefersServerOrder, false);
    assert.equal(parseTlsPriorities('NORMAL:%SERVER_PRECEDENCE:%COMPAT').prefersServerOrder, true);
  });

  it('leaves out what the string does', () => {
    const policy = parseTlsPriorities('SECURE256:%SERVER_PRECEDENCE:-VERS-TLS1.3:-RSA');
    assert.deepEqual([policy.minVersion, policy.maxVersion], ['TLSv1.2', 'TLSv1.2']);
    assert.ok(
      policy.ciphers?.split(':').every((suite) => /^(ECDHE|DHE)-/.test(suite)),
      policy.ciphers,
    );
    assert.deepEqual(policy.dtlsCiphers, ['aes-256-gcm', 'chacha20-poly1305'], 'no SHA-1, so no CBC for DTLS');
    const normal = ['aes-256-gcm', 'chacha20-poly1305', 'aes-128-gcm', 'aes-256-cbc', 'aes-128-cbc'];
    assert.deepEqual(parseTlsPriorities('NORMAL').dtlsCiphers, normal);
  });

  it('refuses by name what cannot be done, and what would let more clients in than the string', () => {
    for (const word of [
      '+3DES-CBC',
      '+VERS-SSL3.0',
      '%UNSAFE_RENEGOTIATION',
      '+ANON-ECDH',
      '%SAFE_RENEGOTIATION',
      '%PROFILE_HIGH',
      '-FOO',
    ]) {
      assert.throws(
        () => parseTlsPriorities(`NORMAL:${word}`),
        (error) => error instanceof MisuseError && error.message.includes(`'${word}'`),
      );
    }
    assert.throws(() => parseTlsPriorities('@SYSTEM'), /'@SYSTEM' is unknown/);
    assert.throws(() => parseTlsPriorities(`NORMAL${':%COMPAT'.repeat(200)}`), /longer than 1000/);
  });
});

describe('tls-priorities, compared with ocserv', { skip: missing('root', 'netns', 'ocserv', 'openssl') }, () => {
  for (const priorities of [
    'NORMAL:%SERVER_PRECEDENCE:%COMPAT',
    'NORMAL:%SERVER_PRECEDENCE:%COMPAT:-VERS-SSL3.0:-VERS-TLS1.0:-VERS-TLS1.1:-VERS-TLS1.3',
    'NORMAL:%SERVER_PRECEDENCE:%COMPAT:-RSA:-VERS-SSL3.0:-ARCFOUR-128',
    'SECURE256:%SERVER_PRECEDENCE:+SHA384',
    'PERFORMANCE:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:-GROUP-ALL:+GROUP-X25519',
    'NORMAL:+VERS-TLS1.0:+VERS-TLS1.1:-AES-256-GCM',
  ]) {
    it(`takes no client that ocserv would not: ${priorities}`, { timeout: HANG_LIMIT }, async (test) => {
      await using lab = await Lab.open({ router: false });
      const ocserv = await Ocserv.start(lab, { certificate, settings: { 'tls-priorities': priorities } });
      const program = path.resolve(import.meta.dirname, 'tls-offers.ts');
      const { code, stdout, output } = await (await lab.client.start(process.execPath, [program, ocserv.gateway, '443'])).finish({
        within: 50_000,
      });
      assert.equal(code, 0, output);
      const theirs = JSON.parse(stdout) as readonly string[];
      const ours = await takenByOurs(parseTlsPriorities(priorities));
      test.diagnostic(
        `ours ${ours.length}, theirs ${theirs.length}, theirs alone: ${theirs.filter((name) => !ours.includes(name)).join(', ')}`,
      );
      assert.ok(ours.length > 0);
      assert.deepEqual(
        ours.filter((name) => !theirs.includes(name)),
        [],
      );
    });
  }
});
