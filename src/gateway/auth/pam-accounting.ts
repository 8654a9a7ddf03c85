/** Sessions as PAM's session modules see them (`acct = pam`): opened with the first tunnel, closed at the end. Figures of traffic mean nothing to them. */
import type { Logger } from '../../core/log.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp } from '../../core/wire/ip-address.ts';
import type { Accounting } from './accounting.ts';
import { PAM_SERVICE, type PamTask } from './pam-messages.ts';
import { PamProcess } from './pam-process.ts';
import type { StoredSession } from './session-store.ts';

/** A module that takes longer is ended. */
const DEADLINE: Millis = 30_000;

export class PamAccounting implements Accounting {
  readonly #log: Logger;
  /** One after the other: a session is opened before it is closed, and a thousand at once would be as many processes. */
  #last: Promise<void> = Promise.resolve();

  constructor(log: Logger) {
    this.#log = log;
  }

  started(session: StoredSession): void {
    this.#run('open-session', session);
  }

  interim(): void {
    // PAM has no word for it.
  }

  stopped(session: StoredSession): void {
    this.#run('close-session', session);
  }

  close(): Promise<void> {
    return this.#last;
  }

  #run(task: PamTask['task'], { user, accounting, remote }: StoredSession): void {
    const facts = { service: PAM_SERVICE, user, remote: formatIp(accounting?.remote ?? remote), minGid: 0 };
    this.#last = this.#last.then(() => this.#runOne({ ...facts, task }));
  }

  /** Never rejects. */
  async #runOne(task: PamTask): Promise<void> {
    const child = PamProcess.start(task);
    const timer = setTimeout(() => child?.close(), DEADLINE);
    try {
      const report = await child?.next();
      const isDone = report?.type === 'done' && report.code === 0;
      if (!isDone)
        this.#log.log('warn', 'PAM session', { user: task.user, step: task.task, code: report?.type === 'done' ? report.code : undefined });
    } catch (error) {
      this.#log.log('warn', 'PAM session', {
        user: task.user,
        step: task.task,
        reason: error instanceof Error ? error.message : String(error),
      });
    } finally {
      clearTimeout(timer);
      child?.close(); // one that asks: there is nobody to answer
    }
  }
}
