/**
 * Packets that the kernel has put into the queues of another worker find their way here.
 *
 * The kernel remembers which queue a flow's packets were written by, and gives the answers to the same one; so this is for the first packets of a flow
 * that begins behind the gateway, and no way for bulk.
 */
import { AddressTable } from '../../core/tunnel/address-table.ts';
import { isIpPacket } from '../../core/tunnel/inner-packet.ts';
import type { Cidr } from '../../core/wire/ip-address.ts';

export class PacketExchange {
  readonly #workers = new AddressTable<number>();
  readonly #deliver: (worker: number, packets: readonly Uint8Array[]) => void;

  constructor(deliver: (worker: number, packets: readonly Uint8Array[]) => void) {
    this.#deliver = deliver;
  }

  /** Packets to these networks are that worker's. */
  attach(networks: readonly Cidr[], worker: number): void {
    for (const network of networks) this.#workers.set(network, worker);
  }

  detach(networks: readonly Cidr[], worker: number): void {
    for (const network of networks) this.#workers.delete(network, worker);
  }

  /** What `from` has read and has no tunnel for. */
  forward(from: number, packets: readonly Uint8Array[]): void {
    const sorted = new Map<number, Uint8Array[]>();
    for (const packet of packets) {
      const worker = isIpPacket(packet, 0, packet.length) ? this.#workers.ofPacket(packet, 0) : undefined;
      if (worker !== undefined && worker !== from) sorted.set(worker, [...(sorted.get(worker) ?? []), packet]);
    }
    for (const [worker, own] of sorted) this.#deliver(worker, own);
  }
}
