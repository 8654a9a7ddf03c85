/**
 * The gateway's TUN device: one for all clients, with queues for each worker.
 *
 *   vpns0   10.77.0.1/24, fd77::1/64: our end in each pool; the kernel sends all of a pool here, and a worker knows whose packet it is
 *
 * main opens it and hands the queues' descriptors to the workers. It has no owner that outlives them: when the last descriptor is closed, by `close`,
 * by the end of the processes or by their crash, the kernel takes the device with its addresses and routes.
 */
import { SallyportError } from '../../core/errors.ts';
import { type Cidr, formatCidr } from '../../core/wire/ip-address.ts';
import { libc } from '../../node/ffi/libc.ts';
import { closeTun, NO_OFFLOADS, type OpenedQueues, openTunQueues, type TunOffloads } from '../../node/ffi/tun.ts';
import { type Machine, thisMachine } from '../../node/network/machine.ts';
import { performSteps } from '../../node/network/perform.ts';
import { isDeviceName, type Step } from '../../node/network/steps.ts';
import { AddressPool } from './address-pool.ts';
import type { InnerDevice } from './inner-device.ts';

export interface GatewayDeviceOptions {
  /** The prefix of its name: `vpns` makes the first free of `vpns0`, `vpns1`, … */
  readonly device: string;
  readonly queues: number;
  /** See {@link openTunQueues}. Default: not. */
  readonly wantsWriter?: boolean;
  readonly mtu: number;
  /** Pools of all hosts. */
  readonly pools: readonly Cidr[];
  /** What its queues shall do beyond one packet a read. Default: nothing. */
  readonly offloads?: TunOffloads;
  readonly machine?: Machine;
}

/** As many as Linux lets a TUN device have (MAX_TAP_QUEUES). */
export const MAX_QUEUES = 256;
/** Pools of users' own are added as they log in. */
export const MAX_POOLS = 1024;

/** What ip(8) starts with: the device is new. */
const NEW_LINK = { mtu: 1500, isUp: false } as const;

export class GatewayDevice implements InnerDevice {
  readonly name: string;
  /** Of the writer, if there is one, and of each queue, of this process. Who passes them on keeps them open until they have arrived. */
  readonly descriptors: readonly number[];
  readonly hasWriter: boolean;
  /** What the workers' engines are told of the queues. */
  readonly offloads: TunOffloads;
  readonly #machine: Machine;
  readonly #pools: AddressPool[] = [];
  #hasIpv6 = false;
  #isOpen = true;
  /** Pools are added one after the other. */
  #adding: Promise<void> = Promise.resolve();

  private constructor({ name, fds, writer, offloads }: OpenedQueues, machine: Machine) {
    this.name = name;
    this.descriptors = writer === undefined ? fds : [writer, ...fds];
    this.hasWriter = writer !== undefined;
    this.offloads = offloads;
    this.#machine = machine;
  }

  /** Opens the device and sets it up. Rejects in plain words, and leaves nothing, where that cannot be. */
  static async open({
    device,
    queues,
    wantsWriter = false,
    mtu,
    pools,
    offloads = NO_OFFLOADS,
    machine = thisMachine,
  }: GatewayDeviceOptions): Promise<GatewayDevice> {
    if (device === '' || !isDeviceName(`${device}0`))
      throw new SallyportError('ERR_DEVICE', `"${device}" cannot be the prefix of a device's name.`);
    if (queues < 1 || queues > MAX_QUEUES) throw new SallyportError('ERR_DEVICE', `A device has 1 to ${MAX_QUEUES} queues, not ${queues}.`);
    const tun = openTunQueues(libc('The gateway'), device, queues, offloads, wantsWriter);
    const opened = new GatewayDevice(tun, machine);
    try {
      await opened.#configure([{ kind: 'link', device: tun.name, mtu, before: NEW_LINK }]);
      opened.#hasIpv6 = (await machine.readFile(`/proc/sys/net/ipv6/conf/${tun.name}/disable_ipv6`))?.trim() === '0';
      await opened.addPools(pools);
      return opened;
    } catch (error) {
      opened.close();
      throw error;
    }
  }

  /** Takes pools in that are new, of users' own or after a reload. Pools stay until the device goes: sessions may still live in them. */
  async addPools(pools: readonly Cidr[]): Promise<void> {
    const adding = this.#adding.catch(() => undefined).then(() => this.#addPools(pools));
    this.#adding = adding;
    await adding;
  }

  /** Whether packets to this address or subnet come here by a pool's route; others need one of their own. */
  covers(unit: Cidr): boolean {
    return this.#pools.some((pool) => pool.network.prefix <= unit.prefix && pool.contains(unit.address));
  }

  /**
   * What an administrator should know of this machine, in whole sentences. Packets are not forwarded where the machine is not told to, and we do not
   * tell it: a gateway must not make a router of a machine by itself.
   */
  async notices(): Promise<string[]> {
    const notices: string[] = [];
    const off = async (file: string) => (await this.#machine.readFile(`/proc/sys/${file}`))?.trim() === '0';
    const families = this.#pools.map(({ family }) => family);
    if (families.includes(4) && (await off('net/ipv4/ip_forward'))) notices.push(forwardingNotice('IPv4', 'net.ipv4.ip_forward'));
    if (families.includes(6) && !this.#hasIpv6) {
      notices.push('This machine has no IPv6, or has it disabled: IPv6 pools reach nothing.');
    } else if (families.includes(6) && (await off('net/ipv6/conf/all/forwarding'))) {
      notices.push(forwardingNotice('IPv6', 'net.ipv6.conf.all.forwarding'));
    }
    return notices;
  }

  /** Closes this process's descriptors. Safe to call twice. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeTun(libc('The gateway'), this.descriptors);
  }

  async #addPools(pools: readonly Cidr[]): Promise<void> {
    for (const network of pools) {
      const pool = new AddressPool(network);
      if (this.#pools.some((known) => formatCidr(known.network) === formatCidr(pool.network))) continue;
      if (this.#pools.length >= MAX_POOLS) throw new SallyportError('ERR_DEVICE', `${this.name} has ${MAX_POOLS} address pools already.`);
      await this.#configure(this.#stepsOf(pool));
      this.#pools.push(pool);
    }
  }

  #stepsOf(pool: AddressPool): Step[] {
    if (pool.family === 6 && !this.#hasIpv6) return []; // notices() says so
    const device = this.name;
    const address: Step = { kind: 'address', device, address: formatCidr({ address: pool.local, prefix: pool.network.prefix }) };
    if (pool.family === 4) return [address]; // its route comes with it
    return [address, { kind: 'route', purpose: 'tunnel', destination: formatCidr(pool.network), device, metric: POOL_METRIC }];
  }

  async #configure(steps: readonly Step[]): Promise<void> {
    const context = { machine: this.#machine, session: 'gateway', isLive: () => false };
    await performSteps(
      steps.map((step) => ({ step, overOurs: false })),
      context,
    );
  }
}

/** What the kernel gives the route of an IPv6 address. */
const POOL_METRIC = 256;

function forwardingNotice(family: string, setting: string): string {
  return `${family} packets are not forwarded on this machine: clients reach the gateway and nothing behind it. "sysctl -w ${setting}=1" changes that.`;
}
