import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls';
import { CancelledError, MisuseError, NetworkError } from '../../src/core/errors.ts';
import { OpenSslServer } from '../../src/node/openssl-server.ts';
import type { AcceptedTls, TlsIdentity } from '../../src/node/tls-acceptor.ts';
import { TlsServer } from '../../src/node/tls-server.ts';
import { type Issued, Pki } from '../support/pki.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { RecordCounter } from '../support/tls-records.ts';

const LABEL = 'EXPORTER-openconnect-psk';

for (const [by, Server] of Object.entries({ 'node:tls': TlsServer, OpenSSL: OpenSslServer })) {
  describe(`TLS server by ${by}`, { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
    let pki: Pki;
    let ec: Issued;
    let rsa: Issued;
    let other: Issued;
    let client: Issued;
    before(() => {
      pki = new Pki();
      ec = pki.issueServer({ names: ['vpn.example'] });
      rsa = pki.issueServer({ names: ['vpn.example'], keyType: 'rsa' });
      other = pki.issueServer({ names: ['other.example'] });
      client = pki.issueClient({ uid: 'carol' });
    });
    after(() => pki[Symbol.dispose]());

    const identityOf = (issued: Issued, more: Partial<TlsIdentity> = {}, settings: TlsIdentity['tls'] = {}): TlsIdentity => ({
      tls: { cert: issued.certificatePem, key: issued.keyPem, ...settings },
      clientCertificates: 'no',
      ...more,
    });
    const withClients = (wish: TlsIdentity['clientCertificates'], settings: TlsIdentity['tls'] = {}) =>
      identityOf(ec, { clientCertificates: wish }, { ca: pki.root.certificatePem, ...settings });
    const shows = (issued: Issued): ConnectionOptions => ({ cert: issued.certificatePem, key: issued.keyPem });

    /** A client's handshake with a server of these identities: what the server made of it, and the client's socket. */
    async function meet(
      identities: readonly TlsIdentity[],
      options: ConnectionOptions = {},
      serve?: (raw: net.Socket) => Promise<unknown>,
    ) {
      const server = new Server(identities);
      const outcome = Promise.withResolvers<AcceptedTls | undefined>();
      const listener = net.createServer((raw) => {
        outcome.resolve(
          serve === undefined ? server.accept(raw, { signal: new AbortController().signal }) : (serve(raw) as Promise<undefined>),
        );
      });
      listener.listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const records = await RecordCounter.start((listener.address() as AddressInfo).port);
      const peer: TLSSocket = tls.connect({
        port: records.port,
        host: '127.0.0.1',
        ca: pki.root.certificatePem,
        rejectUnauthorized: false,
        ...options,
      });
      peer.on('error', () => undefined); // the server tells
      const handshaken = once(peer, 'secureConnect').then(() => undefined);
      handshaken.catch(() => undefined); // where there is none
      const close = async () => {
        peer.destroy();
        (await outcome.promise.catch(() => undefined))?.connection.destroy();
        records.close();
        listener.close();
      };
      return { accepted: outcome.promise, handshaken, peer, records, port: records.port, [Symbol.asyncDispose]: close };
    }

    /** The certificate that a client is shown. */
    async function shownTo(
      identities: readonly TlsIdentity[],
      options: ConnectionOptions = {},
    ): Promise<{ shown: Buffer | undefined; name: string | undefined }> {
      await using meeting = await meet(identities, options);
      const accepted = await meeting.accepted;
      assert.ok(accepted !== undefined);
      await meeting.handshaken;
      const shown = meeting.peer.getPeerX509Certificate()?.raw;
      assert.deepEqual(Buffer.from(accepted.certificate), shown, 'the server knows what it has shown');
      return { shown, name: accepted.identity.name };
    }

    it('shows each host’s certificate to who asks for it by name, and the first to everybody else', async () => {
      const identities = [identityOf(ec), identityOf(other, { name: 'other.example' })];
      assert.deepEqual(await shownTo(identities, { servername: 'OTHER.example' }), { shown: other.certificate.raw, name: 'other.example' });
      assert.deepEqual(await shownTo(identities, { servername: 'unknown.example' }), { shown: ec.certificate.raw, name: undefined });
      assert.deepEqual(await shownTo(identities), { shown: ec.certificate.raw, name: undefined });
    });

    it('has an RSA certificate beside an EC one, for clients that know no other', async () => {
      const both: TlsIdentity = {
        tls: { cert: [ec.certificatePem, rsa.certificatePem], key: [ec.keyPem, rsa.keyPem] },
        clientCertificates: 'no',
      } as const;
      assert.deepEqual((await shownTo([both])).shown, ec.certificate.raw);
      assert.deepEqual((await shownTo([both], { sigalgs: 'RSA-PSS+SHA256:RSA+SHA256' })).shown, rsa.certificate.raw);
    });

    it('staples what an OCSP responder said, for each host, to who asks for it', async () => {
      const identities = [
        identityOf(ec, { ocspResponse: pki.ocspResponse(ec) }),
        identityOf(other, { name: 'other.example', ocspResponse: pki.ocspResponse(other) }),
        identityOf(rsa, { name: 'third.example' }),
      ];
      for (const [servername, response] of [
        [undefined, identities[0]?.ocspResponse],
        ['other.example', identities[1]?.ocspResponse],
        ['third.example', undefined],
      ] as const) {
        await using meeting = await meet(identities, { requestOCSP: true, ...(servername !== undefined && { servername }) });
        const [stapled] = (await once(meeting.peer, 'OCSPResponse')) as [Buffer | null];
        assert.deepEqual(stapled === null ? undefined : new Uint8Array(stapled), response, servername);
        assert.ok((await meeting.accepted) !== undefined);
      }
    });

    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const only = { minVersion: version, maxVersion: version };

      it(`knows a client by a certificate of its authority (${version})`, async () => {
        for (const wish of ['optional', 'required'] as const) {
          await using meeting = await meet([withClients(wish)], { ...shows(client), ...only });
          const accepted = await meeting.accepted;
          assert.deepEqual(
            accepted?.clientChain?.map((der) => Buffer.from(der)),
            [client.certificate.raw, pki.root.certificate.raw],
          );
          assert.deepEqual(Buffer.from(accepted?.connection.peerCertificate ?? []), client.certificate.raw);
        }
      });

      it(`takes a certificate that is not good for none, and none for a reason to end where one is required (${version})`, async () => {
        using strangers = new Pki();
        const expired = pki.issueClient({ notBefore: new Date(Date.now() - 172_800_000), notAfter: new Date(Date.now() - 86_400_000) });
        const revoked = pki.issueClient();
        const crl = pki.revoke(revoked);
        for (const [issued, settings] of [
          [strangers.issueClient(), {}],
          [expired, {}],
          [revoked, { crl }],
          [pki.issueServer(), {}],
        ] as const) {
          await using optional = await meet([withClients('optional', settings)], { ...shows(issued), ...only });
          const accepted = await optional.accepted;
          assert.equal(accepted?.clientChain, undefined);
          assert.match(accepted?.clientCertificateFault ?? '', /./);
          assert.equal(accepted?.connection.peerCertificate.length, 0);
          await using required = await meet([withClients('required', settings)], { ...shows(issued), ...only });
          await assert.rejects(required.accepted, NetworkError);
        }
        await using without = await meet([withClients('optional')], only);
        assert.deepEqual(Object.keys((await without.accepted) ?? {}).sort(), ['certificate', 'connection', 'identity']);
        await using none = await meet([withClients('required')], only);
        await assert.rejects(none.accepted, NetworkError);
      });

      it(`exports what the client exports, and knows its Finished (${version})`, async () => {
        await using meeting = await meet([identityOf(ec)], only);
        const { connection } = (await meeting.accepted) ?? assert.fail();
        await meeting.handshaken;
        const theirs = meeting.peer.exportKeyingMaterial(32, LABEL, undefined as unknown as Buffer);
        assert.deepEqual(Buffer.from(connection.exportNow(LABEL, 32)), theirs);
        assert.deepEqual(Buffer.from(connection.peerFinished ?? []), meeting.peer.getFinished());
        assert.match(connection.cipherSuite, new RegExp(`^${version}-TLS_`));
        assert.equal(connection.remote.address.family, 4);
      });

      it(`sends each write as one record, however many wait (${version})`, async () => {
        await using meeting = await meet([identityOf(ec)], only);
        const { connection } = (await meeting.accepted) ?? assert.fail();
        let received = 0;
        const all = Promise.withResolvers<void>();
        const frames = Array.from({ length: 300 }, (_, i) => Buffer.alloc(1 + ((i * 97) % 1500), i));
        const total = frames.reduce((sum, { length }) => sum + length, 1);
        meeting.peer.on('data', (bytes: Buffer) => {
          received += bytes.length;
          if (received === 1) all.resolve();
          if (received === total) all.resolve();
        });
        connection.write(Buffer.of(0)); // behind the tickets of TLS 1.3
        await all.promise;
        const before = meeting.records.serverRecords;
        const rest = Promise.withResolvers<void>();
        meeting.peer.on('data', () => received === total && rest.resolve());
        for (const frame of frames) connection.write(frame);
        await rest.promise;
        assert.equal(meeting.records.serverRecords - before, frames.length);
      });
    }

    it('asks all clients for a certificate where one host wants it, and lets each host have its own way', async () => {
      const identities = [identityOf(ec), { ...withClients('required'), name: 'strict.example' }];
      await using open = await meet(identities);
      assert.equal((await open.accepted)?.clientChain, undefined);
      await using strict = await meet(identities, { servername: 'strict.example' });
      await assert.rejects(strict.accepted, NetworkError);
      await using known = await meet(identities, { servername: 'strict.example', ...shows(client) });
      assert.equal((await known.accepted)?.clientChain?.length, 2);
    });

    it('resumes sessions, also of clients that were asked for a certificate', async () => {
      const server = new Server([withClients('required')]);
      const serve = (raw: net.Socket) => server.accept(raw, { signal: new AbortController().signal });
      const options = { ...shows(client), minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const;
      await using first = await meet([withClients('required')], options, serve);
      await first.handshaken;
      const session = first.peer.getSession();
      await using second = await meet([withClients('required')], { ...options, ...(session !== undefined && { session }) }, serve);
      assert.deepEqual(Buffer.from((await second.accepted)?.clientChain?.[0] ?? []), client.certificate.raw);
      await second.handshaken;
      assert.ok(second.peer.isSessionReused());
    });

    it('lets no client renegotiate', async () => {
      await using meeting = await meet([identityOf(ec)], { maxVersion: 'TLSv1.2' });
      const [accepted] = await Promise.all([meeting.accepted, meeting.handshaken]);
      accepted?.connection.onData(() => undefined);
      const ended = Promise.withResolvers<unknown>();
      meeting.peer.on('error', ended.resolve).on('close', ended.resolve);
      meeting.peer.renegotiate({ rejectUnauthorized: false }, ended.resolve);
      const outcome = await ended.promise;
      assert.notEqual(outcome, null, 'a renegotiation that succeeds has no error');
    });

    it('takes a client that leaves without a word for no error, and one that leaves in the middle for one', async () => {
      const outcomeOf = async (bytes: Uint8Array) => {
        const server = new Server([identityOf(ec)]);
        const listener = net.createServer();
        listener.listen(0, '127.0.0.1');
        await once(listener, 'listening');
        const visitor = net.connect((listener.address() as AddressInfo).port, '127.0.0.1');
        const [raw] = (await once(listener, 'connection')) as [net.Socket];
        const accepting = server.accept(raw, { signal: new AbortController().signal });
        visitor.end(bytes);
        return accepting.finally(() => listener.close());
      };
      assert.equal(await outcomeOf(Buffer.alloc(0)), undefined);
      await assert.rejects(outcomeOf(Buffer.from([22, 3, 1, 0, 5])), NetworkError);
      await assert.rejects(outcomeOf(Buffer.from('GET / HTTP/1.1\r\n\r\n')), NetworkError);
    });

    it('gives up on a client that takes too long, and when it is told to', async (t) => {
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const server = new Server([identityOf(ec)]);
      const listener = net.createServer();
      listener.listen(0, '127.0.0.1');
      await once(listener, 'listening');
      const attempt = async (signal: AbortSignal) => {
        const visitor = net.connect((listener.address() as AddressInfo).port, '127.0.0.1');
        visitor.on('error', () => undefined);
        const [raw] = (await once(listener, 'connection')) as [net.Socket];
        return { accepting: server.accept(raw, { signal }), visitor, raw };
      };
      const slow = await attempt(new AbortController().signal);
      t.mock.timers.tick(20_000);
      await assert.rejects(slow.accepting, NetworkError);
      assert.ok(slow.raw.destroyed);
      const abort = new AbortController();
      const stopped = await attempt(abort.signal);
      abort.abort();
      await assert.rejects(stopped.accepting, CancelledError);
      assert.ok(stopped.raw.destroyed);
      slow.visitor.destroy();
      stopped.visitor.destroy();
      listener.close();
    });

    it('says which host cannot be set up', () => {
      assert.throws(
        () =>
          new Server([
            identityOf(ec),
            { ...identityOf(other), name: 'other.example', tls: { cert: other.certificatePem, key: ec.keyPem } },
          ]),
        (error) => {
          assert.ok(error instanceof MisuseError);
          assert.match(error.message, /other\.example/);
          return true;
        },
      );
      assert.throws(() => new Server([]), MisuseError);
    });
  });
}
