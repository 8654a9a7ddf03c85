/** Our DTLS client and server with those of OpenSSL, on loopback. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { DtlsClient } from '../../src/core/dtls/client.ts';
import type { ResumptionOptions } from '../../src/core/dtls/credentials.ts';
import type { DtlsVersion } from '../../src/core/dtls/dialect.ts';
import { DtlsServer } from '../../src/core/dtls/server.ts';
import { HANDSHAKE_TYPES } from '../../src/core/tls-messages/handshake-messages.ts';
import { fromHex, toHex, utf8 } from '../../src/core/wire/text.ts';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';
import { OpenSsl } from '../support/openssl-program.ts';
import { missing } from '../support/requirements.ts';
import { UdpLayer } from '../support/udp-layer.ts';

const PSK = new Uint8Array(32).fill(0x2a);

interface Case {
  readonly version: DtlsVersion;
  readonly suite: number;
  /** What OpenSSL calls the suite. */
  readonly cipher: string;
}

const CASES: readonly Case[] = [
  { version: '1.2', suite: 0x00a9, cipher: 'PSK-AES256-GCM-SHA384' },
  { version: '1.2', suite: 0x00a8, cipher: 'PSK-AES128-GCM-SHA256' },
  { version: '1.2', suite: 0xccab, cipher: 'PSK-CHACHA20-POLY1305' },
  { version: '1.2', suite: 0x00ae, cipher: 'PSK-AES128-CBC-SHA256' },
  { version: '1.2', suite: 0x008d, cipher: 'PSK-AES256-CBC-SHA' },
  { version: '1.0', suite: 0x008d, cipher: 'PSK-AES256-CBC-SHA' },
  { version: '1.0', suite: 0x008c, cipher: 'PSK-AES128-CBC-SHA' },
];

const protocol = ({ version }: Case) => (version === '1.2' ? '-dtls1_2' : '-dtls1');
/** DTLS 1.0 is below OpenSSL's default security level. */
const suiteOption = ({ version, cipher }: Case) => ['-cipher', version === '1.2' ? cipher : `${cipher}@SECLEVEL=0`];

/** A server of OpenSSL's on a free port. */
async function openSslServer(kind: Case, ...more: readonly string[]): Promise<{ readonly openssl: OpenSsl; readonly port: number }> {
  const openssl = new OpenSsl(
    's_server',
    protocol(kind),
    '-accept',
    '127.0.0.1:0',
    '-psk',
    toHex(PSK),
    '-nocert',
    ...suiteOption(kind),
    ...more,
  );
  const [, port] = await openssl.says(/ACCEPT 127\.0\.0\.1:(\d+)/);
  return { openssl, port: Number(port) };
}

const pskClient = ({ version, suite }: Case, extendedMasterSecret = true) =>
  new DtlsClient({
    crypto: new NodeCrypto(),
    version,
    credentials: {
      kind: 'psk',
      identity: utf8('psk'),
      key: PSK,
      sessionId: new Uint8Array(32).fill(7),
      suites: [suite],
      extendedMasterSecret,
    },
  });

/** A line each way. */
async function talk(udp: UdpLayer<DtlsClient | DtlsServer>, openssl: OpenSsl): Promise<void> {
  udp.send(utf8('from us\n'));
  await openssl.says(/^from us$/m);
  openssl.process.stdin.write('from openssl\n');
  await udp.until('a packet', () => udp.packets.length > 0);
  assert.equal(Buffer.from(udp.packets[0] ?? new Uint8Array(0)).toString(), 'from openssl\n');
}

describe('DTLS with OpenSSL', { skip: missing('openssl') }, () => {
  for (const kind of CASES) {
    for (const extendedMasterSecret of [true, false]) {
      it(`is a client of DTLS ${kind.version} with ${kind.cipher}${extendedMasterSecret ? '' : ', no extended master secret'}`, async () => {
        const { openssl, port } = await openSslServer(kind);
        const udp = await UdpLayer.open(pskClient(kind, extendedMasterSecret), port);
        try {
          await udp.until('up', () => udp.layer.state.name === 'up');
          assert.ok(udp.layer.state.name === 'up');
          assert.equal(udp.layer.state.session.hasExtendedMasterSecret, extendedMasterSecret);
          await talk(udp, openssl);
          assert.equal(udp.layer.counters.forged, 0);
        } finally {
          await udp.close();
          await openssl.end();
        }
      });
    }

    it(`is a server of DTLS ${kind.version} with ${kind.cipher}`, async () => {
      const server = new DtlsServer({ crypto: new NodeCrypto(), version: kind.version, credentials: { kind: 'psk', findKey: () => PSK } });
      const udp = await UdpLayer.open(server);
      const address = `127.0.0.1:${udp.socket.address().port}`;
      const openssl = new OpenSsl('s_client', protocol(kind), '-connect', address, '-psk', toHex(PSK), ...suiteOption(kind));
      try {
        await udp.until('up', () => server.state.name === 'up');
        assert.ok(server.state.name === 'up');
        assert.equal(server.state.session.suite.id, kind.suite);
        await openssl.says(/^CONNECTED/m);
        await talk(udp, openssl);
        openssl.process.stdin.write('Q\n');
        await udp.until('closed', () => server.state.name === 'closed');
      } finally {
        await udp.close();
        await openssl.end();
      }
    });
  }

  const gcm = CASES[0] ?? assert.fail();

  it('answers the cookie that OpenSSL asks for', async () => {
    const { openssl, port } = await openSslServer(gcm, '-listen');
    const udp = await UdpLayer.open(pskClient(gcm), port);
    try {
      await udp.until('up', () => udp.layer.state.name === 'up');
      assert.equal(udp.received[0]?.[13], HANDSHAKE_TYPES.helloVerifyRequest);
      await talk(udp, openssl);
    } finally {
      await udp.close();
      await openssl.end();
    }
  });

  it('asks OpenSSL for a cookie', async () => {
    const cookie = { secret: new Uint8Array(16).fill(3), peer: utf8('loopback') };
    const server = new DtlsServer({ crypto: new NodeCrypto(), version: '1.2', credentials: { kind: 'psk', findKey: () => PSK }, cookie });
    const udp = await UdpLayer.open(server);
    const openssl = new OpenSsl(
      's_client',
      '-dtls1_2',
      '-connect',
      `127.0.0.1:${udp.socket.address().port}`,
      '-psk',
      toHex(PSK),
      ...suiteOption(gcm),
    );
    try {
      await udp.until('up', () => server.state.name === 'up');
      await talk(udp, openssl);
    } finally {
      await udp.close();
      await openssl.end();
    }
  });

  it('hears from OpenSSL that it does not speak our suite', async () => {
    const { openssl, port } = await openSslServer(gcm);
    const udp = await UdpLayer.open(pskClient({ ...gcm, suite: 0xccab }), port);
    try {
      await udp.until('failed', () => udp.layer.state.name === 'failed');
      assert.ok(udp.layer.state.name === 'failed');
      assert.equal(udp.layer.state.error.message, 'The DTLS handshake was refused by the peer: handshake_failure.');
    } finally {
      await udp.close();
      await openssl.end();
    }
  });

  describe('resumed', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'dtls-openssl-'));
    after(() => rmSync(folder, { recursive: true }));

    for (const kind of CASES.filter(({ version, suite }) => version === '1.2' || suite === 0x008d)) {
      it(`is a client that resumes a session of OpenSSL by its master secret (DTLS ${kind.version}, ${kind.cipher})`, async () => {
        const keyLog = path.join(folder, `${kind.version}-${kind.cipher}`);
        const { openssl, port } = await openSslServer(kind, '-no_ticket', '-keylogfile', keyLog);
        try {
          const first = await UdpLayer.open(pskClient(kind, false), port);
          await first.until('up', () => first.layer.state.name === 'up');
          const serverHello = first.received.find((datagram) => datagram[13] === HANDSHAKE_TYPES.serverHello) ?? assert.fail();
          const sessionId = serverHello.slice(60, 60 + (serverHello[59] ?? 0));
          await talk(first, openssl);
          await first.close();
          await openssl.says(/DONE|CONNECTION CLOSED/);

          const [, secret] = /CLIENT_RANDOM [0-9a-f]+ ([0-9a-f]{96})/i.exec(readFileSync(keyLog, 'utf8')) ?? assert.fail('no key log');
          const credentials: ResumptionOptions = { kind: 'resumption', masterSecret: fromHex(secret ?? ''), sessionId, suite: kind.suite };
          openssl.output = '';
          const second = await UdpLayer.open(new DtlsClient({ crypto: new NodeCrypto(), version: kind.version, credentials }), port);
          await second.until('up', () => second.layer.state.name === 'up');
          assert.ok(second.layer.state.name === 'up' && second.layer.state.session.isResumed);
          await talk(second, openssl);
          assert.ok(second.layer.state.confirmed);
          await second.close();
        } finally {
          await openssl.end();
        }
      });
    }
  });
});
