import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { tls13Export } from '../../reference/tls13-exporter.ts';
import { missing } from '../../support/requirements.ts';

const LABEL = 'EXPORTER-openconnect-psk';
const LENGTH = 32;

const counting = (length: number) => Uint8Array.from({ length }, (_, i) => i);

describe('the PSK of a TLS 1.3 session (spec "AnyConnect", sections 7.7 and 13.5)', () => {
  it('is what RFC 8446 exports', () => {
    assert.equal(
      toHex(tls13Export('sha256', counting(32), LABEL, LENGTH)),
      '21d2c239454b99659d4715da9579640d342d6baf92185cf5d7f4733011a20da1',
    );
    assert.equal(
      toHex(tls13Export('sha384', counting(48), LABEL, LENGTH)),
      'b296b497a810efd1037e2f2f6ddd54ea11611bae7b1b5261dee4c2a5c524bef6',
    );
    const captured = fromHex('2d7bda15826bd4671e6231174973f23948ad3cdd015e0accf11a22a2e5ce205cafec2192e8ec08a487512abad4d228c0');
    assert.equal(toHex(tls13Export('sha384', captured, LABEL, LENGTH)), '4433c8a38d45f4207760d467f7f6388a3f9f32d72e2b36bf3efddce589d6d230');
  });

  for (const [hash, suite] of [
    ['sha256', 'TLS_AES_128_GCM_SHA256'],
    ['sha384', 'TLS_AES_256_GCM_SHA384'],
  ] as const) {
    it(`is what node:tls exports at both ends when it is given no context (${suite})`, { skip: missing('openssl') }, async () => {
      const server = createServer({ ...throwawayCertificate(), ciphers: suite, minVersion: 'TLSv1.3' });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const accepted: Promise<[TLSSocket]> = once(server, 'secureConnection') as Promise<[TLSSocket]>;
      const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false });
      const keyLog = keyLogLine(client, 'EXPORTER_SECRET');
      try {
        await once(client, 'secureConnect');
        const [atServer] = await accepted;
        const expected = toHex(tls13Export(hash, await keyLog, LABEL, LENGTH));
        // The declarations demand a context; without one the label is exported as RFC 8446 §7.5 says.
        const exportPsk = (socket: TLSSocket) => (socket.exportKeyingMaterial as (length: number, label: string) => Buffer)(LENGTH, LABEL);
        assert.equal(toHex(exportPsk(client)), expected);
        assert.equal(toHex(exportPsk(atServer)), expected);
        atServer.destroy();
      } finally {
        client.destroy();
        server.close();
      }
    });
  }
});

/** The secret of one kind from the lines that go into a key log: `KIND client-random secret`. */
function keyLogLine(socket: TLSSocket, kind: string): Promise<Uint8Array> {
  return new Promise((resolve) => {
    socket.on('keylog', (line: Buffer) => {
      const [name, , secret] = line.toString().trim().split(' ');
      if (name === kind && secret !== undefined) resolve(fromHex(secret));
    });
  });
}

function throwawayCertificate(): { cert: string; key: string } {
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '1',
    '-subj',
    '/CN=loopback',
    '-keyout',
    '-',
  ];
  const pem = execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return { cert: pem, key: pem }; // each reader takes its own part
}
