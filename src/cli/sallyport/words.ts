/** Plain words for the library's events: which of them people hear of unasked, and what `--verbose` adds. */
import type { LogFields, LogLevel } from '../../core/log.ts';
import { printable } from '../../core/wire/text.ts';
import { sentence } from './explanation.ts';

/** How often `--verbose` was given. */
export type Verbosity = 0 | 1 | 2;

/** With `--verbose` everything but bytes, given twice those too. */
export function isLogged(level: LogLevel, verbosity: Verbosity): boolean {
  return verbosity > (level === 'trace' ? 1 : 0);
}

/** `event name=value`, as `--verbose` shows it. */
export function eventLine(event: string, fields: LogFields): string {
  const words = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${oneLine(String(value))}`]));
  return [event, ...words].join(' ');
}

/** What people hear of an event unasked: a sentence; undefined if they need not know. */
export function warningText(level: LogLevel, event: string, rawFields: LogFields): string | undefined {
  const fields = Object.fromEntries(Object.entries(rawFields).map(([name, value]) => [name, oneLine(String(value ?? ''))]));
  if (Object.hasOwn(WORDS, event)) {
    const words = WORDS[event];
    return words === undefined ? undefined : sentence(words.replace(/\{(\w+)\}/g, (_whole, name: string) => fields[name] ?? ''));
  }
  if (level !== 'error' && level !== 'warn') return undefined;
  const { reason, ...others } = fields;
  const rest = Object.entries(others).map(([name, value]) => `${name}=${value}`);
  return sentence([[event, ...rest].join(' '), ...(reason === undefined ? [] : [reason])].join(': '));
}

/** undefined: the error or event that follows says it, in full. Events that are not here are said if they are warnings or errors. */
const WORDS: Readonly<Record<string, string | undefined>> = {
  recovered: '{line}',
  'recovery failed': 'What a session that was killed has left could not be looked for: {reason}',
  'network note': '{note}',
  'network not updated': 'The routes could not be adapted to the new network: {reason}',
  'network monitor ended': 'Changes of the network are noticed later than usual: "ip monitor" ended ({reason})',
  'underlay unknown': 'Changes of the network are not noticed at the moment: {reason}',
  'tear-down failed': 'Not everything could be put back: {reason} Run "sallyport recover".',
  'control failed': '"sallyport status" and "sallyport disconnect" will not see this session: {reason}',
  'choice not available': 'The gateway has no {field} "{choice}".',
  'choice matches several': 'The gateway has several choices of {field} that begin with "{choice}".',
  'token gives no more codes': 'The gateway did not take the codes of the token.',
  'gateway passed over': 'The gateway {gateway} is passed over: {reason}',
  'client certificate refused': 'The gateway did not take the certificate.',
  'datagram disabled': 'UDP cannot be used: {reason} Packets go by TLS.',
  'mtu not set': 'The MTU of the interface could not be set to {mtu}: {reason}',
  'host check failed': 'The host check failed: {outcome}',

  'answer is not a choice': undefined,
  'certificate fingerprint': undefined,
  'forms with nothing to fill in': undefined,
  'name lookup failed': undefined,
  'tcp connect failed': undefined,
  'tls failed': undefined,
  'host unreachable': undefined,
  'https failed': undefined,
};

/** A text of the gateway's or the system's inside of a sentence of ours. */
export function oneLine(text: string): string {
  return printable(text).replace(/\s+/g, ' ').trim();
}
