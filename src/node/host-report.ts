/**
 * A report on this machine for a gateway that wants one: by the user's program (`--csd-wrapper`), which writes it to its standard output, or what this
 * machine says of itself.
 *
 * Read first: spec "GlobalProtect", section 12; spec "Client command line", section 9.
 */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { HostFacts, HostInterface, HostReport, HostReportRequest } from '../core/auth/login-io.ts';
import { CancelledError } from '../core/errors.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { parseIp } from '../core/wire/ip-address.ts';
import type { HostCheckOptions } from './host-check.ts';
import { systemErrorText } from './system-error.ts';
import { startUserProgram } from './user-program.ts';

/** Of a report (spec 17). */
const MAX_REPORT_BYTES = 1024 * 1024;

/** How long the rest of it may take once the program has ended: one that it has left running may hold its output open for ever. */
const REST_LIMIT: Millis = 1000;

/** Undefined: the user's program has failed, which a warning says. Rejects with CancelledError. */
export async function reportOnHost(request: HostReportRequest, options: HostCheckOptions): Promise<HostReport | undefined> {
  const { wrapper, signal, log } = options;
  if (wrapper === undefined) return { kind: 'facts', facts: hostFacts() };
  const { bytes, outcome } = await run(wrapper, request, options);
  if (signal.aborted) throw new CancelledError();
  if (outcome === undefined) return { kind: 'written', bytes };
  log.log('warn', 'host report failed', { wrapper, outcome });
  return undefined;
}

interface Run {
  readonly bytes: Uint8Array;
  /** What went wrong, in a few words; undefined if nothing did. */
  readonly outcome: string | undefined;
}

function run(program: string, request: HostReportRequest, { user, signal }: HostCheckOptions): Promise<Run> {
  const { promise, resolve } = Promise.withResolvers<Run>();
  const { arguments: parameters, environment } = request;
  const child = startUserProgram({ program, parameters, environment, user }, { stdio: ['ignore', 'pipe', 2], signal });
  if (typeof child === 'string') return Promise.resolve({ bytes: new Uint8Array(0), outcome: child });
  const pieces: Buffer[] = [];
  let length = 0;
  child.stdout?.on('data', (piece: Buffer) => {
    length += piece.length;
    if (length > MAX_REPORT_BYTES)
      child.kill('SIGKILL'); // it may not heed another
    else pieces.push(piece);
  });
  const settle = (outcome: string | undefined) => resolve({ bytes: Buffer.concat(pieces), outcome });
  child.once('error', (error) => settle(systemErrorText(error)));
  // Not with `exit`: what it has written may still be on its way.
  let timer: NodeJS.Timeout | undefined;
  child.once('exit', () => {
    timer = setTimeout(() => child.stdout?.destroy(), REST_LIMIT);
  });
  child.once('close', (status, by) => {
    clearTimeout(timer);
    if (length > MAX_REPORT_BYTES) settle(`wrote more than ${MAX_REPORT_BYTES} bytes`);
    else if (by !== null) settle(`ended by ${by}`);
    else settle(status === 0 ? undefined : `returned error ${status}`);
  });
  return promise;
}

/** What anybody on this machine can see. */
export function hostFacts(): HostFacts {
  const osVendor = process.platform === 'darwin' ? 'Apple' : process.platform === 'win32' ? 'Microsoft' : 'Linux';
  return { os: distribution() ?? `${os.type()} ${os.release()}`, osVendor, interfaces: interfaces() };
}

/** `PRETTY_NAME` of os-release(5). */
function distribution(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    return /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  } catch {
    return undefined; // not every Linux has it
  }
}

function interfaces(): HostInterface[] {
  return Object.entries(os.networkInterfaces()).flatMap(([name, all = []]) => {
    const outward = all.filter(({ internal }) => !internal);
    const [first] = outward;
    if (first === undefined) return [];
    return [{ name, mac: first.mac, addresses: outward.flatMap(({ address }) => parseIp(address) ?? []) }];
  });
}
