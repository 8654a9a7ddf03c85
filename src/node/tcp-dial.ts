/**
 * A TCP connection to a host: resolved by the system, by the user's overrides, or to the one address that an earlier connection settled on.
 *
 * All addresses are tried in the system's order; the error names each attempt.
 */
import { lookup as systemLookup } from 'node:dns/promises';
import { connect, type Socket } from 'node:net';
import { CancelledError, NetworkError } from '../core/errors.ts';
import { hostInUrl } from '../core/http/url.ts';
import type { Logger } from '../core/log.ts';
import { formatEndpoint, formatIp, type IpAddress, parseIp } from '../core/wire/ip-address.ts';
import { unlessCancelled } from './cancellation.ts';
import { systemErrorCode, systemErrorText } from './system-error.ts';
import { TCP_OPTIONS } from './tcp-options.ts';

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  /** Connect here, whatever the name resolves to: a reconnect goes to the same node. */
  readonly address?: IpAddress;
  /** The user's own answers for exact host names: an address (IPv6 with or without brackets), or another name. */
  readonly overrides: ReadonlyMap<string, string>;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** A host that has no address, or none that can be connected to. The log has said why. */
export class UnreachableError extends NetworkError {}

/** How long one address may take to answer. */
const CONNECT_TIMEOUT_MS = 30_000;

/** How many addresses of a name are tried. */
const MAX_ADDRESSES = 16;

/** Resolves with a connected socket with {@link TCP_OPTIONS}. Rejects with {@link UnreachableError} or {@link CancelledError}. */
export async function dialTcp(options: DialOptions): Promise<Socket> {
  const addresses = await addressesOf(options);
  const failures: string[] = [];
  for (const address of addresses.slice(0, MAX_ADDRESSES)) {
    const endpoint = formatEndpoint({ address, port: options.port });
    options.log.log('debug', 'tcp connecting', { endpoint });
    try {
      const socket = await connectTo(formatIp(address), options.port, options.signal);
      options.log.log('info', 'tcp connected', { endpoint });
      return socket;
    } catch (error) {
      if (error instanceof CancelledError) throw error;
      const reason = systemErrorText(error);
      options.log.log('error', 'tcp connect failed', { endpoint, reason });
      failures.push(`${endpoint}: ${reason}`);
    }
  }
  options.log.log('error', 'host unreachable', { host: hostInUrl(options.host) });
  throw new UnreachableError(`Cannot connect to ${options.host} port ${options.port} (${failures.join('; ')}).`);
}

async function addressesOf(options: DialOptions): Promise<readonly IpAddress[]> {
  const name = options.overrides.get(options.host) ?? options.host;
  const known = options.address ?? parseIp(name.replace(/^\[(.*)\]$/, '$1'));
  if (known !== undefined) return [known];
  try {
    return await lookUp(name, options.signal);
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    const reason = lookupReason(error);
    options.log.log('error', 'name lookup failed', { host: options.host, reason });
    throw new UnreachableError(`The name ${options.host} cannot be resolved: ${reason}.`, { cause: error });
  }
}

/** The system's resolver may take half a minute. */
async function lookUp(name: string, signal: AbortSignal): Promise<IpAddress[]> {
  const answers = await unlessCancelled(systemLookup(name, { all: true }), signal);
  const addresses = answers.flatMap(({ address }) => parseIp(address ?? '') ?? []);
  if (addresses.length === 0) throw new NetworkError(NAME_UNKNOWN); // Node finds nothing for an empty name, without an error
  return addresses;
}

function connectTo(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  if (signal.aborted) return Promise.reject(new CancelledError());
  const socket = connect({ host, port, ...TCP_OPTIONS, timeout: CONNECT_TIMEOUT_MS });
  const cancel = () => fail(new CancelledError());
  const expire = () => fail(new NetworkError('Connection timed out'));
  const fail = (error: Error) => {
    socket.destroy();
    settle();
    reject(error);
  };
  const settle = () => {
    signal.removeEventListener('abort', cancel);
    socket.off('error', fail).off('timeout', expire).setTimeout(0);
  };
  signal.addEventListener('abort', cancel, { once: true });
  socket.once('error', fail).once('timeout', expire);
  socket.once('connect', () => {
    settle();
    resolve(socket);
  });
  return promise;
}

const NAME_UNKNOWN = 'Name or service not known';

/** The resolver's words for its errors. */
function lookupReason(error: unknown): string {
  switch (systemErrorCode(error)) {
    case 'ENOTFOUND':
      return NAME_UNKNOWN;
    case 'EAI_AGAIN':
      return 'Temporary failure in name resolution';
    default:
      return systemErrorText(error);
  }
}
