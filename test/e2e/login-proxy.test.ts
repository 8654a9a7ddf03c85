/** Log-ins and tunnels through proxies that stand on the way, with and without credentials (spec "Client command-line contract", `--proxy`). */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { SERVER_NAME } from '../support/lab.ts';
import { ALICE } from '../support/ocserv.ts';
import type { Program } from '../support/program.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import type { ProxyOptions } from '../support/test-proxies.ts';
import { ALICES_LINE, LoginLab } from './login-lab.ts';

const skip = missing('root', 'netns', 'tun', 'ocserv', 'openssl');

const PROGRAM = path.resolve(import.meta.dirname, '../support/proxy-program.ts');
const PORT = 3128;
const CREDENTIALS = { user: 'proxy@user', password: 'p@ss w/rd' };
const IN_URL = 'proxy%40user:p%40ss%20w%2frd@';
const BY_PASSWORD = ['--user', ALICE.name, '--passwd-on-stdin'];

/** A lab with a proxy on its router; nobody is known to the gateway but the router then. */
async function withProxy(options: ProxyOptions): Promise<{ login: LoginLab; proxy: Program; address: string }> {
  const login = await LoginLab.open();
  login.secrets.add(CREDENTIALS.password);
  const host = login.lab.addresses.router.ipv4;
  const proxy = await login.lab.router.start(process.execPath, [PROGRAM, JSON.stringify({ host, port: PORT, ...options })]);
  await proxy.waitFor(/^proxying$/m);
  return { login, proxy, address: `${host}:${PORT}` };
}

/** What the proxy was asked. */
const linesOf = (proxy: Program): string[] => proxy.stdout.trim().split('\n').slice(1);

describe('log-in through a proxy', { skip, timeout: HANG_LIMIT }, () => {
  const target = `${SERVER_NAME}:443`;
  const asked = `${target} by nothing: refused`;
  const cases: readonly {
    name: string;
    proxy: ProxyOptions;
    scheme: string;
    login?: string;
    options?: readonly string[];
    lines: readonly string[];
  }[] = [
    { name: 'HTTP', proxy: { kind: 'http' }, scheme: 'http://', lines: [`${target}: connected`] },
    { name: 'HTTP, without a scheme in its name', proxy: { kind: 'http' }, scheme: '', lines: [`${target}: connected`] },
    {
      name: 'HTTP with Basic credentials, which has to be asked for',
      proxy: { kind: 'http', credentials: CREDENTIALS },
      scheme: 'http://',
      login: IN_URL,
      options: ['--proxy-auth=Basic'],
      lines: [asked, `${target} by Basic: connected`],
    },
    {
      name: 'HTTP with Basic credentials, on a new connection',
      proxy: { kind: 'http', credentials: CREDENTIALS, hangsUp: true },
      scheme: 'http://',
      login: IN_URL,
      options: ['--proxy-auth=Basic'],
      lines: [asked, `${target} by Basic: connected`],
    },
    ...(['MD5', 'SHA-256'] as const).map((algorithm) => ({
      name: `HTTP with Digest credentials, ${algorithm}`,
      proxy: { kind: 'http', credentials: CREDENTIALS, scheme: 'Digest', algorithm } as const,
      scheme: 'http://',
      login: IN_URL,
      lines: [asked, `${target} by Digest: connected`],
    })),
    { name: 'SOCKS5', proxy: { kind: 'socks5' }, scheme: 'socks5://', lines: [`${target}: connected`] },
    {
      name: 'SOCKS5 with credentials',
      proxy: { kind: 'socks5', credentials: CREDENTIALS },
      scheme: 'socks://',
      login: IN_URL,
      lines: [`${target} as proxy@user: connected`],
    },
  ];
  for (const { name, proxy: options, scheme, login: credentials = '', options: further = [], lines } of cases) {
    it(`${name}: the gateway sees the proxy, and its name is the proxy's to resolve`, async () => {
      const { login, proxy, address } = await withProxy(options);
      await using _ = login;
      const url = `${scheme}${credentials}${address}`;
      const run = await login.run(
        ['--cookieonly', ...BY_PASSWORD, '--servercert', login.ocserv.pin, '--proxy', url, ...further, SERVER_NAME],
        {
          input: ALICES_LINE,
        },
      );
      assert.equal(run.code, 0, run.output);
      assert.deepEqual(linesOf(proxy), lines);
      const clients = [...login.ocserv.log.matchAll(/remote address \[?([\d.:a-f]+?)\]?:\d+ to secmod/g)].map(([, client]) => client);
      assert.ok(clients.length > 0 && clients.every((client) => client === '198.51.100.1' || client === '2001:db8:3::1'), `${clients}`);
      const kind = options.kind === 'http' ? 'HTTP' : 'SOCKS';
      assert.match(run.stderr, new RegExp(`^Requesting ${kind} proxy connection to ${SERVER_NAME}:443$`, 'm'));
    });
  }

  it('is named by the environment, and by --no-proxy no longer', async () => {
    const { login, proxy, address } = await withProxy({ kind: 'http' });
    await using _ = login;
    const args = ['--cookieonly', ...BY_PASSWORD, '--servercert', login.ocserv.pin];
    const env = { https_proxy: `http://${address}` };
    assert.equal((await login.run([...args, SERVER_NAME], { input: ALICES_LINE, env })).code, 0);
    assert.equal(linesOf(proxy).length, 1);
    assert.equal((await login.run([...args, '--no-proxy', SERVER_NAME], { input: ALICES_LINE, env })).code, 0);
    assert.equal(linesOf(proxy).length, 1);
  });

  it('gives the password of a Basic proxy to nobody who did not ask for it', async () => {
    const { login, proxy, address } = await withProxy({ kind: 'http', credentials: CREDENTIALS });
    await using _ = login;
    const run = await login.run(['--cookieonly', '--proxy', `http://${IN_URL}${address}`, SERVER_NAME]);
    assert.equal(run.code, 1);
    assert.deepEqual(linesOf(proxy), [asked]);
    assert.match(run.stderr, /Basic/);
  });

  const refusals: readonly (readonly [name: string, options: ProxyOptions, url: string, message: RegExp])[] = [
    [
      'a wrong password, with HTTP',
      { kind: 'http', credentials: CREDENTIALS, scheme: 'Digest' },
      'http://proxy%40user:guess@',
      /Digest: the name or password was not accepted/,
    ],
    ['no password, with HTTP', { kind: 'http', credentials: CREDENTIALS, scheme: 'Digest' }, 'http://', /http:\/\/USER:PASSWORD@HOST:PORT/],
    [
      'a wrong password, with SOCKS5',
      { kind: 'socks5', credentials: CREDENTIALS },
      'socks5://proxy%40user:guess@',
      /The SOCKS proxy .* does not connect/,
    ],
    ['no password, with SOCKS5', { kind: 'socks5', credentials: CREDENTIALS }, 'socks5://', /The SOCKS proxy .* does not connect/],
  ];
  for (const [name, options, url, message] of refusals) {
    it(`says why it fails: ${name}`, async () => {
      const { login, address } = await withProxy(options);
      await using _ = login;
      const run = await login.run(['--cookieonly', '--proxy', `${url}${address}`, SERVER_NAME]);
      assert.equal(run.code, 1);
      assert.match(run.stderr, message);
      assert.match(run.stderr, /^Failed to open HTTPS connection to gateway\.test$/m);
      assert.deepEqual(login.requests(), []);
    });
  }

  it('cannot go through a proxy that is not there', async () => {
    await using login = await LoginLab.open();
    const run = await login.run(['--cookieonly', '--proxy', 'http://203.0.113.1:1', SERVER_NAME]);
    assert.equal(run.code, 1);
    const lines = ['Failed to connect to 203.0.113.1:1: Connection refused', 'Failed to connect to host 203.0.113.1'];
    assert.ok(run.stderr.includes(`${lines.join('\n')}\nFailed to open HTTPS connection to ${SERVER_NAME}\n`), run.stderr);
  });
});

describe('tunnel through a proxy', { skip, timeout: HANG_LIMIT }, () => {
  for (const kind of ['http', 'socks5'] as const) {
    it(`goes through it too (${kind}), and does not try UDP beside it`, async () => {
      const { login, proxy, address } = await withProxy({ kind });
      await using _ = login;
      const options = ['--interface', 'tun0', '--script', 'true', '--proxy', `${kind}://${address}`, '--servercert', login.ocserv.pin];
      const client = await login.start([...BY_PASSWORD, ...options, SERVER_NAME], { input: ALICES_LINE });
      await client.waitFor(/^Configured as 10\.77\.0\.\d+.*, with SSL connected and DTLS disabled$/m);
      client.signal('SIGINT');
      assert.equal((await client.finish()).code, 0);
      assert.equal(linesOf(proxy).length, 1);
      const connect = login.requests().find(({ line }) => line.startsWith('CONNECT'));
      assert.deepEqual(
        connect?.headers.filter((header) => /DTLS/i.test(header)),
        [],
      );
    });
  }
});
