/** What is true of the machine before we change it: links, routes, and who answers for DNS. Read in one go, so that planning is a pure function. */
import { SallyportError } from '../../core/errors.ts';
import { type ProgramResult, reasonOfResult } from '../processes/run-program.ts';
import { type MachineLink, parseLinks, parseRoutes } from './ip-json.ts';
import type { Machine } from './machine.ts';
import { type Resolver, readResolver } from './resolver.ts';
import type { MachineRoute } from './routes.ts';

/** What `ip` can see and change. */
export interface RoutingFacts {
  readonly links: readonly MachineLink[];
  /** The main table, both families. */
  readonly routes: readonly MachineRoute[];
}

/** All that a plan depends on. */
export interface NetworkFacts extends RoutingFacts {
  /** Whether the tunnel's device may have IPv6 addresses. */
  readonly hasIpv6: boolean;
  readonly resolver: Resolver;
}

/** Reads the facts that concern a tunnel on `device`. Throws {@link SallyportError} if the machine does not answer. */
export async function readFacts(machine: Machine, device: string): Promise<NetworkFacts> {
  const disabled = await machine.readFile(`/proc/sys/net/ipv6/conf/${device}/disable_ipv6`);
  return { ...(await readRoutingFacts(machine)), hasIpv6: disabled?.trim() === '0', resolver: await readResolver(machine) };
}

export async function readRoutingFacts(machine: Machine): Promise<RoutingFacts> {
  return { links: await readLinks(machine), routes: await readRoutes(machine) };
}

export async function readLinks(machine: Machine): Promise<readonly MachineLink[]> {
  return parseLinks(await outputOf(machine, ['-json', 'address', 'show']));
}

export async function readRoutes(machine: Machine): Promise<readonly MachineRoute[]> {
  const ipv4 = parseRoutes(await outputOf(machine, ['-json', '-4', 'route', 'show', 'table', 'main']), 4);
  if ((await machine.readFile('/proc/sys/net/ipv6/conf/all/disable_ipv6')) === null) return ipv4; // a kernel without IPv6
  const ipv6 = parseRoutes(await outputOf(machine, ['-json', '-6', 'route', 'show', 'table', 'main']), 6);
  return [...ipv4, ...ipv6];
}

async function outputOf(machine: Machine, args: readonly string[]): Promise<string> {
  const result: ProgramResult = await machine.run('ip', args);
  if (result.status !== 0) throw new SallyportError('ERR_PROGRAM', `"ip ${args.join(' ')}" failed: ${reasonOfResult(result)}`);
  return result.stdout;
}
