/** The fake gateway, with the library as its client: log-in, questions, a tunnel of sockets in this process, and the ends of sessions. No root. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { authenticate, connect, recognise } from '../../../src/client/index.ts';
import { PROTOCOL_IDS, type ProtocolId } from '../../../src/core/auth/protocol-id.ts';
import { MisuseError, PeerRefusedError } from '../../../src/core/errors.ts';
import { FakeGateway, INSIDE } from '../../../src/gateway/fake/fake-gateway.ts';
import { Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const USERS = [
  { name: 'alice', password: 'secret' },
  {
    name: 'bob',
    password: 'secret',
    questions: [
      { prompt: 'Please enter your code.', answer: '123456' },
      { prompt: 'Please say the colour.', answer: 'blue', kind: 'text' },
    ],
  },
] as const;

/** What a protocol cannot do. */
const LACKS = {
  nc: { ipv6: true },
  array: { questions: true, ipv6: true, goodbye: true },
  gp: { goodbye: true },
} as Partial<Record<ProtocolId, { readonly questions?: true; readonly ipv6?: true; readonly goodbye?: true }>>;

for (const protocol of PROTOCOL_IDS) {
  const lacks = LACKS[protocol] ?? {};
  // Array's group is written, and a site with one takes none.
  const group = protocol === 'array' ? { group: '' } : {};
  describe(`the fake gateway of ${protocol}`, { timeout: HANG_LIMIT }, () => {
    it('is recognised, asks what it was told to ask, and lets programs in by their own sockets', async () => {
      await using gateway = await FakeGateway.start({ protocol, users: USERS });
      const found = await recognise(gateway.url, { pins: [gateway.pin] });
      assert.deepEqual([found.protocol, found.certainty], [protocol, 'certain'], JSON.stringify(found.evidence));
      const asked: (string | undefined)[] = [];
      await using vpn = await connect(gateway.url, {
        ...{
          protocol: 'auto',
          pins: [gateway.pin],
          user: lacks.questions ? 'alice' : 'bob',
          password: 'secret',
          device: 'userspace',
          ...group,
        },
        onForm: async ({ message, error, fields }) => {
          const [label] = fields.flatMap((field) => (field.kind === 'password' ? field.label.replace(/:$/, '') : []));
          // F5's words for a question that follows another one are an error; Pulse's are the field's.
          const prompt = protocol === 'pulse' && label !== undefined ? label : (message ?? error);
          asked.push(prompt);
          const answer = prompt?.includes('colour') === true ? 'blue' : '123456';
          return { type: 'submit', values: Object.fromEntries(fields.map(({ name }) => [name, answer])) };
        },
      });
      assert.deepEqual(asked, lacks.questions ? [] : ['Please enter your code.', 'Please say the colour.']);
      assert.deepEqual(gateway.users, [lacks.questions ? 'alice' : 'bob']);
      const answer = await vpn.fetch(`http://${INSIDE.ipv4}/`);
      assert.equal(await answer.text(), 'You are inside.\n');
      if (!lacks.ipv6) await vpn.ping(INSIDE.ipv6);
      const [nowhere] = await once(vpn.createConnection({ port: 80 } as never), 'error');
      assert.ok(nowhere instanceof MisuseError, String(nowhere));
      vpn.reconnect();
      await new Promise<void>((resolve) => vpn.on('state', (state) => state === 'up' && resolve()));
      await vpn.ping(INSIDE.ipv4);
      await vpn.close();
      // These two are told in the tunnel, and do not answer.
      if (protocol !== 'anyconnect' && protocol !== 'pulse') assert.deepEqual(gateway.users, [], 'it has logged out');
    });

    it('ends sessions as an administrator does, after which the cookie is dead', async () => {
      await using gateway = await FakeGateway.start({ protocol });
      const options = { protocol, pins: [gateway.pin], user: 'alice', password: 'secret', device: 'userspace', ...group } as const;
      await using vpn = await connect(gateway.url, options);
      const closed = vpn.closed;
      await gateway.kick('It is late.');
      assert.equal((await closed).kind, lacks.goodbye ? 'refused' : 'ended-by-peer');
      const { credential } = vpn;
      assert.ok(credential);
      await assert.rejects(connect(gateway.url, { ...options, credential, reconnectTimeout: 0 }), PeerRefusedError);
    });

    it('refuses a wrong password', async () => {
      await using gateway = await FakeGateway.start({ protocol });
      const onForm = async () => ({ type: 'cancel' }) as const;
      await assert.rejects(
        authenticate(gateway.url, { protocol, pins: [gateway.pin], user: 'alice', password: 'wrong', onForm, ...group }),
      );
      assert.deepEqual(gateway.users, []);
      await gateway.close(); // where there is no "await using" yet
      await gateway.close();
    });
  });
}

describe('the fake gateway of pulse that wants a certificate', { skip: missing('openssl'), timeout: 60_000 }, () => {
  it('asks for it by EAP-TTLS, in each log-in, and of nobody who comes with a cookie', async () => {
    using pki = new Pki();
    const { certificatePath, keyPath } = pki.issueClient({ commonName: 'alice' });
    await using gateway = await FakeGateway.start({ protocol: 'pulse', clientAuthority: pki.root.certificatePem });
    const options = { protocol: 'pulse', pins: [gateway.pin], device: 'userspace' } as const;
    const login = { ...options, user: 'alice', password: 'secret' };
    const refused = (error: Error) => error instanceof PeerRefusedError && /wants a client certificate/.test(error.message);
    await assert.rejects(connect(gateway.url, login), refused);
    using others = new Pki();
    const other = others.issueClient({ commonName: 'alice' });
    const stranger = { certificate: other.certificatePath, key: other.keyPath };
    await assert.rejects(connect(gateway.url, { ...login, certificate: stranger }), refused);
    const credential = await authenticate(gateway.url, { ...login, certificate: { certificate: certificatePath, key: keyPath } });
    // The first tunnel hears that it goes on by EAP-TTLS, and the second is led there.
    await using vpn = await connect(gateway.url, { ...options, credential });
    await vpn.ping(INSIDE.ipv4);
    vpn.reconnect();
    await new Promise<void>((resolve) => vpn.on('state', (state) => state === 'up' && resolve()));
    await vpn.ping(INSIDE.ipv4);
  });

  it('is not played for protocols without', async () => {
    await assert.rejects(FakeGateway.start({ protocol: 'gp', clientAuthority: 'anything' }), MisuseError);
  });

  it('is not played with an authority that is none', async () => {
    using pki = new Pki();
    const der = new X509Certificate(pki.root.certificatePem).raw;
    const torn = pki.root.certificatePem.replace(/\n.{8}/, '\n');
    for (const clientAuthority of ['', 'anything', torn, pki.root.keyPem, der.toString('latin1')]) {
      await assert.rejects(FakeGateway.start({ protocol: 'pulse', clientAuthority }), MisuseError);
    }
  });
});
