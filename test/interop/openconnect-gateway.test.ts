/** Debian's openconnect 9.01 logs in at our gateway's front, over real TLS on loopback. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Secret } from '../../src/core/secret.ts';
import { FrontServer } from '../support/front-server.ts';
import { PlayedVisitor, type VisitorOptions } from '../support/gateway-visitor.ts';
import { type OpenconnectOptions, type OpenconnectRun, printed, runOpenconnect } from '../support/openconnect-run.ts';
import { Pki } from '../support/pki.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../support/throwaway-certificate.ts';

const USERS = { alice: { password: 'right-one' }, bob: { password: 'right-one', code: '123456' } };
const GROUPS = [
  { value: '', label: 'none' },
  { value: 'ga', label: 'Group A' },
];

describe('openconnect 9.01 at our gateway', { skip: missing('openconnect', 'openssl'), timeout: HANG_LIMIT }, () => {
  let certificate: ThrowawayCertificate;
  let pki: Pki;
  before(() => {
    certificate = throwawayCertificate();
    pki = new Pki();
  });
  after(() => {
    pki[Symbol.dispose]();
  });

  async function start(options: VisitorOptions, wish: 'no' | 'optional' | 'required' = 'no') {
    const visitor = new PlayedVisitor({ ...options, page: { certificate: certificate.der, ...options.page } });
    const key = new Secret(certificate.keyPem);
    const material = { certificates: [{ certificate: certificate.certificatePem, key }], clientAuthority: pki.root.certificatePem };
    const server = await FrontServer.start(visitor, [{ ...material, clientCertificates: wish }]);
    const run = (more: OpenconnectOptions): Promise<OpenconnectRun> => {
      const args = more.args ?? [];
      const asks = args.some((arg) => arg.startsWith('--user=')) ? ['--passwd-on-stdin'] : [];
      return runOpenconnect({ authority: server.authority, certificate }, { ...more, args: [...asks, ...args] });
    };
    return { server, visitor, run, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  }

  /** The session that a run was let in to. */
  function sessionOf(visitor: PlayedVisitor, run: OpenconnectRun) {
    assert.equal(run.exitCode, 0, run.stderr);
    const cookie = /(?:^|; )webvpn=([^;]*)$/.exec(printed(run, 'COOKIE') ?? run.stdout.trim())?.[1] ?? assert.fail(run.stdout);
    return visitor.sessions.get(cookie) ?? assert.fail('no session has this cookie');
  }

  it('logs in with a password, in documents and in forms', async () => {
    await using gateway = await start({ users: USERS });
    for (const args of [
      [],
      ['--no-xmlpost'],
      ['--useragent=Open AnyConnect VPN Agent v3.20', '--no-xmlpost'],
      ['--useragent=AnyConnect Linux_64 4.10'],
    ]) {
      const run = await gateway.run({ args: ['--authenticate', '--user=alice', ...args], stdin: 'right-one\n' });
      assert.equal(sessionOf(gateway.visitor, run).user, 'alice', args.join(' '));
    }
  });

  it('prints a cookie that its session is known by, and with it the key that the session is bound to', async () => {
    await using gateway = await start({ users: USERS });
    const all = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right-one\n' });
    assert.match(printed(all, 'COOKIE') ?? '', /^openconnect_strapkey=[^;]+; webvpn=/);
    assert.equal(sessionOf(gateway.visitor, all).boundKey?.length, 91);
    const only = await gateway.run({ args: ['--cookieonly', '--user=alice'], stdin: 'right-one\n' });
    assert.match(only.stdout, /^openconnect_strapkey=[^;]+; webvpn=/);
    assert.ok(sessionOf(gateway.visitor, only).boundKey !== undefined);
  });

  it('is refused a wrong password, and shown why', async () => {
    await using gateway = await start({ users: USERS });
    const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'wrong-one\n' });
    assert.notEqual(run.exitCode, 0);
    assert.match(run.stderr, /Login failed\.\nPlease enter your password\./);
  });

  it('answers for a code after the password', async () => {
    await using gateway = await start({ users: USERS });
    const run = await gateway.run({ args: ['--authenticate', '--user=bob', '--form-entry=main:password=unused'], stdin: 'right-one\n' });
    assert.notEqual(run.exitCode, 0, 'with one answer for both questions');
    assert.match(run.stderr, /Please enter your OTP password\./);
  });

  it('takes a group by its label, after asking for its form', async () => {
    await using gateway = await start({ users: USERS, groups: GROUPS });
    const run = await gateway.run({ args: ['--authenticate', '--user=alice', '--authgroup=Group A'], stdin: 'right-one\n' });
    assert.equal(sessionOf(gateway.visitor, run).group, 'ga');
    const without = await gateway.run({ args: ['--authenticate', '--user=alice', '--authgroup=none'], stdin: 'right-one\n' });
    assert.ok((sessionOf(gateway.visitor, without).group ?? '') === '');
  });

  it('logs in with a certificate, and not without', async () => {
    const client = pki.issueClient({ uid: 'carol' });
    const options = { certificate: { user: 'carol', groups: [] }, page: { needsCertificate: true } };
    const shown = [`--certificate=${client.certificatePath}`, `--sslkey=${client.keyPath}`];
    for (const wish of ['optional', 'required'] as const) {
      await using gateway = await start(options, wish);
      const run = await gateway.run({ args: ['--authenticate', ...shown] });
      assert.equal(sessionOf(gateway.visitor, run).user, 'carol');
      assert.notEqual((await gateway.run({ args: ['--authenticate'] })).exitCode, 0);
    }
  });

  it('finds a gateway that is hidden behind a secret, by the secret only', async () => {
    await using gateway = await start({ users: USERS, page: { camouflage: { secret: new Secret('open-sesame'), realm: 'site' } } });
    const args = ['--authenticate', '--user=alice'];
    const run = await gateway.run({ args, stdin: 'right-one\n', path: '/?open-sesame' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'alice');
    assert.notEqual((await gateway.run({ args, stdin: 'right-one\n' })).exitCode, 0);
  });

  it('opens a tunnel with the cookie and its key, and none with the cookie alone', { skip: missing('root') }, async () => {
    await using gateway = await start({ users: USERS });
    const login = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right-one\n' });
    const session = sessionOf(gateway.visitor, login);
    const cookie = printed(login, 'COOKIE') ?? assert.fail();
    const known = session.boundKey;
    const connect = (value: string, leave?: AbortSignal) => {
      const args = ['--cookie-on-stdin', '--script-tun', '--script=true'];
      return gateway.run({ args, stdin: `${value}\n`, ...(leave !== undefined && { leave }) });
    };
    const leave = new AbortController();
    gateway.server.onHandOver = () => leave.abort();
    await connect(cookie, leave.signal);
    assert.equal(gateway.server.handOvers[0]?.session, session);
    assert.deepEqual(session.boundKey, known, 'a key that was saved announces itself');
    const stolen = await connect(cookie.replace(/^.*; /, ''));
    assert.equal(stolen.exitCode, 2, 'the cookie was rejected');
    assert.equal(gateway.server.handOvers.length, 1);
  });
});
