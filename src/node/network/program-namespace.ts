/**
 * A network of its own for one program and what it starts, with no way out but a TUN interface whose other end is ours. Made by an ordinary user.
 *
 * Read first: user_namespaces(7), network_namespaces(7), mount_namespaces(7); unshare(1), nsenter(1).
 *
 *   this process                      user, network and mount namespace
 *   descriptor ◄── pidfd_getfd ─── holder (namespace-holder.ts): opened tun0, stays
 *   ip, mount  ─── nsenter ─────►  addresses, routes, /etc/resolv.conf
 *   program    ─── nsenter ─────►  unshare: as the user it was started by, with no rights in the network
 *
 * The holder and the programs are all that keeps the namespace; when the TUN's last descriptor is closed the programs have no network, never the
 * machine's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { SallyportError } from '../../core/errors.ts';
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import { type Cidr, formatCidr, formatIp, type IpAddress } from '../../core/wire/ip-address.ts';
import { takeDescriptor } from '../ffi/foreign-descriptor.ts';
import type { TunOffloads } from '../ffi/tun.ts';
import { programFolders, reasonOfResult, runProgram } from '../processes/run-program.ts';
import { untilSent } from './unsent-data.ts';

/** How many name servers the C library asks (MAXNS in resolv.h). */
const MAX_NAME_SERVERS = 3;

/** Sockets by which programs would ask the machine's resolver, past the VPN: hidden. */
const RESOLVER_FOLDERS = ['/run/systemd/resolve', '/run/nscd', '/var/run/nscd', '/run/avahi-daemon', '/var/run/avahi-daemon'];

/** The interface in the namespace. */
export interface NamespaceInterface {
  readonly name: string;
  readonly descriptor: number;
  readonly offloads: TunOffloads;
  readonly setMtu: (mtu: number) => Promise<void>;
}

export class ProgramNamespace implements Disposable {
  /** For the connection: a descriptor of this process, which is whoever's who adopts it. The interface gets its addresses by {@link configure}. */
  readonly interface: NamespaceInterface;
  readonly #holder: ChildProcess;
  readonly #pid: number;
  readonly #folder: string;

  /**
   * `holder`: the command that calls {@link holdNamespace}. Rejects with SallyportError (`ERR_NAMESPACE`) where this user or this machine may not have
   * one, with what to do about it.
   */
  static async open(holder: readonly string[]): Promise<ProgramNamespace> {
    const [child, held] = await startHolder(holder);
    try {
      return new ProgramNamespace(child, held);
    } catch (error) {
      child.stdin?.end();
      throw error;
    }
  }

  private constructor(holder: ChildProcess, { fd, name, offloads }: Held) {
    this.#holder = holder;
    this.#pid = holder.pid as number; // it has spoken
    this.interface = {
      name,
      descriptor: takeDescriptor(this.#pid, fd),
      offloads,
      setMtu: (mtu) => this.#inside('ip', ['link', 'set', 'dev', name, 'mtu', String(mtu)]),
    };
    this.#folder = mkdtempSync(path.join(tmpdir(), 'sallyport-namespace-')); // last: nobody removes it if this throws
  }

  /** Addresses, routes and names as the gateway says; what it leaves outside the tunnel cannot be reached. Rejects with SallyportError. */
  async configure(config: TunnelConfig): Promise<void> {
    const { name } = this.interface;
    const families = [config.ipv4, config.ipv6].flatMap((each) => (each === undefined ? [] : [each.address]));
    const lines = [
      'link set dev lo up',
      `link set dev ${name} mtu ${config.mtu} up`,
      ...families.map((address) => `address add ${hostText(address)} dev ${name}${address.family === 6 ? ' nodad' : ''}`),
      ...families.flatMap(({ family }) => networksOf(family, config.include).map((to) => `route replace ${to} dev ${name}`)),
      ...config.exclude.map((network) => `route replace unreachable ${formatCidr(network)}`),
    ];
    await this.#inside('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
    // ping without raw sockets, for the one group there is (icmp(7)). Where the kernel does not let us, ping says so.
    await runProgram('nsenter', [...this.#enter(), 'sysctl', '-qw', 'net.ipv4.ping_group_range=0 0']);
    await this.#giveNames(config);
  }

  /** The words that run a program inside: as the user that this process is, and without the rights that made the namespace. */
  words(program: readonly string[]): string[] {
    const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
    return ['nsenter', ...this.#enter(), 'unshare', '--user', `--map-user=${uid}`, `--map-group=${gid}`, '--', ...program];
  }

  /** Resolves when the kernel has delivered what its programs have sent, also those that have ended. Rejects when the signal aborts. */
  settled(signal: AbortSignal): Promise<void> {
    return untilSent(this.#pid, signal);
  }

  /** Programs that still run have a network until the interface's descriptor is closed. Safe to call twice. */
  close(): void {
    this.#holder.stdin?.end();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #giveNames({ dns, searchDomains }: TunnelConfig): Promise<void> {
    const search = searchDomains.length === 0 ? [] : [`search ${searchDomains.join(' ')}`];
    const lines = [...dns.slice(0, MAX_NAME_SERVERS).map((server) => `nameserver ${formatIp(server)}`), ...search];
    // The second is what /etc/resolv.conf may be a link to.
    for (const name of ['resolv.conf', 'stub-resolv.conf']) writeFileSync(path.join(this.#folder, name), `${lines.join('\n')}\n`);
    for (const folder of RESOLVER_FOLDERS.filter((each) => existsSync(each))) await this.#inside('mount', ['--bind', this.#folder, folder]);
    await this.#inside('mount', ['--bind', path.join(this.#folder, 'resolv.conf'), '/etc/resolv.conf']);
  }

  async #inside(program: string, args: readonly string[], input = ''): Promise<void> {
    const result = await runProgram('nsenter', [...this.#enter(), program, ...args], { input });
    if (result.status === 0) return;
    throw new SallyportError('ERR_NAMESPACE', `The network of the program could not be set up: ${program}: ${reasonOfResult(result)}.`);
  }

  #enter(): string[] {
    return ['--target', String(this.#pid), '--user', '--net', '--mount', '--preserve-credentials', '--'];
  }
}

/** What the holder says first. */
interface Held {
  readonly fd: number;
  readonly name: string;
  readonly offloads: TunOffloads;
}

async function startHolder(holder: readonly string[]): Promise<[ChildProcess, Held]> {
  const flags = ['--user', '--map-root-user', '--net', '--mount', '--'];
  const child = spawn('unshare', [...flags, ...holder], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, PATH: programFolders().join(path.delimiter) },
    detached: true, // Ctrl-C at the terminal is the program's: its network stays until it has ended
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (complaint.length < MAX_COMPLAINT) complaint += text;
  });
  child.stdin.on('error', () => undefined); // it has ended
  const { promise, resolve, reject } = Promise.withResolvers<Held>();
  createInterface({ input: child.stdout }).once('line', (line) => resolve(parseHeld(line)));
  const failed = (why: string) => reject(new SallyportError('ERR_NAMESPACE', `${CANNOT} (${why.trim()}). ${ADVICE}`));
  child.once('error', (error) => failed(error.message));
  child.once('close', (status) => failed(complaint === '' ? `status ${status}` : complaint));
  return [child, await promise];
}

const MAX_COMPLAINT = 1_000;
const CANNOT = 'This user cannot have a network of its own for the program';
const ADVICE =
  'It needs Linux with user namespaces for everybody (sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; in a container its seccomp profile), /dev/net/tun, koffi, and util-linux. Without --netns it goes by a proxy.';

function parseHeld(line: string): Held {
  return JSON.parse(line) as Held; // our own process says it
}

function hostText(address: IpAddress): string {
  return formatCidr({ address, prefix: address.bytes.length * 8 });
}

/** None of a family: all of it. */
function networksOf(family: 4 | 6, include: readonly Cidr[]): string[] {
  const own = include.filter(({ address }) => address.family === family).map(formatCidr);
  return own.length > 0 ? own : [family === 4 ? '0.0.0.0/0' : '::/0'];
}
