/** Whatever a client says, what the worker tells main of it passes main's guards: a message that does not would end the worker, with everybody's tunnels. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AuthStep } from '../../../src/core/auth/dialogue.ts';
import { PeerRefusedError } from '../../../src/core/errors.ts';
import type { HttpRequest } from '../../../src/core/http/message.ts';
import { arrayGateway } from '../../../src/core/protocols/array/gateway.ts';
import { f5Gateway } from '../../../src/core/protocols/f5/gateway.ts';
import { fortinetGateway } from '../../../src/core/protocols/fortinet/gateway.ts';
import type { GatewayProtocol, UpgradedStream } from '../../../src/core/protocols/gateway-protocol.ts';
import { gpGateway } from '../../../src/core/protocols/gp/gateway.ts';
import { ncGateway } from '../../../src/core/protocols/nc/gateway.ts';
import {
  decodeAuth,
  encodeAuth,
  IDENTITY,
  renderClientInformation,
  VERSION_REQUEST,
} from '../../../src/core/protocols/pulse/auth-payload.ts';
import { AVP_CODES, type Avp, decodeAvps, eapAvp, encodeAvps, textAvp } from '../../../src/core/protocols/pulse/avp.ts';
import { decodeEap, EAP_CODES, EAP_METHODS, type EapPacket } from '../../../src/core/protocols/pulse/eap.ts';
import { pulseGateway } from '../../../src/core/protocols/pulse/gateway.ts';
import { IFT_KINDS, IftDeframer, IftWriter } from '../../../src/core/protocols/pulse/ift-packet.ts';
import { encodePasswordResponse } from '../../../src/core/protocols/pulse/password-method.ts';
import { upgradeHeaders } from '../../../src/core/protocols/pulse/upgrade.ts';
import { Secret } from '../../../src/core/secret.ts';
import { toBase64, utf8 } from '../../../src/core/wire/text.ts';
import { DEFAULT_PORTAL } from '../../../src/gateway/config/portal-config.ts';
import { RemoteLogger } from '../../../src/gateway/processes/remote-logger.ts';
import { type DeskService, WORKER_GUARDS } from '../../../src/gateway/processes/worker-contract.ts';
import { workerVisitor } from '../../../src/gateway/worker/worker-visitor.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { Door, FACTS, get, post, replyDocument } from '../../support/gateway-door.ts';

const ID = toBase64(new Uint8Array(32));
const QUESTION: AuthStep = { type: 'ask', form: { id: 'main', fields: [{ kind: 'password', name: 'password', label: 'Password:' }] } };

/** A worker's end of the channel, and main's guards at the other. */
function guardedWorker(question = QUESTION) {
  let calls = 0;
  const faults: unknown[] = [];
  const passed = (name: string, args: readonly unknown[]) => {
    calls++;
    try {
      return (WORKER_GUARDS[name] ?? assert.fail(name))(args);
    } catch (error) {
      faults.push(error);
      throw error;
    }
  };
  const answers: Partial<Record<keyof DeskService, unknown>> = {
    begin: { dialogue: ID, step: question },
    answer: question,
    knows: true,
    session: { id: 's', user: 'alice' },
    endSession: undefined,
    preview: new PeerRefusedError('no room'),
    lease: new PeerRefusedError('no room'),
  };
  const desk = new Proxy({} as DeskService, {
    get: (_, name: keyof DeskService) => (name in answers ? asked(name) : undefined),
  });
  const asked =
    (name: keyof DeskService) =>
    async (...args: unknown[]) => {
      passed(name, args);
      const answer = answers[name];
      if (answer instanceof Error) throw answer;
      return answer;
    };
  const lines: unknown[] = [];
  const notify = (name: string, args: readonly unknown[]) => {
    assert.deepEqual(passed(name, args), args, 'the line is not dropped');
    lines.push(args);
    return true;
  };
  const log = new RemoteLogger({ notify }, 9);
  const host = {
    serverName: '',
    certificate: new Uint8Array(0),
    headers: [],
    cookieTimeout: 0,
    needsCertificate: false,
    portal: DEFAULT_PORTAL,
  };
  const visitor = workerVisitor({ ...{ connection: 1, desk, host, log }, crypto: new NodeCrypto(), now: () => 0, expect: () => undefined });
  return { visitor, log, lines, faults, calls: () => calls };
}

/** Answers every question with words of its list, as all that they could be, until there are none left. */
class PulseTalker implements UpgradedStream {
  readonly #words: string[];
  readonly #writer = new IftWriter();
  readonly #said: Uint8Array[];

  constructor(words: readonly string[]) {
    this.#words = [...words];
    const hostname = { hostname: words[0] ?? '' };
    this.#said = [
      this.#writer.packet(IFT_KINDS.versionRequest, VERSION_REQUEST),
      this.#writer.packet(IFT_KINDS.clientInformation, renderClientInformation(hostname)),
    ];
  }

  async read(): Promise<Uint8Array | undefined> {
    return this.#said.shift();
  }

  unread(): void {
    assert.fail('there is no tunnel');
  }

  write(bytes: Uint8Array): void {
    const deframer = new IftDeframer();
    deframer.push(bytes);
    assert.ok(deframer.next());
    if (deframer.kind !== IFT_KINDS.authChallenge) return;
    const question = decodeAuth(deframer.payload);
    if (question === undefined) this.#respond({ code: EAP_CODES.response, id: 1, method: EAP_METHODS.identity, data: IDENTITY });
    else if (question.method === EAP_METHODS.conversation) this.#answer(question.id, decodeAvps(question.data));
  }

  #answer(id: number, question: readonly Avp[]): void {
    const word = this.#words.shift();
    if (word === undefined) return;
    const inner = question.find(({ code }) => code === AVP_CODES.eapMessage);
    const method = inner && decodeEap(inner.data).method;
    const password = encodePasswordResponse({ password: word.slice(0, 100) });
    const data = method === EAP_METHODS.password ? password : utf8(word);
    const avps = [
      ...[AVP_CODES.userAgent, AVP_CODES.username, AVP_CODES.realm].map((code) => textAvp(code, word.slice(0, 1500))),
      textAvp(AVP_CODES.cookie, word.slice(0, method === undefined ? 8000 : 0)),
      ...(method === undefined ? [] : [eapAvp({ code: EAP_CODES.response, id: 1, method, data: data.subarray(0, 9000) })]),
    ];
    this.#respond({ code: EAP_CODES.response, id, method: EAP_METHODS.conversation, data: encodeAvps(avps) });
  }

  #respond(packet: EapPacket): void {
    this.#said.push(this.#writer.packet(IFT_KINDS.authResponse, encodeAuth(packet)));
  }
}

async function served(request: HttpRequest, vendor?: GatewayProtocol): Promise<number> {
  const { visitor, lines, calls } = guardedWorker();
  const door = new Door(visitor, FACTS, vendor);
  const answer = await door.exchange(request);
  assert.doesNotMatch(JSON.stringify(lines), /request failed/);
  assert.notEqual(typeof answer === 'string' ? undefined : answer.status, 503);
  door.leave();
  await door.end;
  return calls();
}

const size = fc.oneof(fc.nat(80), fc.constantFrom(63, 64, 65, 1024, 1400, 4096, 4097, 8193, 16_000));
const word = fc.tuple(fc.constantFrom('a', 'password', 'username', 'ü', '_'), size).map(([start, length]) => start.padEnd(length, 'x'));
const value = fc.tuple(fc.constantFrom('', 'alice', 'ü', '<', '\0'), size).map(([start, length]) => start.padEnd(length, 'y'));
const fields = fc.array(fc.tuple(word, value), { maxLength: 40 }).map((all) => all.map(([name, own], i) => [`${name}${i}`, own] as const));
const escaped = (text: string) => text.replace(/[<&\0]/g, '_');
const document = fields.map((all) =>
  replyDocument(`<auth>${all.map(([name, own]) => `<${name}>${escaped(own)}</${name}>`).join('')}</auth>`),
);
const form = fields.map((all) => all.map(([name, own]) => `${encodeURIComponent(name)}=${encodeURIComponent(own)}`).join('&'));
const logout = value.map((token) =>
  `${replyDocument(`<session-token>${escaped(token)}</session-token>`)}`.replace('"auth-reply"', '"logout"'),
);
const body = fc.oneof(document, form, logout, fc.string({ unit: 'binary', maxLength: 300 }));
const headers = fc
  .record({ 'User-Agent': value, Authorization: value.map((token) => `Bearer ${token.replace(/[^a-y]/g, '')}`) })
  .map((all) => {
    return Object.entries(all).map(([name, own]) => [name, own.replace(/[^ -~]/g, '_')] as const);
  });

/** What their clients' forms have. */
const VENDORS = [
  { vendor: fortinetGateway, path: '/remote/logincheck', names: ['username', 'credential', 'realm', 'code', 'reqid', 'magic', 'ftmpush'] },
  {
    vendor: arrayGateway,
    path: '/prx/000/http/localhost/login',
    names: ['method', 'uname', 'pwd', 'pwd1', 'pwd2', 'authCode', 'submitbutton'],
  },
  { vendor: f5Gateway, path: '/my.policy', names: ['username', 'password', 'domain', 'vhost', 'sallyport_step'] },
  { vendor: gpGateway, path: '/ssl-vpn/login.esp', names: ['user', 'passwd', 'inputStr', 'computer', 'clientos', 'prelogin-cookie'] },
  { vendor: gpGateway, path: '/global-protect/getconfig.esp', names: ['user', 'passwd', 'inputStr', 'portal-userauthcookie', 'server'] },
  {
    vendor: ncGateway,
    path: '/dana-na/auth/url_default/login.cgi',
    names: ['username', 'password', 'realm', 'tz_offset', 'token_code', 'sallyport_step'],
  },
] as const;

describe('what a worker tells main of its clients', () => {
  it('passes the guards, whatever a client posts', async () => {
    let calls = 0;
    await fc.assert(
      fc.asyncProperty(body, headers, async (posted, withHeaders) => {
        calls += await served(post('/auth', posted, withHeaders));
      }),
      { numRuns: 300 },
    );
    assert.ok(calls > 100, `only ${calls} messages were looked at`);
  });

  for (const { vendor, path, names } of VENDORS) {
    it(`passes the guards, whatever a client posts to ${path}`, async () => {
      let calls = 0;
      const pair = fc.tuple(fc.constantFrom(...names), value).map(([name, own]) => `${name}=${encodeURIComponent(own)}`);
      const posted = fc
        .uniqueArray(pair, { selector: (text) => text.split('=', 1)[0], maxLength: names.length })
        .map((all) => all.join('&'));
      await fc.assert(
        fc.asyncProperty(fc.oneof(posted, form), headers, async (text, withHeaders) => {
          calls += await served(post(path, text, withHeaders), vendor);
        }),
        { numRuns: 300 },
      );
      assert.ok(calls > 100, `only ${calls} messages were looked at`);
    });

    it(`has cookies and targets at ${path} that pass the guards, however long they are`, async () => {
      await fc.assert(
        fc.asyncProperty(value, fc.constantFrom('SVPNCOOKIE', 'MRHSession', 'DSID', 'ANsession1'), async (text, name) => {
          const own = text.replace(/[^\x21-\x7e]/g, '_');
          for (const target of [
            '/remote/fortisslvpn_xml',
            '/vdesk/vpn/connect.php3',
            '/dana/home/starter0.cgi',
            '/vpntunnel',
            `/${own}`,
            `/ssl-tunnel-connect.sslvpn?authcookie=${own}&user=${own}`,
            `/myvpn?sess=${own}&Z=${own}&hostname=${own}`,
          ]) {
            await served(
              get(target, [
                ['Cookie', `${name}=${own}`],
                ['hostname', own],
              ]),
              vendor,
            );
          }
        }),
        { numRuns: 50 },
      );
    });
  }

  it('passes the guards, whatever a client says that has left HTTP', async () => {
    let calls = 0;
    const form = fc.constantFrom('username', 'password', 'code').map((name): AuthStep => {
      const kind = name === 'code' ? 'otp' : name === 'username' ? 'text' : 'password';
      return { type: 'ask', form: { id: 'main', fields: [{ kind, name, label: name }] } };
    });
    const path = value.map((own) => encodeURIComponent(own).slice(0, 1000));
    await fc.assert(
      fc.asyncProperty(form, path, fc.array(value, { minLength: 1, maxLength: 7 }), async (question, group, words) => {
        const guarded = guardedWorker(question);
        const door = new Door(guarded.visitor, FACTS, pulseGateway);
        door.upgraded = new PulseTalker(words);
        await door.exchange(get(`/${group}`, upgradeHeaders('vpn.example', 'x')));
        assert.equal(await door.end, 'close');
        assert.deepEqual(guarded.faults, []);
        calls += guarded.calls();
      }),
      { numRuns: 300 },
    );
    assert.ok(calls > 100, `only ${calls} messages were looked at`);
  });

  it('has no name of a field longer than any that is asked for', async () => {
    const name = 'x'.repeat(1_400);
    assert.equal(await served(post('/auth', replyDocument(`<auth><${name}>1</${name}></auth>`))), 0, 'nothing reaches main');
  });

  it('has all the answers that a request may have, and those that are made of them', async () => {
    const answers = Array.from({ length: 32 }, (_, i) => `my-password-${i}=x`);
    assert.ok((await served(post('/auth', answers.join('&')))) > 0);
  });

  it('has lines of the log that pass the guards, whatever is in them', () => {
    const any = fc.oneof(
      value,
      fc.double(),
      fc.boolean(),
      fc.constant(undefined),
      value.map((own) => new Secret(own)),
    );
    fc.assert(
      fc.property(value, fc.dictionary(word, any, { maxKeys: 60 }), (event, lineFields) => {
        const { log, lines } = guardedWorker();
        log.log('info', event, lineFields);
        assert.equal(lines.length, 1);
      }),
    );
  });
});

describe("main's guards", () => {
  it('say which call cannot be and where, with no word of what was said', () => {
    const secret = 'hunter2'.repeat(2_000);
    for (const [name, args, where] of [
      ['answer', [1, 'd', { [secret]: secret }], /\[2\.…\] /],
      ['answer', [1, secret, {}], /\[1\] too_big/],
      ['begin', [1, { userAgent: secret }], /\[1\.userAgent\] too_big/],
    ] as const) {
      assert.throws(
        () => WORKER_GUARDS[name]?.(args),
        (error) => {
          assert.match(String(error), where);
          assert.doesNotMatch(String(error), /hunter2/);
          assert.ok(String(error).length < 200);
          return true;
        },
      );
    }
  });

  it('put a word of their own in the place of a line that no worker writes', () => {
    const [level, event] = WORKER_GUARDS.log?.(['info', 'x'.repeat(9_999), {}]) ?? [];
    assert.equal(level, 'warn');
    assert.match(String(event), /dropped/);
  });
});
