/**
 * Our reports against those of the real occtl, line by line: what the real one says in JSON is rendered by ours as text, and must be the text that the real
 * one prints.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bansJson, bansTable, pointsJson, pointsTable } from '../../../src/cli/occtl/ban-report.ts';
import { COMMANDS, commandLines, commandList, readCommand } from '../../../src/cli/occtl/command-table.ts';
import { isValid, sessionDetails, sessionsJson, sessionsTable } from '../../../src/cli/occtl/session-report.ts';
import { statusJson, statusText } from '../../../src/cli/occtl/status-report.ts';
import { iroutesTable, userDetails, usersJson, usersTable } from '../../../src/cli/occtl/user-report.ts';
import type { ControlSession, GatewayStatus, UserStatus } from '../../../src/gateway/control/control-target.ts';
import type { BanListing } from '../../../src/gateway/main/ban-table.ts';
import { Lab } from '../../support/lab.ts';
import { type Occtl, parseOcctlJson } from '../../support/occtl.ts';
import { ALICE, Ocserv } from '../../support/ocserv.ts';
import { OpenConnect } from '../../support/openconnect.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const skip = missing('root', 'netns', 'tun', 'ocserv', 'occtl', 'openconnect', 'openssl');

type Json = Readonly<Record<string, unknown>>;

/** How often a picture is taken again because something moved in it. */
const MAX_TAKES = 50;

interface Picture {
  readonly text: string;
  readonly json: string;
  readonly records: readonly Json[];
}

/** The same moment as text and as JSON: JSON before and after the text is the same. */
async function pictureOf(occtl: Occtl, ...words: readonly string[]): Promise<Picture> {
  for (let take = 0; take < MAX_TAKES; take++) {
    const before = await occtl.run('--json', ...words);
    const { stdout: text } = await occtl.run(...words);
    const after = await occtl.run('--json', ...words);
    if (before.stdout !== after.stdout) continue;
    const parsed = parseOcctlJson(before.stdout.trim() === '' ? '[]' : before.stdout);
    return { text, json: before.stdout, records: (Array.isArray(parsed) ? parsed : [parsed]) as readonly Json[] };
  }
  throw new Error(`occtl ${words.join(' ')} never stands still`);
}

const NOW = Date.UTC(2026, 5, 1, 12);

/** The duration that occtl writes as this. */
function durationOf(text: unknown): number {
  const [, minutes, seconds] = /^ *(?:(\d+)m:)?(\d+)s$/.exec(String(text)) ?? assert.fail(`no duration: ${text}`);
  return 1000 * (60 * Number(minutes ?? 0) + Number(seconds));
}

function dateOf(text: unknown): number {
  return new Date(String(text).replace(' ', 'T')).getTime();
}

/** A user from JSON, and the moment at which it was looked at. */
function userOf(record: Json, limits: readonly string[]): { user: UserStatus; now: number } {
  const text = (key: string) => record[key] as string | undefined;
  const list = (key: string) => (Array.isArray(record[key]) ? (record[key] as string[]) : []);
  const inside = (family: string) => ({ address: String(text(family)), gateway: String(text(`P-t-P ${family}`)) });
  const known = <Key extends string>(key: Key, name: string) => ({ ...(text(name) !== undefined && { [key]: text(name) }) });
  const connectedAt = dateOf(text('Connected at'));
  const user: UserStatus = {
    id: Number(record.ID),
    ...(text('Username') !== '(none)' && { user: String(text('Username')) }),
    ...(text('Groupname') !== '(none)' && { group: String(text('Groupname')) }),
    host: String(text('vhost')),
    state: text('State') as UserStatus['state'],
    ...known('device', 'Device'),
    ...(text('MTU') !== undefined && { mtu: Number(text('MTU')) }),
    remote: String(text('Remote IP')),
    local: String(text('Local Device IP')),
    ...(text('IPv4') !== undefined && { ipv4: inside('IPv4') }),
    ...(text('IPv6') !== undefined && { ipv6: inside('IPv6') }),
    ...known('userAgent', 'User-Agent'),
    rates: limits.length === 0 ? {} : { receive: amountOf(limits[0]), send: amountOf(limits[1]) },
    ...(text('RX') !== undefined && { traffic: { received: Number(text('RX')), sent: Number(text('TX')) } }),
    dpd: 1000 * Number(text('DPD')),
    keepalive: 1000 * Number(text('KeepAlive')),
    ...known('hostname', 'Hostname'),
    connectedAt,
    session: String(text('Full session')),
    ...known('tlsCipher', 'TLS ciphersuite'),
    ...known('dtlsCipher', 'DTLS cipher'),
    ...known('cstpCompression', 'CSTP compression'),
    ...known('dtlsCompression', 'DTLS compression'),
    dns: list('DNS'),
    nbns: list('NBNS'),
    splitDns: list('Split-DNS-Domains'),
    routes: list('Routes'),
    noRoutes: list('No-routes'),
    iroutes: list('iRoutes'),
    restrictsToRoutes: text('Restricted to routes') === 'True',
    restrictedPorts: list('Restricted to ports'),
  };
  return { user, now: connectedAt + durationOf(text('_Connected at')) };
}

function amountOf(text: string | undefined): number {
  const [, value, unit = ''] = /^([\d.]+) (KB|MB|bytes)/.exec(text ?? '') ?? assert.fail(`no amount: ${text}`);
  return Number(value) * ({ KB: 1e3, MB: 1e6 }[unit] ?? 1);
}

/** The limits of each user in turn. 1.1.6 has two members of one name there, of which a parser keeps the other. */
function limitsIn(json: string): string[][] {
  return json
    .split(/^ {2}\{$/m)
    .slice(1)
    .map((part) => /"Limit RX": {2}"(.*)",\n *"TX": {2}"(.*)",/.exec(part)?.slice(1) ?? []);
}

/** The users of a picture as they were `now`, whose tables show how long they are there. */
function usersOf({ records, json }: Picture): UserStatus[] {
  const limits = limitsIn(json);
  return records.map((record, i) => {
    const { user } = userOf(record, limits[i] ?? []);
    return { ...user, connectedAt: NOW - durationOf(record['_Connected at']) };
  });
}

function assertUserReports(picture: Picture): void {
  const limits = limitsIn(picture.json);
  const seen = picture.records.map((record, i) => userOf(record, limits[i] ?? []));
  const texts = seen.map(({ user, now }) => userDetails([user], now));
  assert.equal(texts.join('\n'), picture.text);
  const ours = seen.flatMap(({ user, now }) => JSON.parse(usersJson([user], now)) as Json[]);
  for (const [i, { 'Limit TX': limit, ...record }] of ours.entries()) {
    assert.equal(limit, limits[i]?.[1]);
    assert.deepEqual(record, picture.records[i]);
    const order = (members: Json) => Object.keys(members).filter((key) => key !== 'TX'); // twice in theirs: a parser keeps the first one's place
    assert.deepEqual(order(record), order(picture.records[i] ?? {}));
  }
}

function sessionOf(record: Json): ControlSession {
  return {
    id: String(record['Full session']),
    user: String(record.Username),
    ...(record.Groupname !== '(none)' && { group: String(record.Groupname) }),
    remote: String(record['Remote IP']),
    userAgent: String(record['User-Agent']),
    createdAt: dateOf(record.Created),
    expiresAt: record.Expires === undefined ? 0 : dateOf(record.Expires),
    state: record.State as ControlSession['state'],
    isOpen: record.session_is_open === 1,
    hasCertificate: record.tls_auth_ok === 1,
    inUse: Number(record.in_use),
  };
}

function banOf(record: Json, now: number): BanListing {
  const ends = record._Since === undefined ? {} : { bannedUntil: now };
  return { address: String(record.IP), score: Number(record.Score), ...ends };
}

function statusOf(record: Json): GatewayStatus {
  const number = (key: string) => Number(record[key]);
  const startedAt = 1000 * number('raw_up_since');
  const received = number('raw_rx');
  const sent = number('raw_tx');
  return {
    state: 'online',
    now: startedAt + 1000 * number('uptime'),
    pid: number('Server PID'),
    authPid: number('Sec-mod PID'),
    authProcesses: number('Sec-mod instance count'),
    activeSessions: number('Active sessions'),
    bannedAddresses: number('IPs in ban list'),
    knownSessions: 0,
    live: { received: 0, sent: 0 },
    statistics: {
      startedAt,
      total: {
        sessions: number('Total sessions'),
        logins: 0,
        loginFailures: number('Total authentication failures'),
        received,
        sent,
        sessionTime: 0,
        loginTime: 0,
        byReason: {},
      },
      period: {
        startedAt: 1000 * number('raw_last_stats_reset'),
        sessions: number('Sessions handled'),
        timedOut: number('Timed out sessions'),
        idleTimedOut: number('Timed out (idle) sessions'),
        failed: number('Closed due to error sessions'),
        loginFailures: number('Authentication failures'),
        averageLoginTime: 1000 * number('raw_avg_auth_time'),
        maxLoginTime: 1000 * number('raw_max_auth_time'),
        averageSessionTime: 1000 * number('raw_avg_session_time'),
        maxSessionTime: 1000 * number('raw_max_session_time'),
        ...('Min MTU' in record && { minMtu: number('Min MTU'), maxMtu: number('Max MTU') }),
        received,
        sent,
      },
      latency: { median: number('raw_median_latency') / 1000, deviation: number('raw_stdev_latency') / 1000 },
    },
  };
}

function assertStatusReports({ text, records }: Picture): void {
  const [record] = records;
  assert.ok(record !== undefined);
  const status = statusOf(record);
  assert.equal(statusText(status, false), text);
  assert.deepEqual(JSON.parse(statusJson(status, false)), record);
  assert.deepEqual(Object.keys(JSON.parse(statusJson(status, false))), Object.keys(record));
}

/** Without the lines of commands that only ours has. */
function withoutOurs(text: string): string {
  return text.replace(/^ *maintenance .*\n/gm, '');
}

describe('reports of the real occtl are ours', { skip, timeout: HANG_LIMIT }, () => {
  const bob = { name: 'bob', password: 'secret', groups: ['staff', 'admins'] };
  const alice = { ...ALICE, groups: ['staff'] };

  it('with users, sessions, bans, statistics', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab, {
      users: [alice, bob],
      settings: {
        dns: ['10.77.0.1', 'fd77::1'],
        nbns: ['10.77.0.2'],
        'split-dns': ['a.test', 'b.test'],
        compression: true,
        'max-ban-score': 25,
        'min-reauth-time': 300,
      },
      perUser: {
        bob: {
          iroute: ['192.168.44.0/24', '192.168.45.0/24'],
          route: ['10.0.0.0/8', 'fd77::/64'],
          'no-route': ['10.9.0.0/16', '10.10.0.0/16'],
          'rx-data-per-sec': 400_000,
          'tx-data-per-sec': 2_500_000,
        },
      },
    });
    const { control } = ocserv;
    assertStatusReports(await pictureOf(control, 'show', 'status'));

    const client = { gateway: ocserv.gateway, pin: ocserv.pin, script: 'true' };
    // Before anybody has a network behind them, and before anybody has logged in.
    const assertNoNetworks = async () => {
      const users = usersOf(await pictureOf(control, 'show', 'users'));
      assert.equal(iroutesTable(users), (await control.run('show', 'iroutes')).stdout);
    };
    await lab.client.start('openssl', ['s_client', '-connect', `${ocserv.gateway}:443`, '-quiet'], { keepsInputOpen: true });
    while ((await control.users()).length === 0);
    await assertNoNetworks();
    const first = await OpenConnect.start(lab.client, { ...client, user: alice });
    await first.configured();
    await assertNoNetworks();
    const second = await OpenConnect.start(lab.client, { ...client, user: bob, device: 'tun1', args: ['--no-dtls'] });
    await second.configured();
    const third = await OpenConnect.start(lab.client, { ...client, user: alice, device: 'tun2', args: ['--useragent', 'AnyConnect'] });
    await third.configured();
    // The handshake of the stranger, and the answers of the others' workers, are there when it is listed with a cipher.
    while (!(await control.users()).some((user) => user.State === 'pre-auth' && user['TLS ciphersuite'] !== undefined));

    const users = await pictureOf(control, 'show', 'users');
    assert.equal(users.records.length, 4);
    assert.equal(usersTable(usersOf(users), NOW), users.text);
    for (const name of ['alice', 'bob']) assertUserReports(await pictureOf(control, 'show', 'user', name));
    const stranger = users.records.find(({ State }) => State === 'pre-auth');
    assertUserReports(await pictureOf(control, 'show', 'id', String(stranger?.ID)));
    assert.equal(iroutesTable(usersOf(users)), (await control.run('show', 'iroutes')).stdout);

    for (const [from, gateway] of [
      [lab.router, ocserv.gateway],
      [lab.router, ocserv.gateway],
      [lab.router, ocserv.gateway],
      [lab.client, `[${lab.addresses.server.ipv6}]`],
    ] as const) {
      const guess = { ...client, gateway, user: { name: 'alice', password: 'guess' }, device: 'tun9' };
      await (await OpenConnect.start(from, guess)).program.finish();
    }
    const bans = await pictureOf(control, 'show', 'ip', 'bans');
    const banned = bans.records.map((record) => {
      const until = dateOf(record.Since);
      return { listing: banOf(record, until), now: until - durationOf(record._Since) };
    });
    assert.equal(banned.length, 1);
    for (const { listing, now } of banned) {
      // 1.1.6 leaves the heading out where the first address that it knows is not banned.
      const [heading, ...rows] = bansTable([listing], now).split(/(?<=\n)/);
      assert.ok([heading + rows.join(''), rows.join('')].includes(bans.text), bans.text);
      assert.deepEqual(JSON.parse(bansJson([listing], now)), bans.records);
    }
    const points = await pictureOf(control, 'show', 'ip', 'ban', 'points');
    const scores = points.records.map((record) => banOf(record, NOW));
    assert.ok(scores.length >= 2);
    assert.equal(pointsTable(scores), points.text);
    assert.deepEqual(JSON.parse(pointsJson(scores)), points.records);

    const sessions = await pictureOf(control, 'show', 'sessions', 'all');
    const known = sessions.records.map(sessionOf);
    const ages = sessions.text.split('\n').map((line) => /(\d+)s \w+(?: failed)?$/.exec(line)?.[1]);
    const aged = known.map((session, i) => ({ ...session, createdAt: NOW - 1000 * Number(ages[i + 1]) }));
    assert.equal(sessionsTable(aged, NOW), sessions.text);
    assert.deepEqual(JSON.parse(sessionsJson(known)), sessions.records);
    const valid = await control.sessions();
    assert.deepEqual(JSON.parse(sessionsJson(known.filter(isValid))), valid);
    const waiting = known.find(({ inUse }) => inUse === 0);
    for (const session of [waiting, known.find(({ inUse }) => inUse > 0)]) {
      assert.ok(session !== undefined);
      const { stdout } = await control.run('show', 'session', session.id.slice(0, 6));
      assert.equal(sessionDetails([session]), stdout);
    }

    await first.disconnect();
    await second.disconnect();
    while ((await control.users()).length > 2);
    assertStatusReports(await pictureOf(control, 'show', 'status'));
  });

  it('in help, and in what an incomplete or unknown command is answered with', async () => {
    await using lab = await Lab.open();
    const { control } = await Ocserv.start(lab);
    assert.equal(withoutOurs(commandList(true)), (await control.run('help')).stdout);
    const { stdout: help } = await control.run('--help');
    assert.ok(help.endsWith(`\n${withoutOurs(commandList(false))}\n`), help);
    for (const line of ['show', 'show ip', 'show ip ban', 'disconnect', 'unban', 'show sess', 'rel', 'q', 'show cook', 'disconnect user']) {
      const reading = readCommand(line);
      assert.equal(reading.type, 'incomplete', line);
      if (reading.type !== 'incomplete') continue;
      const { code, stdout } = await control.run(...line.split(' '));
      assert.deepEqual([code, stdout], [1, withoutOurs(commandLines(reading.candidates))], line);
    }
    for (const line of ['sh us', 'foo', 'show foo', 'list users'])
      assert.deepEqual([readCommand(line).type, (await control.run(...line.split(' '))).code], ['unknown', 1], line);
    for (const { words } of COMMANDS.filter((command) => command.words.startsWith('show ') && command.argument === undefined)) {
      if (words === 'show events') continue;
      assert.equal((await control.run(...words.toUpperCase().split(' '))).code, 0, words);
      assert.equal(readCommand(words.toUpperCase()).type, 'command');
    }
  });
});
