import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { serialize } from 'node:v8';
import { silentLogger } from '../../../src/core/log.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { Accounting } from '../../../src/gateway/auth/accounting.ts';
import type { SessionStore } from '../../../src/gateway/auth/session-store.ts';
import { type Admitted, SessionTable } from '../../../src/gateway/auth/session-table.ts';
import { SqliteSessionStore } from '../../../src/gateway/auth/sqlite-session-store.ts';
import type { SessionLifeConfig, SessionPolicy } from '../../../src/gateway/config/gateway-config.ts';
import type { DisconnectReason, SessionEnd } from '../../../src/gateway/processes/auth-service.ts';
import { RecordedLog } from '../../support/forms.ts';
import { MemorySessionStore } from '../../support/memory-session-store.ts';
import { ip, START } from './auth-scene.ts';

const HOME = ip('192.0.2.7');
const ABROAD = ip('203.0.113.9');
/** `cookie-timeout` of 300 s and ocserv's grace. */
const COOKIE_LIFE = 315_000;
const FACTS = { remote: HOME, ipv4: ip('10.77.0.9'), device: 'vpns0' };

const ALICE: Admitted = {
  user: 'alice',
  group: 'staff',
  userAgent: 'test/1',
  remote: HOME,
  local: ip('192.0.2.1'),
  hasCertificate: false,
  classes: [Uint8Array.of(1, 2)],
};

class TableScene {
  now: number = START;
  life: SessionLifeConfig | undefined = { cookieTimeout: 300_000, persistentCookies: false };
  policy: Pick<SessionPolicy, 'denyRoaming' | 'sessionTimeout'> = { denyRoaming: false };
  readonly reports: string[] = [];
  table: SessionTable;
  readonly #store: SessionStore;
  #random = 0;

  constructor(store: SessionStore = new MemorySessionStore()) {
    this.#store = store;
    this.table = this.#open();
  }

  /** As after a restart: the same store, and nothing of what was in memory. */
  restart(): void {
    this.table = this.#open();
  }

  #open(): SessionTable {
    const accounting: Accounting = {
      started: ({ user }) => void this.reports.push(`start ${user}`),
      interim: (_session, { received, sent, duration }) => void this.reports.push(`interim ${received} ${sent} ${duration}`),
      stopped: (_session, { received, sent, duration }, reason) => void this.reports.push(`stop ${received} ${sent} ${duration} ${reason}`),
      close: () => Promise.resolve(),
    };
    return new SessionTable({
      store: this.#store,
      now: () => this.now,
      random: (length) => new Uint8Array(length).fill(++this.#random),
      lifeOf: () => this.life,
      policyOf: () => Promise.resolve(this.policy),
      accountingOf: () => accounting,
    });
  }

  async idOf(cookie: Secret, from = HOME): Promise<string | undefined> {
    return (await this.table.find(cookie, from))?.id;
  }

  /** Opens the session of a cookie; its id. */
  async open(cookie: Secret): Promise<string> {
    const id = await this.idOf(cookie);
    if (id === undefined) throw new Error('the cookie is void');
    this.table.opened(id, FACTS);
    return id;
  }
}

function end(keepsCookie: boolean, reason: DisconnectReason = 'unspecified', received = 0, sent = 0): SessionEnd {
  return { received, sent, duration: 0, reason, keepsCookie };
}

describe('session table', () => {
  it('knows a session by its cookie and by nothing else', async () => {
    const scene = new TableScene();
    const cookie = scene.table.admit(ALICE);
    const known = await scene.table.find(cookie, ABROAD);
    assert.deepEqual(known, { id: known?.id, user: 'alice', group: 'staff', createdAt: START, userAgent: 'test/1' });
    assert.ok(!cookie.reveal().includes(known?.id ?? ''));
    assert.equal(await scene.idOf(new Secret('')), undefined);
    assert.equal(await scene.idOf(new Secret(`${cookie.reveal()} `)), undefined);
    assert.equal(await scene.idOf(new Secret(known?.id ?? '')), undefined);
  });

  it('forgets a cookie that nobody comes back with, and begins its time anew for who does', async () => {
    const scene = new TableScene();
    const cookie = scene.table.admit(ALICE);
    scene.now += COOKIE_LIFE - 1;
    assert.ok((await scene.idOf(cookie)) !== undefined);
    scene.now += COOKIE_LIFE - 1;
    assert.ok((await scene.idOf(cookie)) !== undefined);
    scene.now += COOKIE_LIFE;
    assert.equal(await scene.idOf(cookie), undefined);
    assert.deepEqual(scene.table.list(), []);
  });

  it('says whether a session is not over', async () => {
    const scene = new TableScene();
    const [lost, ended] = [await scene.idOf(scene.table.admit(ALICE)), await scene.idOf(scene.table.admit(ALICE))];
    assert.ok(lost !== undefined && ended !== undefined);
    scene.table.closed(ended, end(false));
    assert.deepEqual([scene.table.has(lost), scene.table.has(ended), scene.table.has('')], [true, false, false]);
    scene.now += COOKIE_LIFE;
    assert.equal(scene.table.has(lost), false);
  });

  it('does not forget a session while a tunnel is open, whichever of two', async () => {
    const scene = new TableScene();
    const cookie = scene.table.admit(ALICE);
    const id = await scene.open(cookie);
    scene.table.opened(id, FACTS); // the next tunnel takes over before the first is gone
    assert.equal(scene.table.list()[0]?.inUse, 2);
    scene.table.closed(id, end(true));
    scene.now += 10 * COOKIE_LIFE;
    assert.equal(await scene.idOf(cookie), id);
    scene.table.closed(id, end(true));
    assert.equal(scene.table.list()[0]?.isOpen, false);
    scene.now += COOKIE_LIFE;
    assert.equal(await scene.idOf(cookie), undefined);
  });

  it('voids the cookie at a log-out, unless it is to outlive that', async () => {
    for (const [persistentCookies, reason, survives] of [
      [false, 'user disconnected', false],
      [true, 'user disconnected', true],
      [true, 'server disconnected', false],
      [true, 'session timeout', false],
    ] as const) {
      const scene = new TableScene();
      scene.life = { cookieTimeout: 300_000, persistentCookies };
      const cookie = scene.table.admit(ALICE);
      scene.table.closed(await scene.open(cookie), end(false, reason));
      assert.equal((await scene.idOf(cookie)) !== undefined, survives, `${persistentCookies} ${reason}`);
    }
  });

  it('binds a cookie to the address of the log-in where roaming is denied', async () => {
    const scene = new TableScene();
    const cookie = scene.table.admit(ALICE);
    scene.policy = { denyRoaming: true };
    assert.equal(await scene.idOf(cookie, ABROAD), undefined);
    assert.ok((await scene.idOf(cookie, HOME)) !== undefined);
  });

  it('counts the session’s time from the log-in, over reconnects and restarts', async () => {
    const scene = new TableScene();
    scene.policy = { denyRoaming: false, sessionTimeout: 600_000 };
    const cookie = scene.table.admit(ALICE);
    scene.now += 300_000;
    scene.table.closed(await scene.open(cookie), end(true));
    scene.restart();
    scene.now += 299_999;
    assert.ok((await scene.idOf(cookie)) !== undefined);
    scene.now += 1;
    assert.equal(await scene.idOf(cookie), undefined);
    assert.deepEqual(scene.table.list(), []);
  });

  it('knows nobody of a host that is not there any more', async () => {
    const scene = new TableScene();
    const cookie = scene.table.admit({ ...ALICE, host: 'gone.test' });
    scene.life = undefined;
    assert.equal(await scene.idOf(cookie), undefined);
  });

  it('reports one start and one end, with the figures of all tunnels', async () => {
    const scene = new TableScene();
    const cookie = scene.table.admit(ALICE);
    const id = await scene.open(cookie);
    scene.now += 10_000;
    scene.table.reported(id, { received: 5, sent: 7, duration: 10_000 });
    scene.table.closed(id, end(true, 'DPD timeout', 10, 20));
    scene.now += 10_000;
    await scene.open(cookie);
    scene.table.reported(id, { received: 1, sent: 2, duration: 0 });
    scene.table.closed(id, end(false, 'user disconnected', 3, 4));
    assert.deepEqual(scene.reports, ['start alice', 'interim 5 7 10000', 'interim 11 22 20000', 'stop 13 24 20000 user disconnected']);
  });

  it('reports the end of a lost session when its cookie has expired, even after a restart', async () => {
    const scene = new TableScene();
    const cookie = scene.table.admit(ALICE);
    scene.table.closed(await scene.open(cookie), end(true, 'DPD timeout', 10, 20));
    scene.restart();
    assert.deepEqual(scene.reports, ['start alice']);
    scene.now += COOKIE_LIFE;
    scene.table.sweep();
    assert.deepEqual(scene.reports, ['start alice', `stop 10 20 ${COOKIE_LIFE} unspecified`]);
  });

  it('reports nothing of a session that never had a tunnel', () => {
    const scene = new TableScene();
    scene.table.admit(ALICE);
    scene.now += COOKIE_LIFE;
    scene.table.sweep();
    assert.deepEqual(scene.reports, []);
  });

  it('takes news of sessions that are gone for what they are', () => {
    const scene = new TableScene();
    scene.table.opened('gone', FACTS);
    scene.table.reported('gone', { received: 0, sent: 0, duration: 0 });
    scene.table.closed('gone', end(false));
    assert.deepEqual(scene.table.list(), []);
  });
});

describe('session store', () => {
  const stores: Readonly<Record<string, (folder: string) => Promise<SessionStore>>> = {
    'in memory': () => Promise.resolve(new MemorySessionStore()),
    'of SQLite': (folder) => SqliteSessionStore.open(path.join(folder, 'sessions.db'), silentLogger),
  };

  for (const [name, open] of Object.entries(stores)) {
    it(`${name} gives back what it was given`, async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-store-'));
      try {
        const store = await open(folder);
        const scene = new TableScene(store);
        const policy = { explicitIpv4: ip('10.77.0.9'), routes: [{ address: ip('10.5.0.0'), prefix: 16 }] };
        const cookie = scene.table.admit({ ...ALICE, policy });
        const other = scene.table.admit({ ...ALICE, user: 'bob' });
        const id = await scene.open(cookie);
        assert.equal(store.load().find((session) => session.id === id)?.isOpen, true);
        assert.ok(!JSON.stringify(store.load()).includes(cookie.reveal()));
        scene.restart();
        const known = await scene.table.find(cookie, HOME);
        assert.deepEqual(known?.policy, policy);
        assert.equal(known?.id, id);
        // Its tunnel went with the gateway: time has begun to run, and the one that never had one is as it was.
        scene.now += COOKIE_LIFE;
        assert.deepEqual([await scene.idOf(cookie), await scene.idOf(other)], [undefined, undefined]);
        assert.deepEqual(store.load(), []);
        store.close();
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }

  it('of SQLite drops the records that it cannot read, says so, and keeps the others', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-store-'));
    try {
      const file = path.join(folder, 'sessions.db');
      const first = await SqliteSessionStore.open(file, silentLogger);
      const cookie = new TableScene(first).table.admit(ALICE);
      first.close();
      const raw = new DatabaseSync(file);
      const insert = raw.prepare('INSERT INTO sessions (id, record) VALUES (?, ?)');
      for (const [id, record] of [
        ['no record', Buffer.from('nonsense')],
        ['cut', Buffer.from(serialize({ id: 'cut' })).subarray(0, 5)],
        ['other', serialize({ id: 'other', user: 'mallory' })],
        ['null', serialize(null)],
      ] as const) {
        insert.run(id, record);
      }
      raw.close();
      const log = new RecordedLog();
      const store = await SqliteSessionStore.open(file, log);
      const table = new TableScene(store);
      assert.equal(log.lines.filter((line) => /^warn .*damaged/.test(line)).length, 4);
      assert.ok((await table.idOf(cookie)) !== undefined);
      assert.equal(store.load().length, 1);
      assert.equal(log.lines.length, 4, 'once');
      store.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
