/**
 * The process that tests start in a namespace: reads commands as JSON lines, answers each with one line. It ends with its input.
 *
 *   node agent.ts STATE-DIRECTORY [N:before|during|after]      kills itself at its N-th change of the machine
 */
import { createInterface } from 'node:readline';
import type { TunnelConfig } from '../../../src/core/tunnel/config.ts';
import { NetworkConfigurator } from '../../../src/node/network/configurator.ts';
import { type Machine, thisMachine } from '../../../src/node/network/machine.ts';
import { recover } from '../../../src/node/network/recover.ts';
import { ScriptRunner } from '../../../src/node/network/script-runner.ts';
import { ScriptSession } from '../../../src/node/network/script-session.ts';
import { type UnderlayWatch, watchUnderlay } from '../../../src/node/network/underlay-watch.ts';
import { cidr, ip, tunnel } from './samples.ts';

/** The parts of a configuration that tests choose; the rest is that of {@link tunnel}. */
export interface AgentConfig {
  readonly only?: 4 | 6;
  readonly mtu?: number;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly dns?: readonly string[];
  readonly searchDomains?: readonly string[];
}

export type AgentCommand =
  | { readonly do: 'apply' | 'update'; readonly config?: AgentConfig; readonly gateway: string }
  | { readonly do: 'undo' | 'recover' | 'unwatch' }
  | { readonly do: 'watch'; readonly gateway: string }
  | { readonly do: 'script'; readonly command: string; readonly set: Readonly<Record<string, string>> };

export type AgentReply = { readonly result: unknown } | { readonly error: string };

export function agentConfig({ include = [], exclude = [], dns, ...rest }: AgentConfig): TunnelConfig {
  return tunnel({ ...rest, include: include.map(cidr), exclude: exclude.map(cidr), ...(dns === undefined ? {} : { dns: dns.map(ip) }) });
}

/** This machine, with a process that dies at its n-th change of it. */
function mortal(machine: Machine, when: string | undefined): Machine {
  const [at, how] = (when ?? '').split(':');
  let changes = 0;
  const change = async <T>(work: () => Promise<T>): Promise<T> => {
    if (String(changes++) !== at) return await work();
    const die = (): never => {
      process.kill(process.pid, 'SIGKILL');
      throw new Error('unreachable');
    };
    if (how === 'before') die();
    const working = work();
    if (how === 'during') die();
    await working;
    return die();
  };
  return {
    ...machine,
    run: (program, args, options) =>
      args.includes('-batch') ? change(() => machine.run(program, args, options)) : machine.run(program, args, options),
    replaceFile: (...args) => change(() => machine.replaceFile(...args)),
  };
}

const [directory = '', kill] = process.argv.slice(2);
let network: NetworkConfigurator | undefined;
let watch: UnderlayWatch | undefined;
let session: ScriptSession | undefined;

async function perform(command: AgentCommand): Promise<unknown> {
  switch (command.do) {
    case 'apply':
      network = new NetworkConfigurator({ device: 'tun0', gateway: ip(command.gateway), directory, machine: mortal(thisMachine, kill) });
      return await network.apply(agentConfig(command.config ?? {}));
    case 'update':
      return await network?.update({
        gateway: ip(command.gateway),
        ...(command.config === undefined ? {} : { config: agentConfig(command.config) }),
      });
    case 'undo':
      return await network?.undo();
    case 'recover':
      return await recover({ directory, scriptOutput: 'ignore' });
    case 'watch':
      watch = await watchUnderlay({ gateway: ip(command.gateway), device: 'tun0', localAddress: ip('192.0.2.10') }, (state) =>
        say({ result: state }),
      );
      return watch.state;
    case 'unwatch':
      return await watch?.close();
    case 'script':
      session ??= new ScriptSession(new ScriptRunner({ command: command.command, stdin: 'ignore', stdout: 'ignore' }), { directory });
      return await session.run({ set: { VPNPID: String(process.pid), ...command.set }, unset: [] });
  }
}

function say(reply: AgentReply): void {
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

if (import.meta.main) {
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      say({ result: (await perform(JSON.parse(line) as AgentCommand)) ?? null });
    } catch (error) {
      say({ error: error instanceof Error ? error.message : String(error) });
    }
  }
}
