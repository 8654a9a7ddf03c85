/**
 * The configuration files of radcli, which ocserv uses: which servers, with which secrets, how long to wait.
 *
 *   authserver 192.0.2.1:1812         acctserver host          servers /etc/radcli/servers
 *   radius_timeout 10                 radius_retries 3         nas-ip …, bindaddr *
 *
 *   servers: `host secret`, one a line; a secret may stand in the other file too: `authserver host:1812:secret`
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { MisuseError } from '../../../core/errors.ts';
import { Secret } from '../../../core/secret.ts';
import type { Millis } from '../../../core/tunnel/packet.ts';
import { parseIp } from '../../../core/wire/ip-address.ts';

/** radcli's own. */
const DEFAULT_TIMEOUT: Millis = 10_000;
const DEFAULT_RETRIES = 3;
const AUTH_PORT = 1812;
const ACCOUNTING_PORT = 1813;

const MAX_SERVERS = 8;
/** Longer waits than these only block log-ins. */
const MAX_TIMEOUT: Millis = 60_000;
const MAX_RETRIES = 10;

export interface RadiusServer {
  readonly host: string;
  readonly port: number;
  readonly secret: Secret;
}

export interface RadcliConfig {
  readonly authentication: readonly RadiusServer[];
  readonly accounting: readonly RadiusServer[];
  /** For one try. */
  readonly timeout: Millis;
  /** After the first try, with each server. */
  readonly retries: number;
  /** The address that requests come from; undefined: the system's choice. */
  readonly bindAddress?: string;
  readonly nasIdentifier?: string;
  /** Answers to log-ins without Message-Authenticator are not believed. Default true; radcli's `require-message-authenticator no` turns it off. */
  readonly needsMessageAuthenticator: boolean;
}

/** Reads both files. Rejects as Node's file system does, and with {@link MisuseError} for what cannot be used. */
export async function readRadcliConfig(file: string): Promise<RadcliConfig> {
  const settings = parseSettings(await readFile(file, 'utf8'));
  const serversFile = settings.get('servers')?.at(-1);
  const secrets =
    serversFile === undefined
      ? new Map<string, string>()
      : parseSecrets(await readFile(path.resolve(path.dirname(file), serversFile), 'utf8'));
  const servers = (key: string, port: number) =>
    (settings.get(key) ?? [])
      .flatMap((value) => value.split(','))
      .slice(0, MAX_SERVERS)
      .map((text) => serverOf(file, text.trim(), port, secrets));
  const bindAddress = settings.get('bindaddr')?.at(-1);
  const nasIdentifier = settings.get('nas-identifier')?.at(-1);
  const type = settings.get('serv-type')?.at(-1) ?? 'udp';
  if (type !== 'udp') throw new MisuseError(`${file}: serv-type ${type} is not supported; RADIUS runs over udp here`);
  return {
    authentication: servers('authserver', AUTH_PORT),
    accounting: servers('acctserver', ACCOUNTING_PORT),
    timeout: Math.min(numberOf(file, settings, 'radius_timeout', DEFAULT_TIMEOUT / 1000) * 1000, MAX_TIMEOUT) || DEFAULT_TIMEOUT,
    retries: Math.min(numberOf(file, settings, 'radius_retries', DEFAULT_RETRIES), MAX_RETRIES),
    needsMessageAuthenticator: settings.get('require-message-authenticator')?.at(-1) !== 'no',
    ...(bindAddress !== undefined && bindAddress !== '*' && { bindAddress }),
    ...(nasIdentifier !== undefined && { nasIdentifier }),
  };
}

/** `key value` a line, `#` begins a comment line; a key may come again. */
export function parseSettings(text: string): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const match = /^\s*([^\s#]\S*)\s+(\S.*?)\s*$/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    settings.set(match[1], [...(settings.get(match[1]) ?? []), match[2]]);
  }
  return settings;
}

/** `host secret` a line; `client/server secret` of old files too: the server's name counts. */
export function parseSecrets(text: string): ReadonlyMap<string, string> {
  const secrets = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^\s*([^\s#]\S*)\s+(\S+)\s*$/.exec(line);
    const host = match?.[1]?.split('/').at(-1);
    if (host !== undefined && match?.[2] !== undefined) secrets.set(host, match[2]);
  }
  return secrets;
}

/** `host`, `host:port`, `host:port:secret`; an IPv6 address stands in brackets if anything follows. */
function serverOf(file: string, text: string, defaultPort: number, secrets: ReadonlyMap<string, string>): RadiusServer {
  const match = parseIp(text)?.family === 6 ? [text, text] : /^(?:\[([^\]]+)\]|([^:\s]+))(?::(\d{1,5})?(?::(\S+))?)?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined) throw new MisuseError(`${file}: "${text.split(':')[0]}" is not a server`);
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (port === 0 || port > 65_535) throw new MisuseError(`${file}: port ${port} of server ${host} does not exist`);
  const secret = match?.[4] ?? secrets.get(host) ?? secrets.get(`${host}:${port}`);
  if (secret === undefined) throw new MisuseError(`${file}: there is no secret for server ${host} in the file of servers`);
  return { host, port, secret: new Secret(secret) };
}

function numberOf(file: string, settings: ReadonlyMap<string, readonly string[]>, key: string, otherwise: number): number {
  const text = settings.get(key)?.at(-1);
  if (text === undefined) return otherwise;
  if (!/^\d{1,6}$/.test(text)) throw new MisuseError(`${file}: ${key} is not a number`);
  return Number(text);
}
