/**
 * `sallyport exec`: one program whose connections go through the VPN, as its environment names a proxy or (`--netns`) as it has no other network.
 *
 *   proxy or namespace ─► log-in ─► tunnel up ─► program … ends ─► log-off ─► its exit code
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import type { ConnectOptions } from '../../client/connect-options.ts';
import { VpnProxy } from '../../client/proxy/vpn-proxy.ts';
import { Vpn } from '../../client/vpn.ts';
import { MisuseError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { ExecArguments } from './arguments.ts';
import { tunnelOptions } from './client-options.ts';
import { commandScene } from './command-scene.ts';
import { ConnectionCommand } from './connection-command.ts';
import { explainError } from './explanation.ts';
import { HOLD_NAMESPACE } from './hold-namespace.ts';
import { userRules } from './proxy-command.ts';
import { placeText } from './proxy-text.ts';

/** As shells have them. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
const SIGNAL_BASE = 128;

/** For what a program has sent to arrive, once it has ended. */
const SETTLE_LIMIT: Millis = 5_000;

/** How a program's connections come into the VPN. */
interface WayIn extends AsyncDisposable {
  readonly device: NonNullable<ConnectOptions['device']>;
  /** Before the log-in. */
  open(vpn: Vpn): Promise<void>;
  /** The tunnel is up: what to run, and what is added to its environment. */
  program(config: TunnelConfig): Promise<{ readonly words: readonly string[]; readonly env: Readonly<Record<string, string>> }>;
  /** Resolves when what it has sent has arrived. May reject when the signal aborts. */
  settled(signal: AbortSignal): Promise<void>;
}

/** Resolves with the program's exit code, or with why it was not run. */
export async function runExec(host: string, words: readonly string[], given: ExecArguments): Promise<number> {
  const cancel = new AbortController();
  const scene = commandScene(given, { configuresNetwork: false, goesToBackground: true, signal: cancel.signal });
  const { reporter } = scene;
  let vpn: Vpn | undefined;
  let child: RunningProgram | undefined;
  let failure: unknown;
  const command = new ConnectionCommand(reporter, cancel, {
    onUp: () => void start(),
    takesSignal: (signal) => child?.takesSignal(signal) ?? false,
  });
  const log: Logger = { log: (level, event, fields) => command.log(level, event, fields) };
  let way: WayIn | undefined;
  const start = async () => {
    try {
      if (way === undefined || vpn?.config === undefined) return;
      const program = await way.program(vpn.config);
      if (cancel.signal.aborted || vpn.state === 'closed') return; // it was over before the program had begun
      const isStdinTaken = given.passwordStdin === true || given.cookieStdin === true || given.keyPasswordStdin === true;
      child = new RunningProgram(words[0] ?? '', program, isStdinTaken, (text) => reporter.problem(text));
      await child.ended;
      await settled(way, cancel.signal);
    } catch (error) {
      failure = error;
    }
    await vpn?.close();
  };
  try {
    way = given.netns ? await namespaceWay(words) : proxyWay(words, given, log);
    if (!given.cookieStdin) reporter.starting(host);
    const options = await tunnelOptions(host, given, { ...scene, signal: cancel.signal, log });
    vpn = await Vpn.create(host, { ...options, device: way.device });
    await way.open(vpn);
    const code = await command.run(vpn);
    if (failure !== undefined) throw failure;
    if (child === undefined) return code;
    const hasEnded = child.hasEnded;
    child.terminate(); // the VPN ended first
    const own = await child.ended;
    return hasEnded ? own : code;
  } catch (error) {
    return command.end(explainError(error, 'logging in'));
  } finally {
    await way?.[Symbol.asyncDispose]();
  }
}

/** Resolves when that has settled, or there is no more time for it. */
async function settled(way: WayIn, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  try {
    await Promise.race([way.settled(either), setTimeout(SETTLE_LIMIT, undefined, { signal: either })]);
  } catch {
    // cancelled
  } finally {
    over.abort();
  }
}

function proxyWay(words: readonly string[], given: ExecArguments, log: Logger): WayIn {
  const rules = userRules(given);
  let proxy: VpnProxy | undefined;
  return {
    device: 'userspace',
    async open(vpn) {
      proxy = await VpnProxy.open(vpn, { port: 0, rules, log });
    },
    async program() {
      if (proxy === undefined) throw new MisuseError('the proxy is opened before the connection');
      return { words, env: proxyEnvironment(placeText(proxy.places.proxy)) };
    },
    async settled() {
      await proxy?.counters.settled();
    },
    async [Symbol.asyncDispose]() {
      await proxy?.close();
    },
  };
}

async function namespaceWay(words: readonly string[]): Promise<WayIn> {
  const { ProgramNamespace } = await import('../../node/network/program-namespace.ts');
  const namespace = await ProgramNamespace.open([process.execPath, ...process.execArgv, process.argv[1] ?? '', HOLD_NAMESPACE]);
  return {
    device: namespace.interface,
    async open() {}, // it is open
    async program(config) {
      await namespace.configure(config);
      return { words: namespace.words(words), env: {} };
    },
    settled: (signal) => namespace.settled(signal),
    async [Symbol.asyncDispose]() {
      namespace.close();
    },
  };
}

/** What programs look for; both cases are in use. */
function proxyEnvironment(place: string): Record<string, string> {
  const values = {
    ALL_PROXY: `socks5h://${place}`,
    HTTP_PROXY: `http://${place}`,
    HTTPS_PROXY: `http://${place}`,
    NO_PROXY: 'localhost,127.0.0.1,::1',
  };
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => [
      [name, value],
      [name.toLowerCase(), value],
    ]),
  );
}

/** Signals for the program that a terminal has sent to it as well. */
const OF_TERMINALS: readonly NodeJS.Signals[] = ['SIGINT', 'SIGHUP'];

class RunningProgram {
  /** Resolves with the exit code. Never rejects. */
  readonly ended: Promise<number>;
  readonly #child: ChildProcess;
  #hasEnded = false;

  /** `name`: for people. */
  constructor(
    name: string,
    { words: [program = '', ...args], env }: Awaited<ReturnType<WayIn['program']>>,
    isStdinTaken: boolean,
    say: (text: string) => void,
  ) {
    const child = spawn(program, args, {
      stdio: [isStdinTaken ? 'ignore' : 'inherit', 'inherit', 'inherit'],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    const code = new Promise<number>((resolve) => {
      child.once('error', (error: NodeJS.ErrnoException) => {
        if (child.pid !== undefined) return; // a signal that could not be sent
        say(`The program ${name} could not be started: ${systemErrorText(error)}.`);
        resolve(error.code === 'ENOENT' ? NOT_FOUND : NOT_EXECUTABLE);
      });
      child.once('exit', (status, signal) => resolve(status ?? SIGNAL_BASE + (signal === null ? 0 : constants.signals[signal])));
    });
    this.ended = code.then((value) => {
      this.#hasEnded = true;
      return value;
    });
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  takesSignal(signal: NodeJS.Signals): boolean {
    if (this.#hasEnded) return false;
    const isOnTerminal = process.stdin.isTTY || process.stderr.isTTY;
    if (!(isOnTerminal && OF_TERMINALS.includes(signal))) this.#child.kill(signal);
    return true;
  }

  terminate(): void {
    if (!this.#hasEnded) this.#child.kill('SIGTERM');
  }
}
