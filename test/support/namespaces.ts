/**
 * Network namespaces that act as separate machines, and cables between them.
 *
 * Each namespace has its own network, mounts and host name. Its /run is empty, its /etc and /var/lib are copies on write: whatever a VPN
 * program does to resolv.conf, hosts or state files stays inside. Nothing has a name outside (no /run/netns, no /etc/netns), so runs side by
 * side cannot meet, and the kernel takes everything back when the last process of a namespace ends; namespace-holder.sh sees to that,
 * also when the test is killed.
 *
 *   test ──stdin──► holder (unshare) ── the namespace ◄── nsenter ── programs
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { type Finished, type Program, type ProgramOptions, startProgram } from './program.ts';

const HOLDER = path.join(import.meta.dirname, 'namespace-holder.sh');

/** A folder for everything that a lab writes. The last of its namespaces removes it. */
export function makeLabFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-lab-'));
  mkdirSync(path.join(folder, 'holders'));
  return folder;
}

export class Namespace {
  readonly name: string;
  /** The process that holds the namespace; `nsenter --target PID --net --mount` gives a person a shell in it. */
  readonly holderPid: number;
  readonly #holder: ChildProcess;
  readonly #programs = new Set<Program>();

  private constructor(name: string, holder: ChildProcess, pid: number) {
    this.name = name;
    this.#holder = holder;
    this.holderPid = pid;
  }

  /** @param name Becomes the host name inside. Unique in its lab. */
  static async open(name: string, folder: string): Promise<Namespace> {
    const flags = ['--net', '--mount', '--uts', '--propagation', 'private'];
    // A session of its own: a signal to the process group of the test must not end the one who cleans up.
    const holder = spawn('unshare', [...flags, 'sh', HOLDER, folder, name], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    let complaint = '';
    holder.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    const ready = await Promise.race([once(holder.stdout, 'data'), once(holder, 'close').then(() => undefined)]);
    if (ready === undefined || holder.pid === undefined) throw new Error(`namespace ${name} did not open: ${complaint.trim()}`);
    // The holder lives as long as the test: it must not be what keeps the test alive.
    holder.unref();
    for (const stream of [holder.stdin, holder.stdout, holder.stderr]) if (stream instanceof Socket) stream.unref();
    return new Namespace(name, holder, holder.pid);
  }

  /** Starts a program inside; it is there when the promise resolves. The program's pid is its own: nsenter replaces itself. */
  async start(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<Program> {
    const enter = ['--target', String(this.holderPid), '--net', '--mount', '--uts', '--'];
    const name = `${path.basename(command)}@${this.name}`;
    const program = await startProgram('nsenter', [...enter, command, ...args], name, options);
    this.#programs.add(program);
    program.exited.then(() => this.#programs.delete(program));
    while (program.isRunning && nameOf(program.pid) === 'nsenter') await setImmediate(); // a millisecond or two
    return program;
  }

  /** Runs a program inside to its end, whatever that is. */
  async finish(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
    return await (await this.start(command, args, options)).finish();
  }

  /** Runs a program inside and returns its standard output. Rejects unless it ends with code 0. */
  async run(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<string> {
    const { code, signal, stdout, stderr } = await this.finish(command, args, options);
    if (code === 0) return stdout;
    throw new Error(
      `${command} ${args.join(' ')} in ${this.name} ended with ${signal ?? `code ${code}`}: ${stderr.trim() || stdout.trim()}`,
    );
  }

  /** Runs lines of `ip`, one command each, as one batch. */
  async ip(...lines: readonly string[]): Promise<void> {
    await this.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
  }

  /** Where the test finds a file of this namespace, for the functions of node:fs: `file('/etc/resolv.conf')`. */
  file(name: string): string {
    return path.join(`/proc/${this.holderPid}/root`, name);
  }

  /** The processes inside, without the holder. */
  processes(): NamespaceProcess[] {
    const own = { net: namespaceOf(this.holderPid, 'net'), mnt: namespaceOf(this.holderPid, 'mnt') };
    if (own.net === undefined || own.mnt === undefined) return []; // the namespace is closed
    const pids = readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry))
      .map(Number);
    return pids
      .filter((pid) => pid !== this.holderPid && (namespaceOf(pid, 'net') === own.net || namespaceOf(pid, 'mnt') === own.mnt))
      .flatMap((pid) => {
        const command = commandOf(pid);
        return command === undefined ? [] : [{ pid, command }];
      });
  }

  /** Ends every process inside and the namespace with it. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    // First those we know by handle: one may not have entered yet, where the holder could not see it.
    await Promise.all([...this.#programs].map((program) => program.stop({ signal: 'SIGKILL' })));
    this.#holder.ref();
    const exit = once(this.#holder, 'exit');
    this.#holder.stdin?.end();
    await exit;
  }
}

export interface NamespaceProcess {
  readonly pid: number;
  /** The command line, blanks between the words. */
  readonly command: string;
}

function namespaceOf(pid: number, kind: 'net' | 'mnt'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined; // it has ended
  }
}

/** The kernel's short name of a process; undefined if it has ended. */
function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return undefined; // it has ended
  }
}

/** The command line of a process; undefined if it has ended. */
function commandOf(pid: number): string | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
    return words.join(' ');
  } catch {
    return undefined; // it has ended
  }
}

/** One end of a cable. */
export interface LinkEnd {
  readonly namespace: Namespace;
  readonly device: string;
  /** With prefix lengths: `192.0.2.2/24`. */
  readonly addresses: readonly string[];
}

const CARRIER_DEADLINE: Millis = 30_000;
const CARRIER_POLL: Millis = 20;

/** A cable between two namespaces. */
export class Link {
  readonly ends: readonly [LinkEnd, LinkEnd];

  private constructor(ends: readonly [LinkEnd, LinkEnd]) {
    this.ends = ends;
  }

  static async connect(a: LinkEnd, b: LinkEnd): Promise<Link> {
    await a.namespace.ip(`link add ${a.device} type veth peer name ${b.device} netns ${b.namespace.holderPid}`);
    for (const { namespace, device, addresses } of [a, b]) {
      await namespace.ip(...addresses.map((address) => `address add ${address} dev ${device}`), `link set ${device} up`);
    }
    const link = new Link([a, b]);
    await link.#carriesPackets();
    return link;
  }

  /**
   * Pulls the cable as the namespace at this end sees it: no carrier, addresses and routes stay.
   * The other end's device goes down, and with it those of its routes over this cable that {@link connect} did not make.
   */
  async unplug(end: Namespace): Promise<void> {
    await this.#otherEnd(end).namespace.ip(`link set ${this.#otherEnd(end).device} down`);
  }

  async plug(end: Namespace): Promise<void> {
    await this.#otherEnd(end).namespace.ip(`link set ${this.#otherEnd(end).device} up`);
    await this.#carriesPackets();
  }

  /** Pulls the cable for a while. */
  async unplugFor(end: Namespace, duration: Millis): Promise<void> {
    await this.unplug(end);
    await setTimeout(duration);
    await this.plug(end);
  }

  /**
   * Waits until the kernel has noticed the carrier at both ends. It works such news off once a second, and IPv6 is deaf until then;
   * reading `carrier` makes a recent kernel look at once.
   */
  async #carriesPackets(): Promise<void> {
    const deadline = Date.now() + CARRIER_DEADLINE;
    for (const { namespace, device } of this.ends) {
      const folder = namespace.file(`/sys/class/net/${device}`);
      while (readFileSync(`${folder}/carrier`, 'utf8') !== '1\n' || readFileSync(`${folder}/operstate`, 'utf8') !== 'up\n') {
        if (Date.now() > deadline) throw new Error(`${device} in ${namespace.name} has no carrier`);
        await setTimeout(CARRIER_POLL);
      }
    }
  }

  #otherEnd(end: Namespace): LinkEnd {
    const [a, b] = this.ends;
    return a.namespace === end ? b : a;
  }
}
