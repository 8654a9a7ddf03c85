/**
 * A machine in memory that understands the commands the configurator runs, as the kernel and the services would, and can refuse or crash at any
 * of them. Its whole state can be compared with what it was.
 */
import { parseIp } from '../../../src/core/wire/ip-address.ts';
import type { Machine } from '../../../src/node/network/machine.ts';
import type { ProgramResult, RunOptions } from '../../../src/node/processes/run-program.ts';

export interface FakeRoute {
  readonly dst: string;
  readonly dev: string;
  readonly gateway?: string;
  readonly metric?: number;
  readonly prefsrc?: string;
  readonly protocol?: string;
  readonly flags?: readonly string[];
}

export interface FakeLink {
  readonly index: number;
  readonly mtu: number;
  readonly isUp: boolean;
  readonly addresses: readonly string[];
}

/** Where to fail: at the n-th change of the machine, counting from 0. */
export interface Trouble {
  readonly at: number;
  /** refuse: the change is turned down; crash: nothing after this happens; `after`: the change itself still did. */
  readonly how: 'refuse' | 'crash-before' | 'crash-after';
}

/** What a process that is gone would do: nothing. */
class CrashedError extends Error {}

const OK: ProgramResult = { status: 0, signal: null, stdout: '', stderr: '' };

export class FakeMachine implements Machine {
  readonly links: Map<string, FakeLink>;
  routes: readonly FakeRoute[];
  readonly files: Map<string, string>;
  /** What resolved, resolvconf and NetworkManager have been told. */
  readonly services = new Map<string, string>();
  readonly programs = new Set(['ip']);
  sharesNetwork = true;
  trouble: Trouble | undefined;
  /** Every change asked for, as the words of its command. */
  readonly changes: string[] = [];
  #crashed = false;

  constructor(links: Readonly<Record<string, FakeLink>>, routes: readonly FakeRoute[], files: Readonly<Record<string, string>>) {
    this.links = new Map(Object.entries(links));
    this.routes = routes;
    this.files = new Map(
      Object.entries({ '/proc/sys/net/ipv6/conf/all/disable_ipv6': '0\n', '/proc/sys/net/ipv6/conf/tun0/disable_ipv6': '0\n', ...files }),
    );
  }

  /** All of the state, in an order that does not depend on how it came about. */
  snapshot(): unknown {
    return {
      links: [...this.links].map(([name, link]) => [name, { ...link, addresses: link.addresses.toSorted() }]).toSorted(),
      routes: this.routes.map((route) => JSON.stringify(route, Object.keys(route).toSorted())).toSorted(),
      files: [...this.files].toSorted(),
      services: [...this.services].toSorted(),
    };
  }

  /** The process dies with its tunnel: the device goes, and with it all that is on it. */
  removeLink(name: string): void {
    this.links.delete(name);
    this.routes = this.routes.filter(({ dev }) => dev !== name);
    this.services.delete(`resolved ${name}`);
  }

  /** Another process may work with the machine again. */
  revive(): void {
    this.#crashed = false;
    this.trouble = undefined;
  }

  readonly run = async (program: string, args: readonly string[], options: RunOptions = {}): Promise<ProgramResult> => {
    this.#live();
    const words = args.join(' ');
    if (program === 'ip' && words === '-json address show') return { ...OK, stdout: this.#addressJson() };
    if (program === 'ip' && args[0] === '-json' && args[2] === 'route') return { ...OK, stdout: this.#routeJson(args[1] === '-6') };
    if (program === 'ip' && args.includes('-batch')) return this.#batch(options.input ?? '', args.includes('-force'));
    if (program === 'resolvectl' && words === 'dns')
      return this.services.has('resolved') ? OK : { ...OK, status: 1, stderr: 'not running' };
    if (!this.programs.has(program)) throw new Error(`unexpected program ${program} ${words}`);
    return this.#change(`${program} ${words}`, () => this.#service(program, args, options.input ?? ''));
  };

  readonly findProgram = async (name: string): Promise<string | undefined> => (this.programs.has(name) ? `/usr/bin/${name}` : undefined);
  readonly resolveLinks = async (file: string): Promise<string> => this.files.get(`link ${file}`) ?? file;
  readonly sharesNetworkWithServices = async (): Promise<boolean> => this.sharesNetwork;

  /** Devices whose offloads were taken back. */
  readonly reset: string[] = [];
  readonly resetDevice = async (name: string): Promise<void> => {
    this.#live();
    this.reset.push(name);
  };

  readonly readFile = async (file: string): Promise<string | null> => {
    this.#live();
    return this.files.get(file) ?? null;
  };

  readonly replaceFile = async (file: string, content: string | null): Promise<void> => {
    const result = this.#change(`write ${file}`, () => {
      if (content === null) this.files.delete(file);
      else this.files.set(file, content);
      return undefined;
    });
    if (result.status !== 0) throw new Error(result.stderr);
  };

  readonly discardTemporary = async (): Promise<void> => this.#live();

  /** Which device, and which router, a packet to this address would take; undefined: none. */
  lookup(address: string): { readonly dev: string; readonly gateway?: string; readonly prefix: number } | undefined {
    const bits = bitsOf(address);
    const matching = this.routes
      .filter((route) => isIpv6(route) === address.includes(':'))
      .map((route) => ({ route, network: networkBits(route.dst) }))
      .filter(({ network }) => bits.startsWith(network))
      .toSorted((a, b) => b.network.length - a.network.length || (a.route.metric ?? 0) - (b.route.metric ?? 0));
    const best = matching[0];
    if (best === undefined) return undefined;
    const { dev, gateway } = best.route;
    return { dev, ...(gateway === undefined ? {} : { gateway }), prefix: best.network.length };
  }

  #live(): void {
    if (this.#crashed) throw new CrashedError('the process is gone');
  }

  /** One change: counted, and refused or cut off where that was asked for. */
  #change(what: string, effect: () => string | undefined): ProgramResult {
    this.#live();
    const trouble = this.trouble?.at === this.changes.length ? this.trouble.how : undefined;
    this.changes.push(what);
    if (trouble === 'refuse') return { ...OK, status: 2, stderr: 'RTNETLINK answers: Operation not permitted' };
    if (trouble === 'crash-before') this.#crashed = true;
    this.#live();
    const problem = effect();
    if (trouble === 'crash-after') this.#crashed = true;
    this.#live();
    return problem === undefined ? OK : { ...OK, status: 2, stderr: problem };
  }

  #batch(input: string, force: boolean): ProgramResult {
    let failed: ProgramResult | undefined;
    for (const [i, line] of input.trim().split('\n').entries()) {
      const result = this.#change(`ip ${line}`, () => this.#ip(line.split(' ')));
      if (result.status === 0) continue;
      failed ??= { ...result, stderr: `${result.stderr}\nCommand failed -:${i + 1}\n` };
      if (!force) break;
    }
    return failed ?? OK;
  }

  #ip([object, verb, ...words]: readonly string[]): string | undefined {
    if (object === 'link') return this.#setLink(words);
    if (object === 'address') return this.#setAddress(verb === 'add', words);
    return this.#setRoute(String(verb), words);
  }

  #setLink(words: readonly string[]): string | undefined {
    const [, name = '', , mtu, state] = words;
    const link = this.links.get(name);
    if (link === undefined) return `Cannot find device "${name}"`;
    this.links.set(name, { ...link, mtu: Number(mtu), isUp: state === 'up' });
    if (state === 'down') this.routes = this.routes.filter(({ dev }) => dev !== name);
    return undefined;
  }

  #setAddress(isAdd: boolean, [address = '', , name = '']: readonly string[]): string | undefined {
    const link = this.links.get(name);
    if (link === undefined) return `Cannot find device "${name}"`;
    if (link.addresses.includes(address) === isAdd)
      return isAdd ? 'RTNETLINK answers: File exists' : 'RTNETLINK answers: Cannot assign requested address';
    this.links.set(name, { ...link, addresses: isAdd ? [...link.addresses, address] : link.addresses.filter((one) => one !== address) });
    return undefined;
  }

  #setRoute(verb: string, words: readonly string[]): string | undefined {
    const route = routeOf(words);
    if (!this.links.has(route.dev)) return `Cannot find device "${route.dev}"`;
    if (verb === 'delete') {
      const found = this.routes.find((one) => isSameSlot(one, route) && one.dev === route.dev && one.gateway === route.gateway);
      this.routes = this.routes.filter((one) => one !== found);
      return found === undefined ? 'RTNETLINK answers: No such process' : undefined;
    }
    if (this.links.get(route.dev)?.isUp === false) return 'RTNETLINK answers: Network is down';
    const inPlace = this.routes.find((one) => isSameSlot(one, route));
    if (inPlace !== undefined && verb === 'add') return 'RTNETLINK answers: File exists';
    this.routes = [...this.routes.filter((one) => one !== inPlace), route];
    return undefined;
  }

  #service(program: string, args: readonly string[], input: string): string | undefined {
    const [verb = '', name = '', ...rest] = args;
    if (program === 'resolvectl') {
      const key = `resolved ${name}`;
      if (verb === 'revert') this.services.delete(key);
      else
        this.services.set(
          key,
          [
            ...(this.services
              .get(key)
              ?.split('; ')
              .filter((line) => !line.startsWith(verb)) ?? []),
            [verb, ...rest].join(' '),
          ].join('; '),
        );
    }
    if (program === 'resolvconf' && verb === '-a') this.services.set(`resolvconf ${name}`, input);
    if (program === 'resolvconf' && verb === '-f') this.services.delete(`resolvconf ${rest[0]}`);
    if (program === 'resolvconf' && verb === '-d')
      return this.services.delete(`resolvconf ${name}`) ? undefined : `No resolv.conf for interface ${name}`;
    return undefined;
  }

  #addressJson(): string {
    return JSON.stringify(
      [...this.links].map(([ifname, { index, mtu, isUp, addresses }]) => ({
        ifindex: index,
        ifname,
        flags: isUp ? ['UP'] : [],
        mtu,
        addr_info: addresses.map((address) => ({ local: address.split('/')[0], prefixlen: Number(address.split('/')[1]) })),
      })),
    );
  }

  #routeJson(wantsIpv6: boolean): string {
    const own = this.routes.filter((route) => isIpv6(route) === wantsIpv6);
    return JSON.stringify(own.map((route) => ({ flags: [], ...route, dst: route.dst.replace(/\/(32|128)$/, '') })));
  }
}

/** The words of `ip route`, read back. */
function routeOf([dst = '', ...words]: readonly string[]): FakeRoute {
  const value = (word: string) => (words.includes(word) ? words[words.indexOf(word) + 1] : undefined);
  const metric = value('metric') ?? (dst.includes(':') ? '1024' : undefined);
  const network = dst === 'default' || dst.includes('/') ? dst : `${dst}/${dst.includes(':') ? 128 : 32}`;
  return {
    dst: network,
    dev: value('dev') ?? '',
    ...(value('via') === undefined ? {} : { gateway: value('via') ?? '' }),
    ...(metric === undefined ? {} : { metric: Number(metric) }),
    ...(value('src') === undefined ? {} : { prefsrc: value('src') ?? '' }),
    ...(value('proto') === undefined ? {} : { protocol: value('proto') ?? '' }),
  };
}

function isSameSlot(a: FakeRoute, b: FakeRoute): boolean {
  return a.dst === b.dst && (a.metric ?? 0) === (b.metric ?? 0);
}

/** An address as text of ones and zeros. */
export function bitsOf(address: string): string {
  return [...(parseIp(address)?.bytes ?? [])].map((byte) => byte.toString(2).padStart(8, '0')).join('');
}

/** A network's fixed bits. */
export function networkBits(network: string): string {
  const [address = '', prefix] = network === 'default' ? ['', '0'] : network.split('/');
  return bitsOf(address).slice(0, Number(prefix));
}

function isIpv6({ dst, gateway = '' }: FakeRoute): boolean {
  return (dst === 'default' ? gateway : dst).includes(':');
}
