/**
 * A network namespace with a LAN, a default route in both families, a tun device that nobody reads, and a resolv.conf of its own; and a
 * process in it that does what the test asks. Needs root.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { AgentCommand, AgentReply } from './agent.ts';
import { RESOLV_CONF_BEFORE } from './samples.ts';

let count = 0;

export class Namespace {
  readonly name: string = `sallyport-${process.pid}-${++count}`;
  readonly #agents: Agent[] = [];

  constructor() {
    mkdirSync(`/etc/netns/${this.name}`, { recursive: true });
    writeFileSync(this.resolvConf, RESOLV_CONF_BEFORE);
    execFileSync('ip', ['netns', 'add', this.name]);
    this.ip('link set dev lo up');
    this.ip('link add eth0 type veth peer name lan0');
    for (const link of ['eth0', 'lan0']) this.ip(`link set dev ${link} addrgenmode none up`);
    this.ip('address add 192.0.2.10/24 dev eth0');
    this.ip('-6 address add 2001:db8:1::10/64 dev eth0 nodad');
    this.ip('route add default via 192.0.2.1');
    this.ip('-6 route add default via 2001:db8:1::1');
    this.ip('tuntap add tun0 mode tun');
  }

  /** The file that is mounted over /etc/resolv.conf. */
  get resolvConf(): string {
    return `/etc/netns/${this.name}/resolv.conf`;
  }

  /** Runs `ip` in the namespace; the words are separated by blanks. */
  ip(words: string): string {
    return execFileSync('ip', ['-n', this.name, ...words.split(' ')], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** The device and the router that the kernel chooses for an address. */
  wayTo(address: string): string {
    const [way] = JSON.parse(this.ip(`-json route get ${address}`)) as { dev: string; gateway?: string }[];
    return `${way?.dev}${way?.gateway === undefined ? '' : ` via ${way.gateway}`}`;
  }

  /** The routes of one family as text, without what says how they do. */
  routes(family: 4 | 6): string[] {
    const lines = this.ip(`-${family} route show`).trimEnd().split('\n');
    return lines.map((line) => line.replace(/ linkdown| pref medium| scope link/g, '').trim()).filter((line) => line !== '');
  }

  /** The addresses, MTU and state of the tunnel's device; undefined if it is gone. */
  tunnel(): { mtu: number; isUp: boolean; addresses: string[] } | undefined {
    const links = JSON.parse(this.ip('-json address show')) as {
      ifname: string;
      mtu: number;
      flags: string[];
      addr_info: { local: string; prefixlen: number }[];
    }[];
    const link = links.find(({ ifname }) => ifname === 'tun0');
    if (link === undefined) return undefined;
    return {
      mtu: link.mtu,
      isUp: link.flags.includes('UP'),
      addresses: link.addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    };
  }

  resolvConfText(): string {
    return readFileSync(this.resolvConf, 'utf8');
  }

  /** All that a set-up may change. */
  snapshot(): { ipv4: string[]; ipv6: string[]; tunnel: ReturnType<Namespace['tunnel']>; resolvConf: string } {
    return { ipv4: this.routes(4), ipv6: this.routes(6), tunnel: this.tunnel(), resolvConf: this.resolvConfText() };
  }

  /** Starts a process in the namespace. `kill`: at which of its changes it kills itself, and whether before, during or after that. */
  agent(directory: string, kill?: string): Agent {
    const agent = new Agent(this.name, directory, kill);
    this.#agents.push(agent);
    return agent;
  }

  async close(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.close()));
    execFileSync('ip', ['netns', 'delete', this.name]);
    rmSync(`/etc/netns/${this.name}`, { recursive: true });
  }
}

export class Agent {
  readonly process: ChildProcess;
  readonly #replies: AsyncIterator<string>;

  constructor(namespace: string, directory: string, kill: string | undefined) {
    const program = path.join(import.meta.dirname, 'agent.ts');
    this.process = spawn('ip', ['netns', 'exec', namespace, process.execPath, program, directory, ...(kill === undefined ? [] : [kill])], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    assert.ok(this.process.stdin !== null && this.process.stdout !== null);
    this.process.stdin.on('error', () => undefined); // it died: the missing answer says so
    this.#replies = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Asks for something and returns the answer; rejects if the process has refused it, undefined if it died over it. */
  async ask(command: AgentCommand): Promise<unknown> {
    this.process.stdin?.write(`${JSON.stringify(command)}\n`);
    return await this.next();
  }

  /** The next thing it says. */
  async next(): Promise<unknown> {
    const { value } = await this.#replies.next();
    if (value === undefined) return undefined;
    const reply = JSON.parse(value) as AgentReply;
    if ('error' in reply) throw new Error(reply.error);
    return reply.result;
  }

  /** Kills it, so that it cannot clean up. `ip netns exec` has become the process itself. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.ended();
  }

  async ended(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) await once(this.process, 'exit');
  }

  async close(): Promise<void> {
    this.process.stdin?.end();
    await this.ended();
  }
}
