/**
 * Passwords, codes and whatever else the machine's PAM asks for (`auth = pam`).
 *
 * Observed: the service is `ocserv`; the first question is ocserv's own, all others are PAM's words with numbered labels.
 */
import { readFile } from 'node:fs/promises';
import type { Logger } from '../../core/log.ts';
import { formatIp } from '../../core/wire/ip-address.ts';
import { printable } from '../../core/wire/text.ts';
import { type BackEndLogin, type LoginAttempt, PASSWORD_PROMPT, type PasswordBackEnd, type Verdict } from './back-end.ts';
import { PAM_SERVICE, type PamReport } from './pam-messages.ts';
import { PamProcess } from './pam-process.ts';

const GROUP_FILE = '/etc/group';

/** What pam_unix and most others ask first. */
const USUAL_QUESTION = /^\s*password:?\s*$/i;

export interface PamOptions {
  readonly log: Logger;
  /** `gid-min`: groups with lower numbers are the system's own. Default: 0. */
  readonly minGid?: number;
  /** Default: `ocserv`. */
  readonly service?: string;
}

export class PamBackEnd implements PasswordBackEnd {
  readonly #log: Logger;
  readonly #minGid: number;
  readonly #service: string;

  constructor({ log, minGid = 0, service = PAM_SERVICE }: PamOptions) {
    this.#log = log;
    this.#minGid = minGid;
    this.#service = service;
  }

  login({ user, remote }: LoginAttempt): BackEndLogin {
    let child: PamProcess | undefined;
    let asked = 0;
    const follow = async (): Promise<Verdict> => {
      if (child === undefined) {
        this.#log.log('warn', 'too many log-ins by PAM at once', { user });
        return { type: 'unavailable' };
      }
      try {
        const report = await child.next();
        return report.type === 'ask' ? question(report, asked++) : this.#verdictOf(report, user);
      } catch (error) {
        this.#log.log('error', 'PAM', { user, reason: error instanceof Error ? error.message : String(error) });
        return { type: 'unavailable' };
      }
    };
    return {
      begin: () => {
        child = PamProcess.start({ task: 'log-in', service: this.#service, user, remote: formatIp(remote), minGid: this.#minGid });
        return follow();
      },
      answer: (value) => {
        child?.answer(value);
        return follow();
      },
      close: () => child?.close(),
    };
  }

  /** Of the machine's own file: what a directory service adds is not listed, but counts for those who log in. */
  async groups(): Promise<readonly string[]> {
    const lines = (await readFile(GROUP_FILE, 'utf8')).split('\n').map((line) => line.split(':'));
    return lines.flatMap(([name = '', , gid]) => (gid !== undefined && Number(gid) >= this.#minGid ? [name] : []));
  }

  #verdictOf(report: Exclude<PamReport, { readonly type: 'ask' }>, user: string): Verdict {
    if (report.type === 'broken') {
      this.#log.log('error', 'PAM', { user, reason: report.message });
      return { type: 'unavailable' };
    }
    if (report.code === 0) return { type: 'accepted', user: report.user, groups: report.groups };
    this.#log.log('info', 'PAM refuses', { user, step: report.step, code: report.code });
    // Whose account has run out, or did not choose a new password, needs no second try of the old one.
    return { type: 'wrong', isFinal: report.step !== 'authenticate' };
  }
}

function question({ text, isSecret }: Extract<PamReport, { readonly type: 'ask' }>, before: number): Verdict {
  const message = USUAL_QUESTION.test(text) ? PASSWORD_PROMPT.message : printable(text);
  const label = before === 0 ? PASSWORD_PROMPT.label : `Password${before}:`;
  return { type: 'ask', prompt: { message, label, kind: isSecret ? 'password' : 'text', isSecond: before > 0 } };
}
