/**
 * Events as lines for people, in ocserv's kind of line. Observed, from ocserv 1.1.6 in the foreground:
 *
 *   ocserv[24874]: main[alice]:192.0.2.2:48480 user logged in
 *   ocserv[24878]: worker[alice]: 192.0.2.2 suggesting DPD of 90 secs
 *   ocserv[24875]: sec-mod: sec-mod initialized
 *
 * Fields other than `user` and `remote` follow as `name=value`, quoted where they hold blanks.
 */
import type { LogLevel } from '../../core/log.ts';
import { printable } from '../../core/wire/text.ts';
import type { VisibleFields } from './log-fields.ts';

/** Which of the gateway's processes speaks, in ocserv's words. */
export type ProcessName = 'main' | 'sec-mod' | 'worker';

/** Without the program's name and a line end: what syslog gets. */
export function textLine(process: ProcessName, level: LogLevel, event: string, fields: VisibleFields): string {
  const { user, remote, ...others } = fields;
  const who = user === undefined ? process : `${process}[${oneLine(String(user))}]`;
  const where = remote === undefined ? ':' : `:${process === 'main' ? '' : ' '}${oneLine(String(remote))}`;
  const loudness = level === 'error' || level === 'warn' ? `${level === 'warn' ? 'warning' : level}: ` : '';
  const rest = Object.entries(others).map(([name, value]) => ` ${name}=${quoted(value)}`);
  return `${who}${where} ${loudness}${oneLine(event)}${rest.join('')}`;
}

function quoted(value: string | number | boolean): string {
  const text = oneLine(String(value));
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

/** What clients say must not look like another line. */
function oneLine(text: string): string {
  return printable(text).replace(/[\n\t]/g, ' ');
}
