/** Our DTLS client and server with those of OpenSSL, on loopback, where the server shows a certificate. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { DtlsClient } from '../../src/core/dtls/client.ts';
import type { DtlsVersion } from '../../src/core/dtls/dialect.ts';
import { DtlsServer } from '../../src/core/dtls/server.ts';
import { toHex, utf8 } from '../../src/core/wire/text.ts';
import { certificateIdentity } from '../../src/node/crypto/certificates.ts';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';
import { OpenSsl } from '../support/openssl-program.ts';
import { missing } from '../support/requirements.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../support/throwaway-certificate.ts';
import { UdpLayer } from '../support/udp-layer.ts';

interface Case {
  readonly version: DtlsVersion;
  readonly suite: number;
  /** What OpenSSL calls the suite. */
  readonly cipher: string;
  readonly key: 'rsa' | 'ec';
}

const CASES: readonly Case[] = [
  { version: '1.2', suite: 0xc030, cipher: 'ECDHE-RSA-AES256-GCM-SHA384', key: 'rsa' },
  { version: '1.2', suite: 0xcca9, cipher: 'ECDHE-ECDSA-CHACHA20-POLY1305', key: 'ec' },
  { version: '1.2', suite: 0x009c, cipher: 'AES128-GCM-SHA256', key: 'rsa' },
  { version: '1.0', suite: 0xc014, cipher: 'ECDHE-RSA-AES256-SHA', key: 'rsa' },
  { version: '1.0', suite: 0xc009, cipher: 'ECDHE-ECDSA-AES128-SHA', key: 'ec' },
  { version: '1.0', suite: 0x0035, cipher: 'AES256-SHA', key: 'rsa' },
];

const versionOptions = ({ version, cipher }: Case) => [
  version === '1.2' ? '-dtls1_2' : '-dtls1',
  '-cipher',
  // DTLS 1.0 is below OpenSSL's default security level.
  version === '1.2' ? cipher : `${cipher}@SECLEVEL=0`,
];

async function talk(udp: UdpLayer<DtlsClient | DtlsServer>, openssl: OpenSsl): Promise<void> {
  udp.send(utf8('from us\n'));
  await openssl.says(/^from us$/m);
  openssl.process.stdin.write('from openssl\n');
  await udp.until('a packet', () => udp.packets.length > 0);
  assert.equal(Buffer.from(udp.packets[0] ?? new Uint8Array(0)).toString(), 'from openssl\n');
}

describe('DTLS with OpenSSL and certificates', { skip: missing('openssl') }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'dtls-certificates-'));
  after(() => rmSync(folder, { recursive: true }));
  const certificates = { rsa: throwawayCertificate('rsa'), ec: throwawayCertificate('ec') };
  const files = (kind: 'rsa' | 'ec') => {
    const { certificatePem, keyPem } = certificates[kind];
    const file = path.join(folder, kind);
    writeFileSync(file, certificatePem + keyPem);
    return file;
  };
  const identityOf = ({ der, keyPem }: ThrowawayCertificate) => certificateIdentity([der], createPrivateKey(keyPem));

  for (const kind of CASES) {
    const name = `DTLS ${kind.version} with ${kind.cipher}`;
    for (const asks of [false, true]) {
      it(`is a client of ${name}${asks ? ', with a certificate of its own' : ''}`, async () => {
        const openssl = new OpenSsl(
          ...['s_server', '-accept', '127.0.0.1:0', '-cert', files(kind.key), '-key', files(kind.key), '-listen'],
          ...versionOptions(kind),
          ...(asks ? ['-Verify', '1', '-verify_quiet'] : []),
        );
        const [, port] = await openssl.says(/ACCEPT 127\.0\.0\.1:(\d+)/);
        const shown: string[] = [];
        const client = new DtlsClient({
          crypto: new NodeCrypto(),
          version: kind.version,
          credentials: {
            kind: 'certificate',
            suites: [kind.suite],
            faultOf: (chain) => {
              shown.push(...chain.map(toHex));
              return undefined;
            },
            ...(asks && { identity: identityOf(certificates[kind.key === 'rsa' ? 'ec' : 'rsa']) }),
          },
        });
        const udp = await UdpLayer.open(client, Number(port));
        try {
          await udp.until('up', () => client.state.name === 'up');
          assert.deepEqual(shown, [toHex(certificates[kind.key].der)]);
          await talk(udp, openssl);
        } finally {
          await udp.close();
          await openssl.end();
        }
      });
    }

    it(`is a server of ${name}`, async () => {
      const server = new DtlsServer({
        crypto: new NodeCrypto(),
        version: kind.version,
        credentials: { kind: 'certificate', identity: identityOf(certificates[kind.key]), suites: [kind.suite] },
        cookie: { secret: new Uint8Array(16).fill(3), peer: utf8('loopback') },
      });
      const udp = await UdpLayer.open(server);
      const address = `127.0.0.1:${udp.socket.address().port}`;
      const trust = ['-CAfile', files(kind.key), '-verify_return_error'];
      const openssl = new OpenSsl('s_client', '-connect', address, ...trust, ...versionOptions(kind));
      try {
        await udp.until('up', () => server.state.name === 'up');
        assert.ok(server.state.name === 'up');
        assert.equal(server.state.session.suite.id, kind.suite);
        await talk(udp, openssl);
      } finally {
        await udp.close();
        await openssl.end();
      }
    });
  }
});
