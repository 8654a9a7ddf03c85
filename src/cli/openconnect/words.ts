/**
 * openconnect's words for the events of a session (spec "CLI", section 5.5). Tools look for these lines: the words, the level and the stream are part
 * of the contract. An event that is not in the table is shown as it is, `event name=value`, from --verbose on.
 *
 * `{field}` stands for a field of the event, made fit for one line of a terminal. The level is openconnect's: the one that the event was logged
 * with does not matter.
 */
import type { LogFields, LogLevel } from '../../core/log.ts';
import { printable } from '../../core/wire/text.ts';
import type { MessageLevel } from './settings.ts';
import { expiryLine } from './status-text.ts';

export interface ProgressLine {
  readonly level: MessageLevel;
  readonly text: string;
  /** openconnect prints it by itself, not as progress: without a time. */
  readonly isBare?: true;
}

interface Wording {
  readonly level: MessageLevel;
  readonly text: string | ((fields: LogFields) => string);
  readonly isBare?: true;
}

/** On which of openconnect's levels an event is said. */
export function levelOf(level: LogLevel, event: string): MessageLevel {
  return wordingOf(event)?.level ?? LEVELS[level];
}

export function progressLine(level: LogLevel, event: string, rawFields: LogFields): ProgressLine {
  const fields = Object.fromEntries(Object.entries(rawFields).map(([name, value]) => [name, oneLine(value)]));
  const wording = wordingOf(event);
  if (wording === undefined) return { level: LEVELS[level], text: plain(event, fields) };
  const { text } = wording;
  return { ...wording, text: typeof text === 'function' ? text(fields) : filled(text, fields) };
}

function wordingOf(event: string): Wording | undefined {
  return Object.hasOwn(WORDS, event) ? WORDS[event] : undefined;
}

/** A gateway's text is part of many lines: it must not begin a line of its own. */
function oneLine(value: LogFields[string]): LogFields[string] {
  return typeof value === 'string' ? printable(value).replace(/[\n\t]+/g, ' ') : value;
}

/** Where we have no words of openconnect's: only what is wrong is said unasked. */
const LEVELS: Readonly<Record<LogLevel, MessageLevel>> = { error: 0, warn: 0, info: 2, debug: 2, trace: 3 };

function plain(event: string, fields: LogFields): string {
  return [event, ...Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))].join(' ');
}

function filled(text: string, fields: LogFields): string {
  return text.replace(/\{(\w+)\}/g, (_whole, name: string) => String(fields[name] ?? ''));
}

/** The text of a field that may be missing, with what joins it to the words before it. */
function optional(joint: string, value: LogFields[string]): string {
  return value === undefined || value === '' ? '' : `${joint}${value}`;
}

const WORDS: Readonly<Record<string, Wording>> = {
  // Connecting
  'http request': { level: 1, text: '{method} {url}' },
  'tcp connecting': { level: 2, text: 'Attempting to connect to server {peer}' },
  'proxy connecting': { level: 2, text: 'Attempting to connect to proxy {peer}' },
  'tcp connected': { level: 1, text: 'Connected to {peer}' },
  'tcp failed': { level: 1, text: 'Failed to connect to {peer}: {reason}' },
  'host unreachable': { level: 0, text: 'Failed to connect to host {host}' },
  'name not found': { level: 0, text: "getaddrinfo failed for host '{host}': {reason}" },
  'proxy request': { level: 1, text: 'Requesting {kind} proxy connection to {target}' },
  'proxy login': { level: 1, text: 'Attempting HTTP {method} authentication to proxy' },
  'proxy refused': { level: 0, text: 'Proxy CONNECT request failed: {status}' },
  'https failed': { level: 0, text: 'Failed to open HTTPS connection to {host}' },

  // TLS
  'tls negotiating': { level: 1, text: 'SSL negotiation with {host}' },
  'certificate untrusted': { level: 1, text: 'Server certificate verify failed: {reason}' },
  'pin unreadable': { level: 0, text: 'Unknown certificate hash: {pin}.' },
  'pins mismatch': {
    level: 0,
    text: "None of the {count} fingerprint(s) specified via --servercert match server's certificate: {pin}",
  },
  'tls connected': { level: 1, text: 'Connected to HTTPS on {host} with ciphersuite {ciphersuite}' },
  'tls failed': { level: 0, text: 'SSL connection failure: {reason}' },
  'certificate expires': { level: 0, text: 'Client certificate expires soon at: {time}' },
  'certificate expired': { level: 0, text: 'Client certificate has expired at: {time}' },

  // HTTP
  'http response': { level: 2, text: 'Got HTTP response: {status}' },
  'http refused': { level: 0, text: 'Unexpected {code} result from server' },
  'http header': { level: 2, text: '{name}: {value}' },
  'http body': { level: 2, text: 'HTTP body length:  ({length})' },
  'http sent': { level: 2, text: '> {line}' },
  'http received': { level: 2, text: '< {line}' },

  // Log-in
  'xml post enabled': { level: 1, text: 'XML POST enabled' },
  'passwords not allowed': { level: 0, text: "Asked for password but '--no-passwd' set" },
  'choice unknown': { level: 0, text: 'Auth choice "{choice}" not available' },
  'choice ambiguous': { level: 0, text: 'Auth choice "{choice}" matches multiple options' },
  'sso unavailable': { level: 0, text: 'No SSO handler' },
  'login failed': { level: 0, text: 'Failed to complete authentication', isBare: true },

  // Tunnel
  'tunnel answered': { level: 1, text: 'Got CONNECT response: {status}' },
  'tunnel refused': { level: 0, text: 'Got inappropriate HTTP CONNECT response: {status}' },
  'tunnel failed': { level: 0, text: 'Creating SSL connection failed', isBare: true },
  'cstp connected': { level: 1, text: 'CSTP connected. DPD {dpd}, Keepalive {keepalive}' },
  'dtls connected': { level: 1, text: 'Established DTLS connection (using {library}). Ciphersuite {ciphersuite}.' },
  'dtls failed': { level: 0, text: (fields) => `DTLS handshake failed${optional(': ', fields.reason)}` },
  'udp failed': { level: 0, text: 'Set up UDP failed; using SSL instead' },
  configured: { level: 1, text: '{text}' }, // by configuredAs() of status-text.ts
  'session expires': { level: 1, text: (fields) => expiryLine(new Date(Number(fields.at))) },
  'tun refused': { level: 0, text: 'Failed to bind local tun device (TUNSETIFF): {reason}' },
  'tun needs root': { level: 0, text: 'To configure local networking, openconnect must be running as root' },
  'tun failed': { level: 0, text: 'Set up tun device failed', isBare: true },
  'script failed': { level: 0, text: "Script '{script}' returned error {status}" },
  'script killed': { level: 0, text: "Script '{script}' exited abnormally ({signal})" },

  // Life and end of the session
  'in background': { level: 1, text: 'Continuing in background; pid {pid}' },
  'pid file failed': { level: 0, text: "Failed to open '{file}' for write: {reason}", isBare: true },
  paused: { level: 1, text: 'Caller paused the connection' },
  'reconnect requested': { level: 1, text: 'User requested reconnect' },
  'reconnect waiting': { level: 1, text: 'sleep {seconds}s, remaining timeout {remaining}s' },
  'reconnect failed': { level: 0, text: 'Reconnect failed' },
  'disconnected by gateway': { level: 0, text: (fields) => `Received server disconnect${optional(': ', fields.reason)}` },
  'terminated by gateway': { level: 0, text: (fields) => `Received server terminate packet${optional(': ', fields.reason)}` },
  'bye sent': { level: 1, text: 'Send BYE packet: {reason}' },
  'cookie invalid': { level: 0, text: 'Cookie is no longer valid, ending session' },

  // The last words, each with its exit status in `exit-status.ts`
  'ended by user': { level: 1, text: 'User cancelled (SIGINT/SIGTERM); exiting.' },
  'ended by hangup': { level: 1, text: 'User detached from session (SIGHUP); exiting.' },
  'ended by gateway': { level: 0, text: 'Session terminated by server; exiting.' },
  'ended by refusal': { level: 0, text: 'Cookie was rejected by server; exiting.' },
  'ended by system': { level: 0, text: 'Unrecoverable I/O error; exiting.' },
  'ended for reason': { level: 0, text: '{reason}; exiting' },
  'ended for unknown': { level: 0, text: 'Unknown error; exiting.' },
};

/** Every event that has words. */
export const EVENTS_WITH_WORDS: readonly string[] = Object.keys(WORDS);
