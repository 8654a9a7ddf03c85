/** `show sessions` (also called `show cookies`) and `show session`, as text and as JSON. Layouts: as for `user-report.ts`. */
import type { ControlSession } from '../../gateway/control/control-target.ts';
import { dateText, durationText, plainText, tableRow } from './human-text.ts';
import { type JsonRecord, renderRecords } from './json-text.ts';
import { LOCATION, NO_NAME, SHORT_SESSION_LENGTH, shortSession } from './user-report.ts';

/** What the table shows of a client's name for itself, in characters. */
const AGENT_LENGTH = 24;

const HEADER_WIDTHS = [SHORT_SESSION_LENGTH, 8, 8, 14, AGENT_LENGTH, 8, 8];
/** Observed: a short name for a client is not filled up. */
const WIDTHS = HEADER_WIDTHS.with(4, 0);

/** Those that a client could use now. */
export function isValid(session: ControlSession): boolean {
  return session.state === 'authenticated';
}

/** Observed: 1.1.6 leaves the heading out where its first session is not of the kind that was asked for. */
export function sessionsTable(sessions: readonly ControlSession[], now: number): string {
  if (sessions.length === 0) return '';
  const header = ['session', 'user', 'vhost', 'ip', 'user agent', 'created', 'status'];
  const rows = sessions.map((session) => [
    shortSession(session.id),
    session.user === '' ? NO_NAME : session.user,
    session.host ?? 'default',
    session.remote,
    session.userAgent.slice(0, AGENT_LENGTH),
    durationText(now - session.createdAt),
    session.state,
  ]);
  return `${tableRow(HEADER_WIDTHS, header)}\n${rows.map((row) => `${tableRow(WIDTHS, row)}\n`).join('')}`;
}

export function sessionDetails(sessions: readonly ControlSession[]): string {
  return sessions.map(sessionDetail).join('\n');
}

export function sessionsJson(sessions: readonly ControlSession[]): string {
  return renderRecords(sessions.map(sessionRecord));
}

function sessionDetail(session: ControlSession): string {
  const record = sessionRecord(session);
  const text = (key: string) => plainText(String(record[key]));
  const yes = (isSo: boolean) => (isSo ? 'True' : 'False');
  return [
    `Session: ${text('Session')}`,
    `Full session ID: ${text('Full session')}`,
    `Created: ${text('Created')}${'Expires' in record ? `   Expires: ${text('Expires')}` : ''}`,
    `State: ${session.state}`,
    `Username: ${text('Username')}   Groupname: ${text('Groupname')}`,
    `vhost: ${text('vhost')}   User-Agent: ${text('User-Agent')}`,
    `Remote IP: ${session.remote}   Location: ${LOCATION}`,
    `In use: ${yes(session.inUse > 0)}   Activated: ${yes(session.isOpen)}`,
    `Certificate auth: ${yes(session.hasCertificate)}`,
  ]
    .map((line) => `\t${line}\n`)
    .join('');
}

function sessionRecord(session: ControlSession): JsonRecord {
  return {
    Session: shortSession(session.id),
    'Full session': session.id,
    Created: dateText(session.createdAt),
    // Observed: while a tunnel uses it, it has no end.
    ...(session.inUse === 0 && { Expires: dateText(session.expiresAt) }),
    State: session.state,
    Username: session.user === '' ? NO_NAME : session.user,
    Groupname: session.group ?? NO_NAME,
    vhost: session.host ?? 'default',
    'User-Agent': session.userAgent,
    'Remote IP': session.remote,
    Location: LOCATION,
    session_is_open: Number(session.isOpen),
    tls_auth_ok: Number(session.hasCertificate),
    in_use: session.inUse,
  };
}
