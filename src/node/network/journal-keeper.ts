/**
 * Removes a journal for a process that has given up root: a shell that stays root, and can do nothing else.
 *
 * What a journal says is executed by a recovery, as root. So a process that becomes another user must keep no way to write it, and an open
 * descriptor is one. Still somebody has to be able to say that there is nothing left to undo:
 *
 *   process, by now another user's ── "done" ──► keeper ── removes the journal, and ends
 *                                  └─ its end ─► keeper ── ends; the journal stays for the next start
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';

// It outlives the signals that end a service or a terminal's programs: the one it waits for may still have to say that all is undone.
const KEEPER = 'trap "" HUP INT QUIT TERM; read -r word && [ "$word" = done ] && rm -f -- "$1"';

export class JournalKeeper {
  readonly #keeper: ChildProcess;
  readonly #ended: Promise<unknown>;

  /** Starts it, with the rights that this process still has. `file`: what it may remove. */
  constructor(file: string) {
    this.#keeper = spawn('/bin/sh', ['-c', KEEPER, 'sh', file], {
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: '/',
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      detached: true,
    });
    // One that cannot be started, or that somebody has ended: the journal stays, and the next start undoes what is undone, which does no harm.
    this.#keeper.stdin?.on('error', () => undefined);
    this.#ended = once(this.#keeper, 'exit').catch(() => undefined);
    this.#keeper.unref();
    if (this.#keeper.stdin instanceof Socket) this.#keeper.stdin.unref();
  }

  /** All is undone. Resolves when the journal is gone. */
  async remove(): Promise<void> {
    this.#keeper.ref();
    this.#keeper.stdin?.end('done\n');
    await this.#ended;
  }
}
