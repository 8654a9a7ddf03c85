/**
 * One PAM transaction, in a process of its own: PAM's calls block, its modules do as they like, and this way a log-in that hangs can be ended.
 *
 * Started by `pam-process.ts`. Reads its standard input by blocking calls, from inside PAM's conversation; so nothing here may touch process.stdin.
 */
import { readSync, writeSync } from 'node:fs';
import { groupsOfUser, PAM, PamTransaction } from '../../node/ffi/pam.ts';
import { MAX_PAM_LINE, PAM_ANSWER, PAM_TASK, type PamReport, type PamTask } from './pam-messages.ts';

/** Texts that PAM's modules show, kept for the next question. */
const MAX_NOTES = 4_096;

let held = '';

function readLine(): string | undefined {
  const chunk = Buffer.alloc(4_096);
  for (;;) {
    const end = held.indexOf('\n');
    if (end >= 0) {
      const line = held.slice(0, end);
      held = held.slice(end + 1);
      return line;
    }
    const length = held.length > MAX_PAM_LINE ? 0 : readSync(0, chunk);
    if (length === 0) return undefined;
    held += chunk.toString('utf8', 0, length);
  }
}

function report(message: PamReport): void {
  writeSync(1, `${JSON.stringify(message)}\n`);
}

function run({ task, service, user, remote, minGid }: PamTask): PamReport {
  let notes = '';
  const pam = new PamTransaction(service, user, (style, text) => {
    if (style !== PAM.promptEchoOff && style !== PAM.promptEchoOn) {
      notes = `${notes}${text}\n`.slice(-MAX_NOTES);
      return '';
    }
    report({ type: 'ask', isSecret: style === PAM.promptEchoOff, text: notes + text });
    notes = '';
    const line = readLine();
    return line === undefined ? undefined : PAM_ANSWER.parse(JSON.parse(line)).answer;
  });
  pam.setItem(PAM.itemRemoteHost, remote);
  const { code, step } = task === 'log-in' ? logIn(pam) : session(pam, task);
  const name = pam.user() ?? user;
  pam.end();
  return { type: 'done', code, step, user: name, groups: code === PAM.success && task === 'log-in' ? [...groupsOfUser(name, minGid)] : [] };
}

interface Outcome {
  readonly code: number;
  readonly step: string;
}

/** A password that has run out is changed by the same conversation. */
function logIn(pam: PamTransaction): Outcome {
  const authenticated = pam.call('authenticate');
  if (authenticated !== PAM.success) return { code: authenticated, step: 'authenticate' };
  const account = pam.call('acct_mgmt');
  if (account !== PAM.newTokenRequired) return { code: account, step: 'account' };
  return { code: pam.call('chauthtok', PAM.changeExpiredToken), step: 'change of password' };
}

function session(pam: PamTransaction, task: 'open-session' | 'close-session'): Outcome {
  return { code: pam.call(task === 'open-session' ? 'open_session' : 'close_session'), step: task };
}

const first = readLine();
if (first !== undefined) {
  try {
    report(run(PAM_TASK.parse(JSON.parse(first))));
  } catch (error) {
    report({ type: 'broken', message: error instanceof Error ? error.message : String(error) });
  }
}
