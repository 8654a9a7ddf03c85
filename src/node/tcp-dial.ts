/**
 * A TCP connection to a host: resolved by the system, by the user's overrides, or to the one address that an earlier connection settled on.
 *
 * Read first: RFC 8305, sections 4 and 5. Addresses are tried in the system's order, the two families in turns, and none is waited for before the next is tried
 * as well: an IPv6 address whose packets nobody answers costs a moment. The error names each attempt.
 */
import { lookup as systemLookup } from 'node:dns/promises';
import { connect, type Socket } from 'node:net';
import { CancelledError, NetworkError, TooLateError } from '../core/errors.ts';
import { hostInUrl } from '../core/http/url.ts';
import type { Logger } from '../core/log.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { formatEndpoint, formatIp, type IpAddress, parseIp, sameIp } from '../core/wire/ip-address.ts';
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
  /** The address that answered the last time: if the name still has it, it is tried first, and has longer than others until the next is tried as well. */
  readonly preferred?: IpAddress | undefined;
  /** How long one address may take to answer. Default: half a minute. */
  readonly patience?: Millis | undefined;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Asks for the addresses of a name. Default: the system. */
  readonly resolve?: (name: string) => Promise<readonly IpAddress[]>;
}

/** A host that has no address, or none that can be connected to. The log has said why. It has a {@link TooLateError} among its causes if that was one. */
export class UnreachableError extends NetworkError {}

/** How long one address may take to answer. */
const CONNECT_TIMEOUT_MS = 30_000;

/** RFC 8305 §5: how long one address is waited for before the next is tried as well. */
const ATTEMPT_DELAY_MS = 250;

/**
 * The same for the address that answered the last time: what was said there, another machine may not know. A SYN that was lost is sent again after one second,
 * and after two more (RFC 6298 §2.1, §5.5).
 */
const PREFERRED_DELAY_MS = 3_500;

/** How many addresses of a name are tried. */
const MAX_ADDRESSES = 16;

/** Resolves with a connected socket with {@link TCP_OPTIONS}. Rejects with {@link UnreachableError} or {@link CancelledError}. */
export async function dialTcp(options: DialOptions): Promise<Socket> {
  const addresses = inTurns(preferredFirst(await addressesOf(options), options.preferred)).slice(0, MAX_ADDRESSES);
  const failures: AttemptError[] = [];
  const socket = await firstOf(addresses, options, failures);
  if (socket !== undefined) return socket;
  options.log.log('error', 'host unreachable', { host: hostInUrl(options.host) });
  const reasons = failures.map(({ message }) => message).join('; ');
  const late = failures.find(({ cause }) => cause instanceof TooLateError);
  throw new UnreachableError(`Cannot connect to ${options.host} port ${options.port} (${reasons}).`, late && { cause: late });
}

function preferredFirst(addresses: readonly IpAddress[], preferred: IpAddress | undefined): readonly IpAddress[] {
  const found = preferred && addresses.find((address) => sameIp(address, preferred));
  return found === undefined ? addresses : [found, ...addresses.filter((address) => address !== found)];
}

/** RFC 8305 §4: the family of the first address goes first, then one of each, as long as there are. */
function inTurns(addresses: readonly IpAddress[]): IpAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const other = addresses.filter(({ family }) => family !== addresses[0]?.family);
  return first.flatMap((address, i) => [address, ...other.slice(i, i + 1)]).concat(other.slice(first.length));
}

/**
 * The connection to whichever answers first; the others are given up. The next address is tried as soon as one has failed, or has not answered for a moment.
 * Undefined: none has answered, each for its reason.
 */
function firstOf(addresses: readonly IpAddress[], options: DialOptions, failures: AttemptError[]): Promise<Socket | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket | undefined>();
  const late = new AbortController();
  const signal = AbortSignal.any([options.signal, late.signal]);
  const waiting = [...addresses];
  let isOver = false;
  let underWay = 0;
  let timer: NodeJS.Timeout | undefined;
  const end = (settle: () => void) => {
    isOver = true;
    clearTimeout(timer);
    settle();
    late.abort();
  };
  const tryNext = () => {
    clearTimeout(timer);
    const address = waiting.shift();
    if (address === undefined) {
      if (underWay === 0) end(() => resolve(undefined));
      return;
    }
    underWay++;
    const isPreferred = options.preferred !== undefined && sameIp(address, options.preferred);
    if (waiting.length > 0) timer = setTimeout(tryNext, isPreferred ? PREFERRED_DELAY_MS : ATTEMPT_DELAY_MS);
    attempt(address, { ...options, signal }).then(
      (socket) => (isOver ? socket.destroy() : end(() => resolve(socket))),
      (error: unknown) => {
        underWay--;
        if (isOver) return;
        if (!(error instanceof AttemptError)) return end(() => reject(error));
        failures.push(error);
        tryNext();
      },
    );
  };
  tryNext();
  return promise;
}

/** Why one address cannot be connected to: with the address. */
class AttemptError extends NetworkError {}

/** Rejects with {@link AttemptError} or {@link CancelledError}. */
async function attempt(address: IpAddress, { port, patience = CONNECT_TIMEOUT_MS, signal, log }: DialOptions): Promise<Socket> {
  const endpoint = formatEndpoint({ address, port });
  log.log('debug', 'tcp connecting', { endpoint });
  try {
    const socket = await connectTo(formatIp(address), { port, patience, signal });
    log.log('info', 'tcp connected', { endpoint });
    return socket;
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    const reason = systemErrorText(error);
    log.log('error', 'tcp connect failed', { endpoint, reason });
    throw new AttemptError(`${endpoint}: ${reason}`, { cause: error });
  }
}

async function addressesOf(options: DialOptions): Promise<readonly IpAddress[]> {
  const name = options.overrides.get(options.host) ?? options.host;
  const known = options.address ?? parseIp(name.replace(/^\[(.*)\]$/, '$1'));
  if (known !== undefined) return [known];
  try {
    const { resolve = askSystem, signal } = options;
    return await unlessCancelled(resolve(name), signal); // the system's resolver may take half a minute
  } catch (error) {
    if (error instanceof CancelledError) throw error;
    const reason = lookupReason(error);
    options.log.log('error', 'name lookup failed', { host: options.host, reason });
    throw new UnreachableError(`The name ${options.host} cannot be resolved: ${reason}.`, { cause: error });
  }
}

async function askSystem(name: string): Promise<IpAddress[]> {
  const answers = await systemLookup(name, { all: true });
  const addresses = answers.flatMap(({ address }) => parseIp(address ?? '') ?? []);
  if (addresses.length === 0) throw new NetworkError(NAME_UNKNOWN); // Node finds nothing for an empty name, without an error
  return addresses;
}

function connectTo(
  host: string,
  { port, patience, signal }: Pick<DialOptions, 'port' | 'signal'> & { readonly patience: Millis },
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  if (signal.aborted) return Promise.reject(new CancelledError());
  const socket = connect({ host, port, ...TCP_OPTIONS, timeout: patience });
  const cancel = () => fail(new CancelledError());
  const expire = () => fail(new TooLateError('Connection timed out'));
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
