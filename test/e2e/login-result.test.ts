/** What a log-in is for: its result on standard output, and a session by it in another process (spec "Client command-line contract", section 5). */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { shellQuoted } from '../../src/cli/openconnect/authenticate-output.ts';
import { DROP_IN } from '../support/drop-in.ts';
import { SERVER_NAME } from '../support/lab.ts';
import { ALICE } from '../support/ocserv.ts';
import type { Program } from '../support/program.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { ALICES_LINE, LoginLab } from './login-lab.ts';

const skip = missing('root', 'netns', 'tun', 'ocserv', 'openssl');

const COOKIE = /openconnect_strapkey=[A-Za-z0-9+/]+=*; webvpn=[A-Za-z0-9+/]{43}=/;
const BY_PASSWORD = ['--user', ALICE.name, '--passwd-on-stdin'];
/** A tunnel that changes nothing but its device. */
const TUNNEL = ['--interface', 'tun0', '--script', 'true'];

async function cookieOf(login: LoginLab): Promise<string> {
  const run = await login.run(['--cookieonly', ...BY_PASSWORD, ...login.pinned], { input: ALICES_LINE });
  assert.equal(run.code, 0, run.output);
  return run.stdout.trim();
}

/** Waits for the tunnel, then ends it. */
async function useTunnel(program: Program, how: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
  await program.waitFor(/^Configured as 10\.77\.0\.\d+/m);
  program.signal(how);
  return (await program.finish()).code;
}

describe('result of a log-in', { skip, timeout: HANG_LIMIT }, () => {
  it('is five assignments on standard output with --authenticate, and everything else is on standard error', async () => {
    await using login = await LoginLab.open();
    const run = await login.run(['--authenticate', ...BY_PASSWORD, ...login.pinned], { input: ALICES_LINE });
    assert.equal(run.code, 0, run.output);
    const { gateway, pin } = login.ocserv;
    const [first, ...others] = run.stdout.split('\n');
    assert.match(first ?? '', new RegExp(`^COOKIE='${COOKIE.source}'$`));
    assert.deepEqual(others, [
      `HOST='${gateway}'`,
      `CONNECT_URL='https://${gateway}/'`,
      `FINGERPRINT='${pin}'`,
      `RESOLVE='${gateway}:${gateway}'`,
      '',
    ]);
    assert.match(run.stderr, /^XML POST enabled$/m);
  });

  it('comes with the profile that the gateway offers, in the file of --xmlconfig', async () => {
    const userProfile = '<?xml version="1.0"?><AnyConnectProfile><ServerList/></AnyConnectProfile>\n';
    await using login = await LoginLab.open({ userProfile });
    const file = path.join(login.lab.folder, 'kept.xml');
    const args = ['--authenticate', '--xmlconfig', file, ...BY_PASSWORD, ...login.pinned];
    writeFileSync(file, '<old/>');
    for (const fetches of [true, false]) {
      const run = await login.run(args, { input: ALICES_LINE });
      assert.equal(run.code, 0, run.output);
      assert.equal(readFileSync(file, 'utf8'), userProfile);
      assert.equal(/^GET .*profile/m.test(run.stderr), fetches, 'it is fetched once');
    }
  });

  it('names the gateway as it was named, and the address that it was found at', async () => {
    await using login = await LoginLab.open();
    const { ipv4, ipv6 } = login.lab.addresses.server;
    const [option, pin] = login.pinned;
    for (const [server, options, host, resolve] of [
      [SERVER_NAME, [], `[${ipv6}]`, `${SERVER_NAME}:${ipv6}`],
      [`https://${SERVER_NAME}:443/`, ['--resolve', `${SERVER_NAME}:${ipv4}`], ipv4, `${SERVER_NAME}:${ipv4}`],
      ['other.test', ['--resolve', `other.test:${SERVER_NAME}`], `[${ipv6}]`, `other.test:${ipv6}`],
      [`[${ipv6}]`, [], `[${ipv6}]`, `[${ipv6}]:${ipv6}`],
    ] as const) {
      const run = await login.run(['--authenticate', ...BY_PASSWORD, ...options, option, pin, server], { input: ALICES_LINE });
      assert.equal(run.code, 0, run.output);
      assert.ok(run.stdout.includes(`\nHOST='${host}'\n`), run.stdout);
      assert.ok(run.stdout.endsWith(`\nRESOLVE='${resolve}'\n`), run.stdout);
    }
  });

  it('is the cookie alone with --cookieonly, and before the tunnel with --printcookie', async () => {
    await using login = await LoginLab.open();
    assert.match(await cookieOf(login), new RegExp(`^${COOKIE.source}$`));
    const client = await login.start(['--printcookie', ...BY_PASSWORD, ...TUNNEL, ...login.pinned], { input: ALICES_LINE });
    assert.equal(await useTunnel(client), 0);
    assert.match(client.stdout, new RegExp(`^${COOKIE.source}\n$`)); // not even the tunnel's progress
    assert.match(client.stderr, /^Configured as /m);
  });

  it('does not end the session', async () => {
    await using login = await LoginLab.open();
    await cookieOf(login);
    assert.equal((await login.ocserv.control.sessions()).length, 1);
  });
});

describe('cookie in another process', { skip, timeout: HANG_LIMIT }, () => {
  it('opens the tunnel, from an argument and from standard input, with its key and without', async () => {
    await using login = await LoginLab.open();
    const cookie = await cookieOf(login);
    const bare = cookie.replace(/^.*webvpn=/, '');
    for (const [args, input] of [
      [['--cookie', cookie], undefined],
      [['--cookie-on-stdin'], `${cookie}\n`],
      [['--cookie', `webvpn=${bare}`], undefined],
      [['--cookie', bare], undefined], // openconnect 9.01 does not understand this one, as it ends in "="
    ] as const) {
      const client = await login.start(
        [...args, ...TUNNEL, '-vvv', '--dump-http-traffic', ...login.pinned],
        input === undefined ? {} : { input },
      );
      assert.equal(await useTunnel(client, 'SIGHUP'), 0, client.describe()); // leaves the session alive
      assert.doesNotMatch(client.output, /POST/);
    }
    const connects = login.requests().filter(({ line }) => line.startsWith('CONNECT'));
    assert.deepEqual(
      [...new Set(connects.flatMap(({ headers }) => headers.filter((header) => header.startsWith('Cookie'))))],
      [`Cookie: webvpn=${bare}`],
    );
  });

  it('logs in where --cookie-on-stdin reads an empty line', async () => {
    await using login = await LoginLab.open();
    const client = await login.start(['--cookie-on-stdin', '--user', ALICE.name, ...TUNNEL, ...login.pinned], {
      input: `\n${ALICES_LINE}`,
    });
    assert.equal(await useTunnel(client), 0, client.describe());
  });

  it('is dead after the session was logged off: exit status 2', async () => {
    await using login = await LoginLab.open();
    const cookie = await cookieOf(login);
    const client = await login.start(['--cookie', cookie, ...TUNNEL, ...login.pinned]);
    assert.equal(await useTunnel(client, 'SIGTERM'), 0);
    const again = await login.run(['--cookie', cookie, ...TUNNEL, ...login.pinned]);
    assert.equal(again.code, 2);
    const lines = ['Got inappropriate HTTP CONNECT response: HTTP/1.1 401 Cookie is not acceptable', 'Creating SSL connection failed'];
    assert.equal(again.stderr, `${[...lines, 'Cookie was rejected by server; exiting.'].join('\n')}\n`);
  });

  it('is not tried at a gateway with another key', async () => {
    await using login = await LoginLab.open();
    const cookie = await cookieOf(login);
    const run = await login.run(['--cookie', cookie, ...TUNNEL, '--servercert', 'pin-sha256:AAAAAAAAAAAA', login.ocserv.gateway]);
    assert.equal(run.code, 1);
    assert.match(run.stderr, /^None of the 1 fingerprint\(s\) specified via --servercert match server's certificate: pin-sha256:/m);
    assert.equal(login.requests().filter(({ line }) => line.startsWith('CONNECT')).length, 0);
  });
});

describe('recipes that people have in their scripts', { skip, timeout: HANG_LIMIT }, () => {
  /** A folder with `openconnect`, and a `sudo` that has nothing to do. */
  function commandsOf(login: LoginLab): string {
    const folder = path.join(login.lab.folder, 'commands');
    mkdirSync(folder);
    symlinkSync(DROP_IN[1] ?? '', path.join(folder, 'openconnect'));
    writeFileSync(path.join(folder, 'sudo'), '#!/bin/sh\nexec "$@"\n', { mode: 0o755 });
    return folder;
  }

  const recipes = {
    manual: 'echo "$COOKIE" | sudo openconnect --cookie-on-stdin $CONNECT_URL --servercert $FINGERPRINT --resolve $RESOLVE',
    older:
      // biome-ignore lint/suspicious/noTemplateCurlyInString: they are the shell's.
      'echo "$COOKIE" | sudo openconnect --cookie-on-stdin --servercert "$FINGERPRINT" "${CONNECT_URL:-$HOST}" ${RESOLVE:+--resolve=$RESOLVE}',
  };
  for (const [name, recipe] of Object.entries(recipes)) {
    for (const server of ['gateway.test', '198.51.100.2', 'https://[2001:db8:3::2]/']) {
      it(`work as they are: the ${name} one, with ${server}`, async () => {
        await using login = await LoginLab.open();
        const folder = commandsOf(login);
        const [option, pin] = login.pinned;
        const authenticate = `echo ${shellQuoted(ALICE.password)} | openconnect --authenticate --user alice --passwd-on-stdin ${option} ${pin} ${server}`;
        const script = `set -e; eval $(${authenticate}); ${recipe} ${TUNNEL.join(' ')}`;
        const env = { PATH: [folder, path.dirname(process.execPath), process.env.PATH].join(':') };
        const shell = await login.startAs(['sh'], ['-c', script], { env });
        await shell.waitFor(/^Configured as 10\.77\.0\.\d+/m);
        const client = login.client.processes().find(({ command }) => command === 'openconnect');
        assert.ok(client !== undefined, shell.describe());
        process.kill(client.pid, 'SIGINT');
        assert.equal((await shell.finish()).code, 0);
      });
    }
  }
});
