/**
 * openconnect's words for the events of a session (spec "CLI", section 5.5). Tools look for these lines: the words, the level and the stream are part
 * of the contract. An event that is not in the table is shown as it is, `event name=value`, from --verbose on.
 *
 * `{field}` stands for a field of the event, made fit for one line of a terminal. The level is openconnect's: the one that the event was logged
 * with does not matter.
 */
import { constants } from 'node:os';
import type { LogFields, LogLevel } from '../../core/log.ts';
import { printable } from '../../core/wire/text.ts';
import type { MessageLevel } from './settings.ts';
import { datagramName, expiryLine } from './status-text.ts';

export interface ProgressLine {
  readonly level: MessageLevel;
  readonly text: string;
  /** openconnect prints it by itself, not as progress: without a time. */
  readonly isBare?: true;
  /** Part of what `--dump-http-traffic` shows, and nothing else does. */
  readonly isDump?: true;
}

interface Wording extends Omit<ProgressLine, 'level' | 'text'> {
  readonly level: MessageLevel | ((fields: LogFields) => MessageLevel);
  readonly text: string | ((fields: LogFields) => string);
}

/** On which of openconnect's levels an event is said. */
export function levelOf(level: LogLevel, event: string, fields: LogFields): MessageLevel {
  const wanted = wordingOf(event)?.level ?? LEVELS[level];
  return typeof wanted === 'function' ? wanted(fields) : wanted;
}

export function progressLine(level: LogLevel, event: string, rawFields: LogFields): ProgressLine {
  const fields = Object.fromEntries(Object.entries(rawFields).map(([name, value]) => [name, oneLine(value)]));
  const wording = wordingOf(event);
  const said = { level: levelOf(level, event, fields) };
  if (wording === undefined) return { ...said, text: plain(event, fields) };
  const { text } = wording;
  return { ...wording, ...said, text: typeof text === 'function' ? text(fields) : filled(text, fields) };
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

/** AnyConnect's has a code in front. */
function disconnectReason({ code, reason }: LogFields): string {
  return typeof code === 'number' ? `: ${code.toString(16).padStart(2, '0')} '${reason ?? ''}'` : optional(': ', reason);
}

/** Observed: in hexadecimal. */
function signalNumber(name: LogFields[string] = ''): string {
  const [, number] = Object.entries(constants.signals).find(([signal]) => signal === name) ?? [];
  return number?.toString(16) ?? `${name}`;
}

const WORDS: Readonly<Record<string, Wording>> = {
  // Connecting
  'http request': { level: 1, text: '{method} {url}' },
  'tcp connecting': { level: 2, text: 'Attempting to connect to server {endpoint}' },
  'tcp connected': { level: 1, text: 'Connected to {endpoint}' },
  'tcp connect failed': { level: 1, text: 'Failed to connect to {endpoint}: {reason}' },
  'host unreachable': { level: 0, text: 'Failed to connect to host {host}' },
  'name lookup failed': { level: 0, text: "getaddrinfo failed for host '{host}': {reason}" },
  'proxy request': { level: 1, text: 'Requesting {kind} proxy connection to {target}' },
  'proxy login': {
    level: 1,
    text: ({ method }) => `Attempting ${method === 'Digest' ? '' : 'HTTP '}${method ?? ''} authentication to proxy`, // observed
  },
  'proxy refused': { level: 0, text: 'Proxy CONNECT request failed: {status}' },
  'https failed': { level: 0, text: 'Failed to open HTTPS connection to {host}' },

  // TLS
  'tls negotiating': { level: 1, text: 'SSL negotiation with {host}' },
  'certificate not verified': { level: 1, text: 'Server certificate verify failed: {reason}' },
  'certificate fingerprint': { level: 0, text: '{complaint}' },
  'tls connected': { level: 1, text: 'Connected to HTTPS on {host} with ciphersuite {cipherSuite}' },
  'tls failed': { level: 0, text: 'SSL connection failure: {reason}' },
  'certificate expires': { level: 0, text: 'Client certificate expires soon at: {time}' },
  'certificate expired': { level: 0, text: 'Client certificate has expired at: {time}' },

  // HTTP
  'http response': { level: ({ status }) => (status === 200 ? 2 : 1), text: 'Got HTTP response: HTTP/{version} {status} {reason}' },
  'http refused': { level: 0, text: 'Unexpected {status} result from server' },
  'http response header': { level: 2, text: '{line}' },
  'http response body': { level: 2, text: 'HTTP body length:  ({length})' },
  'http sent': { level: 2, isDump: true, text: '> {line}' },
  'http received': { level: 2, isDump: true, text: '< {line}' },

  // Log-in
  'client certificate wanted': { level: 1, text: 'Server requested SSL client certificate; none was configured' },
  'xml post enabled': { level: 1, text: 'XML POST enabled' },
  'login banner': { level: 2, text: '{text}' }, // Observed: openconnect leaves it to the script
  'passwords not allowed': { level: 0, text: "Asked for password but '--no-passwd' set" },
  'choice not available': { level: 0, text: 'Auth choice "{choice}" not available' },
  'choice matches several': { level: 0, text: 'Auth choice "{choice}" matches multiple options' },
  'token not kept': { level: 0, text: 'Failed to open token file for write: {reason}' },
  'login failed': { level: 0, text: 'Failed to complete authentication', isBare: true },

  // Tunnel
  'connect answered': {
    level: ({ status }) => (status === 200 ? 1 : 0),
    text: ({ status, version, reason, why }) => {
      if (status === 503) return `VPN service unavailable; reason: ${why ?? '<unknown>'}`;
      const what = status === 200 ? 'CONNECT' : 'inappropriate HTTP CONNECT';
      return `Got ${what} response: HTTP/${version ?? ''} ${status ?? ''} ${reason ?? ''}`;
    },
  },
  'connect header': { level: 2, text: '{name}: {value}' },
  'tunnel failed': { level: 0, text: 'Creating SSL connection failed', isBare: true },
  'stream up': {
    level: 1,
    // CSTP is AnyConnect's, and says times; the others' streams have none.
    text: ({ dpd, keepalive, mtu }) =>
      dpd === undefined ? `SSL tunnel connected. MTU ${mtu ?? ''}` : `CSTP connected. DPD ${dpd}, Keepalive ${keepalive ?? ''}`,
  },
  'datagram up': {
    level: 1,
    text: ({ cipherSuite }) =>
      datagramName(cipherSuite) === 'ESP'
        ? 'ESP session established with server'
        : `Established DTLS connection (using Sallyport). Ciphersuite ${cipherSuite ?? ''}.`,
  },
  'datagram disabled': { level: 0, text: (fields) => `Set up UDP failed; using SSL instead${optional(': ', fields.reason)}` },
  configured: { level: 1, text: '{text}' }, // by configuredAs() of status-text.ts
  'session expires': { level: 1, text: (fields) => expiryLine(new Date(Number(fields.at))) },
  'tun refused': { level: 0, text: 'Failed to bind local tun device (TUNSETIFF): {reason}' },
  'tun needs root': { level: 0, text: 'To configure local networking, openconnect must be running as root' },
  'tun failed': { level: 0, text: 'Set up tun device failed', isBare: true },
  'script failed': { level: 0, text: "Script '{script}' returned error {status}" },
  'script killed': { level: 0, text: ({ script = '', signal }) => `Script '${script}' exited abnormally (${signalNumber(signal)})` },

  // What an earlier session left
  recovered: { level: ({ outcome }) => (outcome === 'undone' ? 1 : 0), text: '{line}' },
  'recovery failed': { level: 0, text: '{reason}' },

  // Life and end of the session
  'in background': { level: 1, text: 'Continuing in background; pid {pid}' },
  'user not changed': { level: 0, text: 'Failed to set {what} {id}: {reason}', isBare: true },
  'pid file failed': { level: 0, text: "Failed to open '{file}' for write: {reason}", isBare: true },
  'pid file not written': { level: 0, text: "Failed to write '{file}': {reason}", isBare: true },
  paused: { level: 1, text: 'Caller paused the connection' },
  'reconnect requested': { level: 1, text: 'User requested reconnect' },
  'reconnect waiting': { level: 1, text: 'sleep {seconds}s, remaining timeout {remaining}s' },
  'reconnect failed': { level: 0, text: 'Reconnect failed' },
  'disconnected by gateway': { level: 0, text: (fields) => `Received server disconnect${disconnectReason(fields)}` },
  'terminated by gateway': { level: 0, text: 'received server terminate packet' },
  'bye sent': { level: 1, text: 'Send BYE packet: {reason}' },
  'cookie invalid': { level: 0, text: 'Cookie is no longer valid, ending session' },

  // Why it ends, in our own words: openconnect's follow
  reason: { level: 0, text: '{reason}' },

  // The last words, each with its exit status in `exit-status.ts`
  'ended by user': { level: 1, text: 'User cancelled (SIGINT/SIGTERM); exiting.' },
  'ended by hangup': { level: 1, text: 'User detached from session (SIGHUP); exiting.' },
  'ended by gateway': { level: 0, text: 'Session terminated by server; exiting.' },
  'ended by refusal': { level: 0, text: 'Cookie was rejected by server; exiting.' },
  'ended by system': { level: 1, text: 'Unrecoverable I/O error; exiting.' },
  'ended unknown': { level: 0, text: 'Unknown error; exiting.' },
  'ended for reason': { level: 0, text: '{reason}; exiting' },
};

/** Every event that has words. */
export const EVENTS_WITH_WORDS: readonly string[] = Object.keys(WORDS);
