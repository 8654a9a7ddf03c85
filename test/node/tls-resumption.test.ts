/** Sessions that openssl's client saves at one virtual host and shows at another: a client certificate is not carried from the one to the other. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { OpenSslServer } from '../../src/node/openssl-server.ts';
import type { AcceptedTls, TlsIdentity } from '../../src/node/tls-acceptor.ts';
import { TlsServer } from '../../src/node/tls-server.ts';
import { type Issued, Pki } from '../support/pki.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';

const run = promisify(execFile);

for (const [by, Server] of Object.entries({ 'node:tls': TlsServer, OpenSSL: OpenSslServer })) {
  describe(`TLS resumption by ${by}`, { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
    let pki: Pki;
    let otherPki: Pki;
    let certificate: Issued;
    let stranger: Issued;
    before(() => {
      [pki, otherPki] = [new Pki(), new Pki()];
      certificate = pki.issueServer({ names: ['vpn.example'] });
      stranger = otherPki.issueClient({ uid: 'mallory' });
    });
    after(() => {
      pki[Symbol.dispose]();
      otherPki[Symbol.dispose]();
    });

    /** A host that lets in who has a certificate of this authority. */
    const hostOf = (authority: Pki, name?: string): TlsIdentity => ({
      tls: { cert: certificate.certificatePem, key: certificate.keyPem, ca: authority.root.certificatePem },
      clientCertificates: 'required',
      ...(name !== undefined && { name }),
    });

    /** What the server makes of two visits of openssl's: one with the certificate at `first`, and one with nothing but its session at `second`. */
    async function visits(
      hosts: readonly TlsIdentity[],
      version: string,
      [first, second]: readonly [string | undefined, string | undefined],
    ) {
      const server = new Server(hosts);
      const accepted: (AcceptedTls | undefined)[] = [];
      const listener = net.createServer(async (raw) => {
        const visitor = await server.accept(raw, { signal: new AbortController().signal }).catch(() => undefined);
        accepted.push(visitor);
        visitor?.connection.write(Buffer.from('hello'));
        await visitor?.connection.close(1_000);
      });
      listener.listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const session = path.join(path.dirname(stranger.keyPath), `session-${version}-${first}-${second}`);
      const visit = async (host: string | undefined, ...args: string[]) => {
        const address = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
        const name = host === undefined ? ['-noservername'] : ['-servername', host];
        // It fails where the server refuses it: what the server thinks is looked at.
        const running = run('openssl', ['s_client', '-connect', address, `-${version}`, '-ign_eof', ...name, ...args], { timeout: 60_000 });
        running.child.stdin?.end();
        return (await running.catch((error: { stdout: string }) => error)).stdout;
      };
      try {
        await visit(first, '-cert', stranger.certificatePath, '-key', stranger.keyPath, '-sess_out', session);
        const wasGiven = existsSync(session);
        const output = await visit(second, ...(wasGiven ? ['-sess_in', session] : []));
        return { accepted, wasGiven, isReused: /^Reused, /m.test(output) };
      } finally {
        listener.close();
      }
    }

    for (const version of ['tls1_2', 'tls1_3']) {
      it(`lets a client of one host in to no other (${version})`, async () => {
        for (const way of [
          ['other.example', undefined],
          ['other.example', 'unknown.example'],
          ['other.example', 'third.example'],
        ] as const) {
          const hosts = [hostOf(pki), hostOf(otherPki, 'other.example'), hostOf(pki, 'third.example')];
          const { accepted, isReused, wasGiven } = await visits(hosts, version, way);
          assert.equal(accepted[0]?.identity.name, 'other.example');
          assert.equal(accepted[0]?.clientChain?.length, 1);
          assert.equal(accepted.length, 2);
          assert.equal(accepted[1], undefined, way.join(' to '));
          assert.ok(!isReused);
          assert.equal(wasGiven, Server === TlsServer, 'node:tls gives sessions away that it never takes back');
        }
      });

      it(`works with one host, where there is nothing to mistake (${version})`, async () => {
        const { accepted, isReused } = await visits([hostOf(otherPki)], version, [undefined, undefined]);
        assert.deepEqual(accepted[1]?.clientChain, [new Uint8Array(stranger.certificate.raw)]);
        assert.ok(isReused);
      });
    }
  });
}
