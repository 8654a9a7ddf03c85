/** A client's log-in at our gateway by EAP-TTLS, in memory, with node:tls at both ends; and clients that do not go on as they should. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { LoginIo } from '../../../../src/core/auth/login-io.ts';
import { NetworkError, PeerMisbehavedError, PeerRefusedError } from '../../../../src/core/errors.ts';
import { EAP_CODES, EAP_METHODS } from '../../../../src/core/protocols/pulse/eap.ts';
import { encodeInner } from '../../../../src/core/protocols/pulse/eap-ttls.ts';
import { pulseGateway } from '../../../../src/core/protocols/pulse/gateway.ts';
import { GatewayTtls } from '../../../../src/core/protocols/pulse/gateway-ttls.ts';
import { comeBack, login } from '../../../../src/core/protocols/pulse/login.ts';
import { parseSessionCookie } from '../../../../src/core/protocols/pulse/session-cookie.ts';
import { utf8 } from '../../../../src/core/wire/text.ts';
import { innerTlsClient } from '../../../../src/node/inner-tls.ts';
import { InnerTlsContexts } from '../../../../src/node/inner-tls-server.ts';
import type { TlsIdentity } from '../../../../src/node/tls-acceptor.ts';
import { Door, FACTS, get } from '../../../support/gateway-door.ts';
import { PlayedVisitor, type VisitorOptions } from '../../../support/gateway-visitor.ts';
import { NoTls } from '../../../support/no-tls.ts';
import { type Issued, Pki } from '../../../support/pki.ts';
import { PlayedIo, type PlayedStep } from '../../../support/played-io.ts';
import { missing } from '../../../support/requirements.ts';
import { HANG_LIMIT } from '../../../support/size.ts';

const TARGET = { host: 'vpn.example', port: 443, path: '/' };
const OPTIONS = { userAgent: 'test', hostname: 'box' };
const ASKED: PlayedStep = { asked: ['username', 'password'], values: ['alice', 'right-one'] };
/** In a chain: its messages are of several fragments then. */
const MANY = 20;

/** Bytes from one end to the other, in slices of a size. */
class Wire {
  readonly #slices: Uint8Array[] = [];
  readonly #size: number;
  #wake = () => {};
  #isOver = false;

  constructor(size: number) {
    this.#size = size;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += this.#size) this.#slices.push(bytes.slice(at, at + this.#size));
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async read(): Promise<Uint8Array | undefined> {
    while (this.#slices.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#slices.shift();
  }
}

describe('a log-in by EAP-TTLS in memory', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  let pki: Pki;
  let [server, client]: Issued[] = [];
  before(() => {
    pki = new Pki();
    server = pki.issueServer({ names: [TARGET.host] });
    client = pki.issueClient({ commonName: 'alice' });
  });
  after(() => pki[Symbol.dispose]());

  const issued = (which: Issued | undefined) => which ?? assert.fail();
  const identity = (more: Partial<TlsIdentity['tls']> = {}): TlsIdentity => {
    const { certificatePem, keyPem } = issued(server);
    const chain = certificatePem + pki.root.certificatePem.repeat(MANY);
    return { tls: { cert: [chain], key: [keyPem], ca: pki.root.certificatePem, ...more }, clientCertificates: 'no' };
  };
  const contextOf = ({ certificatePem, keyPem }: Issued): SecureContext =>
    createSecureContext({ cert: certificatePem + pki.root.certificatePem.repeat(MANY), key: keyPem });

  /** A gateway whose connections ask for a certificate, and a client's world that leads there. */
  function pair(
    options: VisitorOptions,
    host: TlsIdentity,
    context: SecureContext,
    { steps = [ASKED], size = 16_384, page = { needsCertificate: true } as VisitorOptions['page'] } = {},
  ) {
    const visitor = new PlayedVisitor({ users: { alice: { password: 'right-one' } }, ...options, ...(page !== undefined && { page }) });
    const contexts = new InnerTlsContexts();
    const certificate = new Uint8Array(issued(server).certificate.raw);
    const played = new PlayedIo(steps);
    const doors: Door[] = [];
    const upgrade: LoginIo['upgrade'] = async ({ headers }) => {
      const [up, down] = [new Wire(size), new Wire(size)];
      const door = new Door(visitor, FACTS, pulseGateway);
      doors.push(door);
      door.upgraded = { read: () => up.read(), unread: () => undefined, write: (bytes) => down.write(bytes) };
      door.innerTls = () => contexts.serve(host, certificate);
      const response = await door.exchange(get('/', headers));
      assert.ok(typeof response !== 'string');
      void door.end.then(() => down.end());
      const stream = {
        read: async () => {
          const bytes = await down.read();
          if (bytes === undefined) throw new NetworkError('The gateway left.');
          return bytes;
        },
        write: (bytes: Uint8Array) => up.write(bytes),
        close: async () => up.end(),
        keep: () => new Uint8Array(0),
      };
      return { response, stream };
    };
    const io: LoginIo = {
      ...{ log: played.log, signal: played.signal, crypto: played.crypto, hasClientCertificate: true },
      ...{ upgrade, http: (request) => played.http(request), ask: (form) => played.ask(form), connection: () => played.connection() },
      ...{ checkHost: () => played.checkHost(), sleep: () => played.sleep(), now: () => played.now() },
      innerTls: () => innerTlsClient({ host: TARGET.host, context, certificate }),
    };
    return { io, visitor, played, doors };
  }

  for (const size of [1000, 16_384]) {
    it(`shows a certificate in messages of several fragments, is asked for the rest inside, and comes back, in slices of ${size}`, async () => {
      const { io, visitor, played, doors } = pair({}, identity(), contextOf(issued(client)), { size });
      const { credential, usesTtls } = await login(io, TARGET, OPTIONS);
      assert.equal(usesTtls, true);
      await comeBack(io, TARGET, OPTIONS, parseSessionCookie(credential.cookie));
      assert.deepEqual(await Promise.all(doors.map(({ end }) => end)), ['tunnel', 'tunnel']);
      const [shown] = visitor.hints;
      assert.ok(issued(client).certificate.raw.equals(shown?.certificateChain?.[0] ?? new Uint8Array(0)));
      assert.equal(visitor.hints.length, 1, 'a cookie needs no log-in');
      played.assertFinished(['right-one']);
    });
  }

  it('asks for the certificate that the host shows to this client, of several, also where the host takes TLS 1.3 alone', async () => {
    const { certificatePem, keyPem } = pki.issueServer({ names: [TARGET.host], keyType: 'ed25519' });
    const own = issued(server);
    const host = identity({
      cert: [certificatePem, own.certificatePem],
      key: [keyPem, own.keyPem],
      minVersion: 'TLSv1.3',
      ciphers: 'TLS_AES_256_GCM_SHA384',
    });
    const { io, visitor } = pair({}, host, contextOf(issued(client)));
    await login(io, TARGET, OPTIONS);
    assert.equal(visitor.hints.length, 1);
  });

  it('is asked where a certificate is one way of several, and goes on with a password where there is none that is good', async () => {
    using other = new Pki();
    for (const [context, isShown] of [
      [contextOf(issued(client)), true],
      [contextOf(other.issueClient()), false],
      [createSecureContext({}), false],
    ] as const) {
      const { io, visitor, played } = pair({}, identity(), context, { page: { takesCertificate: true } });
      const { usesTtls } = await login(io, TARGET, OPTIONS);
      assert.equal(usesTtls, true);
      assert.equal(visitor.hints[0]?.certificateChain !== undefined, isShown);
      played.assertFinished(['right-one']);
    }
  });

  it('refuses who has no certificate, one of another authority, or one that was revoked', async () => {
    using other = new Pki();
    const revoked = pki.issueClient();
    const crl = pki.revoke(revoked);
    for (const [context, fault] of [
      [createSecureContext({}), undefined],
      [contextOf(other.issueClient()), /client certificate refused.*/],
      [contextOf(revoked), /client certificate refused.*revoked/],
    ] as const) {
      const { io, visitor, doors } = pair({}, identity({ crl }), context, { steps: [] });
      await assert.rejects(login(io, TARGET, OPTIONS), (error) => error instanceof PeerRefusedError && /certificate/.test(error.message));
      assert.deepEqual(await Promise.all(doors.map(({ end }) => end)), ['close']);
      assert.deepEqual(visitor.hints, []);
      const log = visitor.log.lines.join('\n');
      assert.match(log, /log-in refused.*no certificate/);
      if (fault !== undefined) assert.match(log, fault);
    }
  });
});

describe("a gateway's EAP-TTLS", () => {
  const said = (inner: Uint8Array) => Buffer.concat([Uint8Array.of(0), inner]);
  const IDENTITY = said(encodeInner({ code: EAP_CODES.response, id: 1, method: EAP_METHODS.identity, data: utf8('anonymous') }));
  /** With a client that answers so. */
  const heard = async (...answers: readonly Uint8Array[]) => {
    const [challenges, responses]: [Uint8Array[], Uint8Array[]] = [[], [...answers]];
    const response = async () => responses.shift() ?? assert.fail('it waits for more');
    const ttls = new GatewayTtls(new NoTls(), { challenge: (data) => challenges.push(data), response });
    return { ttls, challenges, packet: await ttls.open() };
  };

  it('begins with a start, and acknowledges what comes in fragments', async () => {
    const inner = IDENTITY.subarray(1);
    const { challenges, packet } = await heard(Buffer.concat([Uint8Array.of(0x40), inner.subarray(0, 9)]), said(inner.subarray(9)));
    assert.deepEqual(
      challenges.map((data) => [...data]),
      [[0x20], [0]],
    );
    assert.equal(packet.method, EAP_METHODS.identity);
  });

  it('ends where the client begins anew, has nothing to say, or asks by itself', async () => {
    const asks = encodeInner({ code: EAP_CODES.request, id: 1, method: EAP_METHODS.identity, data: utf8('x') });
    for (const answers of [[Uint8Array.of(0x20)], [Uint8Array.of(0), Uint8Array.of(0)], [said(asks)]])
      await assert.rejects(heard(...answers), PeerMisbehavedError);
  });

  it('ends where what comes is no TLS', { skip: missing('openssl') }, async () => {
    using pki = new Pki();
    const { certificate, certificatePem, keyPem } = pki.issueServer();
    const tls = new InnerTlsContexts().serve({ tls: { cert: certificatePem, key: keyPem }, clientCertificates: 'no' }, certificate.raw);
    const ttls = new GatewayTtls(tls, { challenge: () => undefined, response: async () => said(utf8('GET / HTTP/1.1\r\n\r\n')) });
    await assert.rejects(ttls.open(), NetworkError);
    ttls.close();
  });
});
