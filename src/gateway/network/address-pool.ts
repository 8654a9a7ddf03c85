/**
 * A pool of addresses as numbers: what can be given out, and what may not be.
 *
 *   10.77.0.0/24          .0 the network   .1 our own end   .2 … .254 for clients   .255 broadcast
 *   fd77::/48, units /64  fd77::/64 has our own end   fd77:0:0:1::/64 … for clients, each with all its addresses
 */
import { type Cidr, type IpAddress, isInNetwork, networkOf } from '../../core/wire/ip-address.ts';

export class AddressPool {
  readonly family: 4 | 6;
  /** Host bits cleared. */
  readonly network: Cidr;
  /** What one client gets: the length of an address, or of an IPv6 subnet. */
  readonly unitPrefix: number;
  /** Our end of the clients' links: the first address. */
  readonly local: IpAddress;
  readonly #first: bigint;
  readonly #unitBits: bigint;
  readonly #units: bigint;

  /** @param unitPrefix For IPv6; IPv4 clients get one address each. A unit longer than an address or wider than the pool is taken for the nearest that can be. */
  constructor(network: Cidr, unitPrefix: number = 128) {
    this.network = networkOf(network);
    this.family = network.address.family;
    const bits = this.network.address.bytes.length * 8;
    this.unitPrefix = this.family === 4 ? 32 : Math.min(Math.max(unitPrefix, network.prefix), bits);
    this.#first = numberOf(this.network.address);
    this.#unitBits = BigInt(bits - this.unitPrefix);
    this.#units = 1n << BigInt(this.unitPrefix - network.prefix);
    this.local = addressOf(this.family, this.#first | 1n);
  }

  /** Units in all, those that nobody gets included. */
  get size(): bigint {
    return this.#units;
  }

  contains(address: IpAddress): boolean {
    return isInNetwork(address, this.network);
  }

  /** The pool's address that has these bytes where the network leaves room: `bytes` are as many as an address has. */
  masked(bytes: Uint8Array): IpAddress {
    const hostBits = BigInt(bytes.length * 8 - this.network.prefix);
    return addressOf(this.family, this.#first | BigInt.asUintN(Number(hostBits), numberOf({ family: this.family, bytes })));
  }

  /** The unit that an address of the pool is in. */
  unitOf(address: IpAddress): Cidr {
    return networkOf({ address, prefix: this.unitPrefix });
  }

  /** Whether a client may have the unit: not the network's own address, not the broadcast one, and not where our end is. */
  mayGive(unit: Cidr): boolean {
    const index = this.#indexOf(unit.address);
    if (index === this.#indexOf(this.network.address) || index === this.#indexOf(this.local)) return false;
    return this.family === 6 || index !== this.#units - 1n;
  }

  /** The first client's address of the unit that comes so many units behind the one of `address`, around the pool's end. */
  unitBehind(address: IpAddress, steps: number): IpAddress {
    const index = (this.#indexOf(address) + BigInt(steps)) % this.#units;
    const start = this.#first + (index << this.#unitBits);
    return addressOf(this.family, this.#unitBits === 0n ? start : start | 1n);
  }

  #indexOf(address: IpAddress): bigint {
    return (numberOf(address) - this.#first) >> this.#unitBits;
  }
}

function numberOf(address: IpAddress): bigint {
  return address.bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

function addressOf(family: 4 | 6, number: bigint): IpAddress {
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  for (let i = bytes.length - 1, rest = number; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return { family, bytes };
}
