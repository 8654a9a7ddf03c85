/**
 * Connections that have no tunnel yet: shaking hands, logging in, or saying nothing. Each costs memory and a descriptor, and anybody can make one, so they
 * have limits: one for all of them, and one for each address (of IPv6: for each /64), so that one flood does not keep everybody else out.
 */
import type { IpAddress } from '../../core/wire/ip-address.ts';
import { clientKey } from './ban-table.ts';

/** All together. Some 50 KB each in their worker. */
export const MAX_WAITING = 8192;
/** From one address: an office behind it may log in at once in the morning. */
export const MAX_WAITING_OF_ADDRESS = 1024;

export class WaitingRoom {
  /** By the connection's number; undefined: its address is not known yet. */
  readonly #keys = new Map<number, string | undefined>();
  readonly #counts = new Map<string, number>();

  get size(): number {
    return this.#keys.size;
  }

  /** False: the connection is to be refused. `address` undefined: it is behind a proxy, and will say so. */
  hasRoom(address: IpAddress | undefined): boolean {
    const own = address === undefined ? 0 : (this.#counts.get(clientKey(address)) ?? 0);
    return this.#keys.size < MAX_WAITING && own < MAX_WAITING_OF_ADDRESS;
  }

  /** Again for one whose address has become known. */
  enter(connection: number, address: IpAddress | undefined): void {
    this.leave(connection);
    const key = address && clientKey(address);
    this.#keys.set(connection, key);
    if (key !== undefined) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** It has a tunnel, or is gone. Nothing for one that has left before. */
  leave(connection: number): void {
    const key = this.#keys.get(connection);
    this.#keys.delete(connection);
    if (key === undefined) return;
    const left = (this.#counts.get(key) ?? 1) - 1;
    if (left === 0) this.#counts.delete(key);
    else this.#counts.set(key, left);
  }
}
