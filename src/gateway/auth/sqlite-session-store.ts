/** Sessions in one file of SQLite, for one gateway: readable by its owner alone, whole after a crash. */
import { chmodSync, closeSync, openSync, renameSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { deserialize, serialize } from 'node:v8';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { SessionStore, StoredSession } from './session-store.ts';

const OWNER_ONLY = 0o600;

/** The table's shape. A file of another one holds sessions that we cannot read: people log in again. */
const SCHEMA_VERSION = 1;

export class SqliteSessionStore implements SessionStore {
  readonly #database: DatabaseSync;
  readonly #save: StatementSync;
  readonly #remove: StatementSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
    // NORMAL: a power cut may cost the last moments, never the file.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
    if (version !== SCHEMA_VERSION) database.exec(`DROP TABLE IF EXISTS sessions; PRAGMA user_version = ${SCHEMA_VERSION};`);
    database.exec('CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT');
    this.#save = database.prepare('INSERT OR REPLACE INTO sessions (id, record) VALUES (?, ?)');
    this.#remove = database.prepare('DELETE FROM sessions WHERE id = ?');
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
    try {
      return new SqliteSessionStore(new DatabaseSync(file));
    } catch (error) {
      log.log('warn', 'the file of sessions is damaged and was put aside: people have to log in again', {
        file: `${file}.damaged`,
        reason: systemErrorText(error),
      });
      renameSync(file, `${file}.damaged`);
      closeSync(openSync(file, 'ax', OWNER_ONLY));
      return new SqliteSessionStore(new DatabaseSync(file));
    }
  }

  load(): readonly StoredSession[] {
    return this.#database
      .prepare('SELECT record FROM sessions')
      .all()
      .flatMap(({ record }) => (record instanceof Uint8Array ? [deserialize(record) as StoredSession] : [])); // written by save() alone
  }

  save(session: StoredSession): void {
    this.#save.run(session.id, serialize(session));
  }

  remove(id: string): void {
    this.#remove.run(id);
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }
}
