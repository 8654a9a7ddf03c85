/**
 * In place of an interface: nothing of the system's. Main keeps the pools and tells the workers of them, in which clients' flows end (`gateway/nat`).
 */
import { SallyportError } from '../../core/errors.ts';
import { type Cidr, formatCidr, type IpAddress } from '../../core/wire/ip-address.ts';
import { NO_OFFLOADS, type TunOffloads } from '../../node/ffi/tun.ts';
import { AddressPool } from './address-pool.ts';
import { MAX_POOLS } from './gateway-device.ts';
import type { InnerDevice } from './inner-device.ts';

export class UserspaceDevice implements InnerDevice {
  readonly name = 'userspace';
  readonly descriptors: readonly number[] = [];
  readonly hasWriter = false;
  readonly offloads: TunOffloads = NO_OFFLOADS;
  /** There are other pools than before. */
  onChange: (() => void) | undefined;
  readonly #pools: AddressPool[] = [];

  /** Ours, one for each pool. */
  get own(): readonly IpAddress[] {
    return this.#pools.map(({ local }) => local);
  }

  get pools(): readonly Cidr[] {
    return this.#pools.map(({ network }) => network);
  }

  addPools(pools: readonly Cidr[]): Promise<void> {
    const known = new Set(this.pools.map(formatCidr));
    const added = pools.map((network) => new AddressPool(network)).filter(({ network }) => !known.has(formatCidr(network)));
    if (added.length === 0) return Promise.resolve();
    if (this.#pools.length + added.length > MAX_POOLS) {
      return Promise.reject(new SallyportError('ERR_DEVICE', `There are ${MAX_POOLS} address pools already.`));
    }
    this.#pools.push(...added);
    this.onChange?.();
    return Promise.resolve();
  }

  covers(unit: Cidr): boolean {
    return this.#pools.some((pool) => pool.network.prefix <= unit.prefix && pool.contains(unit.address));
  }

  notices(): Promise<string[]> {
    return Promise.resolve([]);
  }

  close(): void {
    // Nothing of the system's was taken.
  }
}
