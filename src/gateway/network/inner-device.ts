/** Where clients' packets come from and go to, as main sees it: an interface of the system's, or none. */
import type { Cidr } from '../../core/wire/ip-address.ts';
import type { TunOffloads } from '../../node/ffi/tun.ts';

export interface InnerDevice {
  /** For people and scripts. */
  readonly name: string;
  /** As many for each worker, of this process; none where there is no interface. */
  readonly descriptors: readonly number[];
  /** The first of them is no queue: packets are written by it. */
  readonly hasWriter: boolean;
  readonly offloads: TunOffloads;
  /** Takes pools in that are new. */
  addPools(pools: readonly Cidr[]): Promise<void>;
  /** Whether packets to this address or subnet come here by a pool; others need a route of their own. */
  covers(unit: Cidr): boolean;
  /** What an administrator should know, in whole sentences. */
  notices(): Promise<string[]>;
  /** Safe to call twice. */
  close(): void;
}
