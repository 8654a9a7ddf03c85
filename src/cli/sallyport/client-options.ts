/**
 * Turns arguments into the library's options: reads the files that they name, and the lines of standard input.
 *
 * Secrets never come from arguments, which every process of the machine can see: they are files or lines of standard input, in this order:
 * the key's password, the log-in's password, further answers to it; or the cookie.
 */
import type { ConnectOptions, FormEntry, LoginOptions, TokenOptions } from '../../client/connect-options.ts';
import { parseFormEntry } from '../../core/auth/flag-answerers.ts';
import type { Credential } from '../../core/auth/login-io.ts';
import { MisuseError } from '../../core/errors.ts';
import { parseServer } from '../../core/http/url.ts';
import type { Logger } from '../../core/log.ts';
import { Secret } from '../../core/secret.ts';
import { replaceFile } from '../../node/replace-file.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { readBounded } from '../openconnect/system-world.ts';
import type { ConnectArguments, LoginArguments, TunnelArguments } from './arguments.ts';
import type { Asker } from './asker.ts';
import { parseCookie } from './cookie-text.ts';

/** Of files with answers. */
const MAX_FILE_BYTES = 65_536;

export interface ClientOptionsContext {
  readonly asker: Asker;
  /** The next line of standard input; undefined at its end. */
  readonly readLine: () => Promise<string | undefined>;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** Rejects with {@link MisuseError} for arguments that cannot be, or a line that is not there. */
export async function loginOptions(given: LoginArguments, context: ClientOptionsContext): Promise<LoginOptions> {
  const { asker, signal, log } = context;
  const keyPassword = given.keyPasswordStdin && (await secretLine(context, '--key-password-stdin'));
  const password = given.passwordStdin && (await secretLine(context, '--password-stdin'));
  const { certificate, key, user, group, caFile, proxy, userAgent, browser, resource, pin: pins, allowLegacy } = given;
  if (key !== undefined && certificate === undefined) throw new MisuseError('--key belongs to a --certificate.');
  return {
    protocol: given.protocol,
    ...(user !== undefined && { user }),
    ...(group !== undefined && { group }),
    ...(password !== undefined && { password }),
    ...(given.token !== undefined && { token: await tokenOf(given.token, given.tokenMode) }),
    ...(given.answers !== undefined && { formEntries: await formEntriesOf(given.answers) }),
    onForm: (form) => asker.answer(form),
    onCertificate: (question) => asker.trust(question),
    ...(certificate !== undefined && {
      certificate: {
        certificate,
        ...(key !== undefined && { key }),
        ...(keyPassword !== undefined && { password: keyPassword }),
        onPassword: (file, isWrong) => asker.password(file, isWrong),
      },
    }),
    ...(pins !== undefined && { pins }),
    ...(caFile !== undefined && { caFile }),
    ...(!given.systemTrust && { systemTrust: false }),
    ...(allowLegacy !== undefined && { allowLegacy }),
    ...(proxy !== undefined && { proxy }),
    ...(given.proxyLogin !== undefined && { proxyLogin: await passwordFile(given.proxyLogin, '--proxy-login') }),
    ...(given.resolve !== undefined && { addresses: addressesOf(given.resolve) }),
    ...(userAgent !== undefined && { userAgent }),
    ...(browser !== undefined && { browser }),
    ...(resource !== undefined && { resource }),
    signal,
    log,
  };
}

/** As {@link loginOptions}, and all that an interface in the VPN needs. `host`: as the user named the gateway. */
export async function connectOptions(host: string, given: ConnectArguments, context: ClientOptionsContext): Promise<ConnectOptions> {
  const network = networkOf(given);
  return {
    ...(await tunnelOptions(host, given, context)),
    device: given.interface === undefined ? 'tun' : { name: given.interface },
    network,
  };
}

/** As {@link loginOptions}, and all that a tunnel needs but its device. */
export async function tunnelOptions(host: string, given: TunnelArguments, context: ClientOptionsContext): Promise<ConnectOptions> {
  if (given.cookieStdin && given.passwordStdin)
    throw new MisuseError('A cookie needs no password: give --cookie-stdin or --password-stdin.');
  const login = await loginOptions(given, context);
  const credential = given.cookieStdin && (await credentialOf(host, context));
  const { mtu, udp, ipv6, compression, reconnectTimeout } = given;
  return {
    ...login,
    ...(credential !== undefined && { credential }),
    // The key that the log-in verified, maybe by asking a person, vouches for the gateway; nothing else said about trust does then.
    ...(credential !== undefined && credential.pin !== UNKNOWN_PIN && login.pins === undefined && { pins: [credential.pin] }),
    ...(mtu !== undefined && { mtu }),
    udp,
    ipv6,
    compression,
    ...(reconnectTimeout !== undefined && { reconnectTimeout: reconnectTimeout * 1000 }),
  };
}

function networkOf({ network, script }: ConnectArguments): NonNullable<ConnectOptions['network']> {
  if (script === undefined) return network ? 'configure' : 'none';
  if (!network) throw new MisuseError('Either --script sets up the network, or nobody does (--no-network).');
  return { script };
}

async function secretLine({ readLine }: ClientOptionsContext, option: string): Promise<Secret> {
  const line = await readLine();
  if (line === undefined) throw new MisuseError(`${option} reads a line of standard input, and there is none.`);
  return new Secret(line);
}

/** A bare cookie says nothing of the gateway's key: what the options and the authorities say decides. */
const UNKNOWN_PIN = '';

async function credentialOf(host: string, context: ClientOptionsContext): Promise<Credential> {
  const line = await context.readLine();
  if (line === undefined) throw new MisuseError('No cookie came by standard input. Was the log-in that was to print it stopped?');
  const { cookie, from } = parseCookie(line);
  return from === undefined ? { gateway: parseServer(host), pin: UNKNOWN_PIN, cookie } : { ...from, cookie };
}

/** The file is written anew when the token's counter advances. */
async function tokenOf(file: string, mode: TokenOptions['mode']): Promise<TokenOptions> {
  const secret = new Secret((await textOf(file, '--token')).trimEnd());
  const keep = async (next: Secret) => {
    try {
      await replaceFile(file, Buffer.from(`${next.reveal()}\n`), { mayWriteInPlace: true });
    } catch (error) {
      throw new MisuseError(`The file of --token, ${file}, cannot be written, and has to be: ${systemErrorText(error)}.`, { cause: error });
    }
  };
  return { mode, secret, keep };
}

async function formEntriesOf(file: string): Promise<FormEntry[]> {
  return (await textOf(file, '--answers')).split(/\r?\n/).flatMap((line) => (/^\s*(#|$)/.test(line) ? [] : [parseFormEntry(line)]));
}

/** A file with a line USER:PASSWORD. Rejects with {@link MisuseError}. */
export async function passwordFile(file: string, option: string): Promise<{ readonly username: string; readonly password: Secret }> {
  const [line = ''] = (await textOf(file, option)).split(/\r?\n/);
  const colon = line.indexOf(':');
  if (colon < 0) throw new MisuseError(`${file}: expected a line USER:PASSWORD.`);
  return { username: line.slice(0, colon), password: new Secret(line.slice(colon + 1)) };
}

async function textOf(file: string, option: string): Promise<string> {
  try {
    return Buffer.from(await readBounded(file, MAX_FILE_BYTES)).toString('utf8');
  } catch (error) {
    throw new MisuseError(`The file of ${option}, ${file}, cannot be read: ${systemErrorText(error)}.`, { cause: error });
  }
}

function addressesOf(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const [, host, address] = /^([^:]+):(.+)$/.exec(text) ?? [];
      if (host === undefined || address === undefined) throw new MisuseError(`"${text}": expected HOST:ADDRESS after --resolve.`);
      return [host, address];
    }),
  );
}
