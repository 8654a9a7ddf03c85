/**
 * Our occtl at our gateway beside ocserv's at ocserv, in the same scene: the same lines, but for figures and names that are made by chance; the same
 * members of JSON; the same codes. What differs on purpose is in docs/occtl.md.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OUR_GATEWAY } from '../../support/gateway-program.ts';
import { ALICE, type OcservUser } from '../../support/ocserv.ts';
import type { OcservSettings } from '../../support/ocserv-config.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import type { Finished } from '../../support/program.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { cipherOfDatagrams, skip, TunnelScene } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const USERS: readonly OcservUser[] = [{ ...ALICE, groups: ['staff'] }];

const SETTINGS: OcservSettings = {
  dns: ['10.77.0.1', 'fd77::1'],
  nbns: ['10.77.0.2'],
  'split-dns': ['inside.test', 'other.test'],
  'no-route': ['10.77.9.0/24'],
  'rx-data-per-sec': 2_000_000,
  'tx-data-per-sec': 3_000_000,
};

const GATEWAYS = [(options: object) => TunnelScene.open({ command: OPENCONNECT, ...options }), openGateway] as const;

/** What each gateway's occtl says to each of the commands, with alice connected. */
async function answersOf(open: (typeof GATEWAYS)[number], commands: readonly (readonly string[])[]): Promise<Finished[]> {
  await using scene = await open({ users: USERS, settings: SETTINGS, perUser: { alice: { iroute: ['10.9.0.0/24'] } } });
  const client = await scene.connect();
  await cipherOfDatagrams(client);
  const [user] = await scene.ocserv.control.users();
  const facts: Record<string, string> = { ID: String(user?.ID), SID: String(user?.Session) };
  const session = new RegExp(`${String(user?.Session).replaceAll('+', '\\+')}[\\w+/=-]*`, 'g');
  const answers: Finished[] = [];
  for (const words of commands) {
    const answer = await scene.ocserv.control.run(...words.map((word) => facts[word] ?? word));
    answers.push({ ...answer, stdout: answer.stdout.replace(session, 'NAME') });
  }
  return answers;
}

/** Without what is different each time: figures, names by chance, and how wide they are. */
function layout(text: string): string {
  const lines = text.split('\n').map((line) => {
    const common = line
      .replace(/(TLS ciphersuite: ).*/, '$1…')
      .replace(/\d+(\.\d+)? (bytes|[KMG]B)/g, 'SIZE')
      .replace(/\d{4}-\d\d-\d\d \d\d:\d\d/g, 'DATE')
      .replace(/\( *(\d+[smhd]:?)+\)/g, '(TIME)');
    return /\d|SIZE|DATE/.test(common) ? common.replace(/\d+/g, '0').replace(/ +/g, ' ') : common;
  });
  return lines.join('\n');
}

describe('occtl at our gateway', { skip, timeout: HANG_LIMIT }, () => {
  const COMMANDS = [
    ['show', 'users'],
    ['show', 'user', 'alice'],
    ['show', 'id', 'ID'],
    ['show', 'status'],
    ['show', 'sessions', 'valid'],
    ['show', 'session', 'SID'],
    ['show', 'iroutes'],
    ['show', 'user', 'nobody'],
    ['show', 'id', '999999'],
    ['show', 'session', 'nosuch'],
    ['disconnect', 'user', 'nobody'],
    ['disconnect', 'id', '999999'],
    ['unban', 'ip', '192.0.2.99'],
    ['sh', 'us'],
    ['reload'],
    ['disconnect', 'id', 'ID'],
  ];

  it('says what ocserv’s says', async () => {
    const [theirs, ours] = await Promise.all(GATEWAYS.map((open) => answersOf(open, COMMANDS)));
    const said = (answers: readonly Finished[] = []) =>
      COMMANDS.map((words, i) => {
        const { code, stdout = '', stderr } = answers[i] ?? {};
        return { command: words.join(' '), code, stdout: layout(stdout).split('\n'), stderr };
      });
    assert.deepEqual(said(ours), said(theirs));
  });

  it('answers every question in JSON that a parser takes', async () => {
    const bans = { 'max-ban-score': 25, 'ban-points-wrong-password': 10, 'min-reauth-time': 600 };
    await using scene = await openGateway({ users: USERS, settings: { ...SETTINGS, ...bans } });
    const client = await scene.connect();
    const guess = { user: { ...ALICE, password: 'a guess' }, input: 'a guess\n'.repeat(3), namespace: scene.lab.router };
    await (await scene.start(guess)).program.finish();
    const [user] = await scene.ocserv.control.users();
    const ask = async (...words: readonly string[]): Promise<unknown> => {
      const { code, stdout } = await scene.ocserv.control.run('--json', ...words);
      assert.equal(code, 0, words.join(' '));
      return JSON.parse(stdout);
    };
    for (const words of [['users'], ['user', 'alice'], ['id', String(user?.ID)]]) {
      const [record] = (await ask('show', ...words)) as Record<string, unknown>[];
      assert.deepEqual([record?.Username, record?.Groupname, record?.IPv4], ['alice', 'staff', user?.IPv4], words.join(' '));
    }
    for (const words of [
      ['sessions', 'all'],
      ['sessions', 'valid'],
      ['session', String(user?.Session)],
    ]) {
      const answer = (await ask('show', ...words)) as Record<string, unknown>[];
      assert.deepEqual(
        answer.map(({ Username, session_is_open }) => [Username, session_is_open]),
        [['alice', 1]],
        words.join(' '),
      );
    }
    for (const words of [['bans'], ['ban', 'points']]) {
      const answer = (await ask('show', 'ip', ...words)) as Record<string, unknown>[];
      assert.ok(
        answer.some(({ IP, Score }) => IP === '198.51.100.1' && Number(Score) >= 30),
        JSON.stringify(answer),
      );
    }
    assert.equal(((await ask('show', 'status')) as Record<string, unknown>)['Active sessions'], 1);
    assert.deepEqual(
      ((await ask('show', 'iroutes')) as Record<string, unknown>[]).map(({ iRoutes }) => iRoutes),
      [[]],
    );
    await scene.disconnect(client);
  });

  it('shows who comes and goes as it happens', async () => {
    await using scene = await openGateway();
    const [program, ...leading] = OUR_GATEWAY.control ?? [];
    assert.ok(program);
    const socket = String(scene.ocserv.settings['occtl-socket-file']);
    const events = await scene.lab.server.start(program, [...leading, '--socket-file', socket, 'show', 'events'], { keepsInputOpen: true });
    await events.waitFor(/Press 'q'/); // from here on it misses nothing
    const client = await scene.connect();
    await events.waitFor(/^default: connected user 'alice' \(\d+\) from 192\.0\.2\.2 with IP 10\.77\.0\.\d+$/m);
    await scene.disconnect(client);
    await events.waitFor(
      /^default: disconnect user 'alice' \(\d+\) from 192\.0\.2\.2 with IP 10\.77\.0\.\d+ \(reason: user disconnected, time: .*\)$/m,
    );
    await events.stop();
  });

  it('stops the gateway, without a goodbye: its clients come back to the next one', async () => {
    await using scene = await openGateway();
    const client = await scene.connect();
    assert.equal((await scene.ocserv.control.run('stop', 'now')).code, 0);
    assert.equal((await scene.ocserv.program.finish()).code, 0);
    assert.equal((await scene.ocserv.control.run('show', 'status')).code, 1);
    await scene.ocserv.restart();
    client.program.signal('SIGUSR2'); // else it waits some seconds
    await client.program.waitFor(/script reconnect ended with 0/);
    await scene.assertAnswers();
    await scene.disconnect(client);
  });
});
