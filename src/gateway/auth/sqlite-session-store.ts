/** Sessions, and whose passes are revoked, in one file of SQLite, for one gateway: readable by its owner alone, whole after a crash. */
import { chmodSync, closeSync, openSync, renameSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { deserialize, serialize } from 'node:v8';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { RevocationStore } from './pass-revocations.ts';
import type { SessionStore, StoredSession } from './session-store.ts';

const OWNER_ONLY = 0o600;

/** The table's shape. A file of another one holds sessions that we cannot read: people log in again. */
const SCHEMA_VERSION = 1;

export class SqliteSessionStore implements SessionStore, RevocationStore {
  readonly #database: DatabaseSync;
  readonly #log: Logger;
  readonly #save: StatementSync;
  readonly #remove: StatementSync;
  readonly #saveRevocation: StatementSync;
  readonly #removeRevocation: StatementSync;

  private constructor(database: DatabaseSync, log: Logger) {
    this.#database = database;
    this.#log = log;
    const { quick_check: verdict } = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
    if (verdict !== 'ok') throw new SallyportError('ERR_SESSION_STORE', verdict);
    // NORMAL: a power cut may cost the last moments, never the file.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
    if (version !== SCHEMA_VERSION) database.exec(`DROP TABLE IF EXISTS sessions; PRAGMA user_version = ${SCHEMA_VERSION};`);
    database.exec('CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT');
    database.exec('CREATE TABLE IF NOT EXISTS revocations (user TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT');
    this.#save = database.prepare('INSERT OR REPLACE INTO sessions (id, record) VALUES (?, ?)');
    this.#remove = database.prepare('DELETE FROM sessions WHERE id = ?');
    this.#saveRevocation = database.prepare('INSERT OR REPLACE INTO revocations (user, at) VALUES (?, ?)');
    this.#removeRevocation = database.prepare('DELETE FROM revocations WHERE user = ?');
  }

  /** Opens the file or makes it. A damaged one is put aside under `.damaged`: it costs people a new log-in, and not the gateway its start. */
  static async open(file: string, log: Logger): Promise<SqliteSessionStore> {
    // The module warns that it is young when it is loaded: not before it is needed.
    const { DatabaseSync } = await import('node:sqlite');
    try {
      closeSync(openSync(file, 'a', OWNER_ONLY)); // before SQLite would make it readable
      chmodSync(file, OWNER_ONLY);
    } catch (cause) {
      throw new SallyportError('ERR_SESSION_STORE', `The file of sessions, ${file}, cannot be opened: ${systemErrorText(cause)}.`, {
        cause,
      });
    }
    const database = new DatabaseSync(file);
    try {
      return new SqliteSessionStore(database, log);
    } catch (error) {
      database.close();
      log.log('warn', 'the file of sessions is damaged and was put aside: people have to log in again', {
        file: `${file}.damaged`,
        reason: systemErrorText(error),
      });
      renameSync(file, `${file}.damaged`);
      closeSync(openSync(file, 'ax', OWNER_ONLY));
      return new SqliteSessionStore(new DatabaseSync(file), log);
    }
  }

  /** A record that cannot be read is dropped: its session is over, and all others go on. */
  load(): readonly StoredSession[] {
    const sessions: StoredSession[] = [];
    for (const { id, record } of this.#database.prepare('SELECT id, record FROM sessions').all()) {
      const session = sessionOf(record);
      if (session !== undefined && session.id === id) {
        sessions.push(session);
        continue;
      }
      this.#log.log('warn', 'a session in the file is damaged and was dropped: who had it has to log in again');
      this.#remove.run(id ?? null);
    }
    return sessions;
  }

  save(session: StoredSession): void {
    this.#save.run(session.id, serialize(session));
  }

  remove(id: string): void {
    this.#remove.run(id);
  }

  loadRevocations(): readonly { readonly user: string; readonly at: number }[] {
    return this.#database.prepare('SELECT user, at FROM revocations').all() as { user: string; at: number }[]; // STRICT, and no number of ours is larger
  }

  saveRevocation(user: string, at: number): void {
    this.#saveRevocation.run(user, at);
  }

  removeRevocation(user: string): void {
    this.#removeRevocation.run(user);
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }
}

/** Undefined: not what save() writes. */
function sessionOf(record: unknown): StoredSession | undefined {
  if (!(record instanceof Uint8Array)) return undefined;
  let value: unknown;
  try {
    value = deserialize(record);
  } catch {
    return undefined; // v8's error says nothing that helps
  }
  return hasMembers(value) ? value : undefined;
}

/** The members that a session is kept by; who could write others into the file could write good ones. */
function hasMembers(value: unknown): value is StoredSession {
  if (typeof value !== 'object' || value === null) return false;
  const members = new Map<string, unknown>(Object.entries(value));
  const isOf = (type: 'string' | 'number' | 'boolean', ...names: readonly (keyof StoredSession)[]) =>
    names.every((name) => typeof members.get(name) === type);
  return (
    isOf('string', 'id', 'user', 'cookieHash', 'userAgent') &&
    isOf('number', 'createdAt', 'expiresAt') &&
    isOf('boolean', 'isOpen', 'hasCertificate') &&
    [members.get('remote'), members.get('local')].every((end) => typeof end === 'object' && end !== null)
  );
}
