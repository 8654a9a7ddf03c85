/** Our client's log-in and our gateway's front, one against the other in memory: what one writes the other reads. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuthForm, FormAnswer } from '../../../../src/core/auth/form.ts';
import type { ConnectionFacts, Credential, LoginIo, LoginRequest, ProfileStore } from '../../../../src/core/auth/login-io.ts';
import { MisuseError, NetworkError, PeerRefusedError } from '../../../../src/core/errors.ts';
import type { HttpResponse } from '../../../../src/core/http/message.ts';
import { RequestParser } from '../../../../src/core/http/request-parser.ts';
import { parseServer } from '../../../../src/core/http/url.ts';
import { AnyConnectClient } from '../../../../src/core/protocols/anyconnect/client.ts';
import type { ProtocolSettings } from '../../../../src/core/protocols/client-protocol.ts';
import type { ClientFacts } from '../../../../src/core/protocols/gateway-protocol.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { TunnelEvent } from '../../../../src/core/tunnel/machine.ts';
import { utf8 } from '../../../../src/core/wire/text.ts';
import { NodeCrypto } from '../../../../src/node/crypto/node-crypto.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';
import { RecordedLog } from '../../../support/forms.ts';
import { Door, FACTS } from '../../../support/gateway-door.ts';
import { PlayedVisitor } from '../../../support/gateway-visitor.ts';

/** What a person answers: by the name of a field, or by the words of the page. */
type Answers = (form: AuthForm) => FormAnswer;

/** The client's world, whose gateway is a {@link Door}. */
class DoorIo implements LoginIo {
  readonly log: RecordedLog = new RecordedLog();
  readonly crypto = new NodeCrypto();
  readonly signal: AbortSignal = new AbortController().signal;
  readonly hasClientCertificate: boolean;
  readonly profile?: ProfileStore;
  readonly forms: AuthForm[] = [];
  readonly #visitor: PlayedVisitor;
  readonly #answers: Answers;
  readonly #facts: Partial<ClientFacts>;
  #door: Door | undefined;
  #isKept = false;

  constructor(
    visitor: PlayedVisitor,
    answers: Answers,
    options: { readonly facts?: Partial<ClientFacts>; readonly profile?: ProfileStore } = {},
  ) {
    this.#visitor = visitor;
    this.#answers = answers;
    this.#facts = options.facts ?? {};
    this.hasClientCertificate = options.facts?.certificateChain !== undefined;
    if (options.profile !== undefined) this.profile = options.profile;
  }

  async http({ method, target, headers, body = utf8('') }: LoginRequest, how: { readonly fresh?: boolean } = {}): Promise<HttpResponse> {
    if (this.#door === undefined || !this.#isKept || how.fresh === true) this.#door = new Door(this.#visitor, this.#facts);
    const answer = await this.#door.exchange({ method, target: target.path, version: '1.1', headers, body });
    if (typeof answer === 'string') throw new NetworkError(`The gateway has no answer: ${answer}.`);
    // A refusal ends the connection; all others keep it.
    this.#isKept = answer.status === 200 || answer.headers.some(([name]) => name === 'WWW-Authenticate');
    return answer;
  }

  async upgrade(): Promise<never> {
    throw new MisuseError('Nobody leaves HTTP here.');
  }

  connection(): ConnectionFacts {
    return { local: FACTS.remote, remote: FACTS.local, peerCertificate: utf8('certificate'), pin: 'pin-sha256:PIN=', isKept: this.#isKept };
  }

  async ask(form: AuthForm): Promise<FormAnswer> {
    this.forms.push(form);
    return this.#answers(form);
  }

  async checkHost(): Promise<void> {
    assert.fail('there is no host scan');
  }

  async sleep(): Promise<void> {
    assert.fail('there is nothing to wait for');
  }

  now(): number {
    return 0;
  }
}

const SETTINGS: ProtocolSettings = {
  crypto: new NodeCrypto(),
  log: new RecordedLog(),
  client: CLIENT,
  usesXml: true,
  httpAuth: [],
  compression: 'none',
  wantsIpv6: true,
  usesDatagrams: false,
  datagramCiphers: { allowsLegacy: false },
};

const ALICE = { users: { alice: { password: 'right-one' }, bob: { password: 'right-one', code: '123456' } } };
const GROUPS = [
  { value: '', label: 'none' },
  { value: 'ga', label: 'Group A' },
];

/** Types these passwords one after the other, and this name. */
function types(user: string, ...passwords: readonly string[]): Answers {
  const left = [...passwords];
  return ({ fields }) => ({
    type: 'submit',
    values: Object.fromEntries(
      fields.map(({ name, kind }) => [name, kind === 'text' ? user : kind === 'choice' ? '' : new Secret(left.shift() ?? '')]),
    ),
  });
}

async function logIn(
  io: DoorIo,
  settings: Partial<ProtocolSettings> = {},
  server = 'vpn.example',
): Promise<{ client: AnyConnectClient; credential: Credential }> {
  const client = new AnyConnectClient({ ...SETTINGS, ...settings });
  return { client, credential: await client.login(io, parseServer(server)) };
}

function sessionOf(visitor: PlayedVisitor, { cookie }: Credential) {
  const value = /webvpn=([^;]*)$/.exec(cookie.reveal())?.[1] ?? assert.fail('no session');
  return visitor.sessions.get(value) ?? assert.fail('a session that the gateway does not know');
}

describe('Our client at our gateway', () => {
  for (const usesXml of [true, false]) {
    it(`logs in with name and password (${usesXml ? 'documents' : 'forms'})`, async () => {
      const visitor = new PlayedVisitor(ALICE);
      const io = new DoorIo(visitor, types('alice', 'right-one'));
      const { credential } = await logIn(io, { usesXml });
      assert.equal(sessionOf(visitor, credential).user, 'alice');
      assert.deepEqual(
        io.forms.map(({ message }) => message),
        ['Please enter your username.', 'Please enter your password.'],
      );
    });
  }

  it('tries again after a wrong password, and gives up when the gateway does', async () => {
    const visitor = new PlayedVisitor(ALICE);
    const io = new DoorIo(visitor, types('alice', 'wrong', 'right-one'));
    assert.equal(sessionOf(visitor, (await logIn(io)).credential).user, 'alice');
    assert.equal(io.forms.at(-1)?.message, 'Login failed.\nPlease enter your password.');
    await assert.rejects(logIn(new DoorIo(visitor, types('alice', 'a', 'b', 'c'))), PeerRefusedError);
  });

  it('has the page for the code answered by whoever makes codes', async () => {
    const visitor = new PlayedVisitor(ALICE);
    const io = new DoorIo(visitor, types('bob', 'right-one', '123456'));
    assert.equal(sessionOf(visitor, (await logIn(io)).credential).user, 'bob');
    assert.equal(io.forms.at(-1)?.fields[0]?.kind, 'otp');
  });

  for (const usesXml of [true, false]) {
    it(`takes another group’s form first (${usesXml ? 'documents' : 'forms'})`, async () => {
      const visitor = new PlayedVisitor({ ...ALICE, groups: GROUPS });
      let hasChosen = false;
      const type = types('alice', 'right-one');
      const io = new DoorIo(visitor, (form) => {
        const answer = type(form);
        if (answer.type !== 'submit' || form.fields.every(({ kind }) => kind !== 'choice')) return answer;
        if (hasChosen) return { type: 'submit', values: { ...answer.values, group_list: 'ga' } };
        hasChosen = true;
        return { type: 'change-group', group: 'ga' };
      });
      const { credential } = await logIn(io, { usesXml });
      assert.equal(sessionOf(visitor, credential).group, 'ga');
      assert.deepEqual(
        visitor.hints.map(({ group }) => group),
        usesXml ? [undefined, 'ga'] : [undefined],
      );
    });
  }

  it('logs in with a certificate, on as many connections as that takes', async () => {
    const facts = { certificateChain: [utf8('leaf')] };
    const visitor = new PlayedVisitor({ certificate: { user: 'carol', groups: ['g1', 'g2'] } });
    const io = new DoorIo(visitor, () => ({ type: 'submit', values: { group_list: 'g2' } }), { facts });
    const session = sessionOf(visitor, (await logIn(io)).credential);
    assert.deepEqual([session.user, session.group], ['carol', 'g2']);
    const without = new PlayedVisitor({ page: { needsCertificate: true } });
    await assert.rejects(logIn(new DoorIo(without, () => assert.fail())), PeerRefusedError);
  });

  it('logs in with a token when it is asked for one', async () => {
    for (const bearer of ['required', 'offered'] as const) {
      const visitor = new PlayedVisitor({ token: { token: 'abc.def', user: 'dora' }, page: { bearer } });
      const io = new DoorIo(visitor, () => assert.fail('nothing is asked'));
      const { credential } = await logIn(io, { bearerToken: new Secret('abc.def') });
      assert.equal(sessionOf(visitor, credential).user, 'dora');
    }
    const visitor = new PlayedVisitor({ ...ALICE, page: { bearer: 'offered' } });
    const { credential } = await logIn(new DoorIo(visitor, types('alice', 'right-one')), { httpAuth: ['negotiate'] });
    assert.equal(sessionOf(visitor, credential).user, 'alice', 'without a token it takes the form');
  });

  it('fetches the profile that the gateway has, if it is another', async () => {
    const bytes = utf8('<AnyConnectProfile/>');
    const visitor = new PlayedVisitor({ ...ALICE, page: { profile: { name: 'p.xml', bytes } } });
    const saved: Uint8Array[] = [];
    const profile = { sha1: async () => undefined, replace: async (text: Uint8Array) => void saved.push(text) };
    await logIn(new DoorIo(visitor, types('alice', 'right-one'), { profile }));
    assert.deepEqual(saved, [bytes]);
  });

  it('finds a gateway that hides behind a secret', async () => {
    const visitor = new PlayedVisitor({ ...ALICE, page: { camouflage: { secret: new Secret('open-sesame') } } });
    const { credential } = await logIn(new DoorIo(visitor, types('alice', 'right-one')), {}, 'vpn.example/?open-sesame');
    assert.equal(sessionOf(visitor, credential).user, 'alice');
    await assert.rejects(logIn(new DoorIo(visitor, () => assert.fail())), PeerRefusedError);
  });

  it('opens tunnels with its cookie, each with another key, and is configured by the answer', async () => {
    const visitor = new PlayedVisitor(ALICE);
    const { client, credential } = await logIn(new DoorIo(visitor, types('alice', 'right-one')));
    const session = sessionOf(visitor, credential);
    const keys = new Set<string>();
    for (let tunnels = 1; tunnels <= 3; tunnels++) {
      keys.add(Buffer.from(session.boundKey ?? assert.fail('not bound')).toString('base64'));
      const finished = utf8(`verify_data ${tunnels}`);
      const machine = await client.open(new DoorIo(visitor, () => assert.fail()), credential, undefined);
      const [sink, events] = [new CollectingSink(), [] as TunnelEvent[]];
      const out = { on: () => sink, event: (event: TunnelEvent) => events.push(event) };
      const stream = { kind: 'stream' } as const;
      machine.handleTimeout(0, out);
      const { local, remote, cipherSuite } = FACTS;
      machine.opened(stream, { local: remote, remote: local, engine: false, tls: { cipherSuite, finished } }, 0, out);
      const parser = new RequestParser();
      parser.push(sink.records[0] ?? assert.fail('no CONNECT'));
      const door = new Door(visitor, { clientFinished: finished });
      assert.equal(await door.exchange((parser.next() ?? assert.fail()).message), 'tunnel');
      const answer = new CollectingSink();
      door.ran?.plan.machine.opened(stream, { local, remote, engine: false, tls: { cipherSuite } }, 0, {
        on: () => answer,
        event: () => undefined,
      });
      machine.receive(stream, answer.records[0] ?? assert.fail('no answer'), 0, out);
      const config = events.find((event) => event.type === 'config')?.config;
      assert.deepEqual([...(config?.ipv4?.address.bytes ?? [])], [10, 77, 0, 50]);
      assert.ok(events.some(({ type }) => type === 'up'));
    }
    assert.equal(keys.size, 3);
  });
});
