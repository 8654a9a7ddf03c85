/**
 * A relay between client and gateway that makes the network bad in the ways a packet filter cannot: delay, reordering, duplication, bandwidth,
 * a translator that changes its ports, connections that are reset. It runs on the router; the client takes it for the gateway.
 *
 * @example
 * const relay = await Relay.start(lab, { seed: 7 });
 * await relay.change({ udp: { both: { loss: 0.05, delay: 10, jitter: 20 } } });
 */
import path from 'node:path';
import type { Lab } from './lab.ts';
import { type LinkConditions, PERFECT_LINK } from './link-model.ts';
import type { RelayConditions } from './relay-options.ts';
import type { RelayCalls } from './relay-program.ts';
import { RemoteProgram } from './remote-calls.ts';
import type { TcpRelayStatistics } from './tcp-relay.ts';
import type { UdpRelayStatistics } from './udp-relay.ts';

const PROGRAM = path.join(import.meta.dirname, 'relay-program.ts');

export interface RelayStartOptions {
  /** The same seed makes the same decisions. Default 1. */
  readonly seed?: number;
  /** The gateway's port, and the relay's. Default 443. */
  readonly port?: number;
  /** Between client and relay, and relay and gateway. Default 4. */
  readonly family?: 4 | 6;
}

/** What is not said is perfect. `up` (from the client) and `down` go over `both`. */
export interface LinkChange {
  readonly both?: Partial<LinkConditions>;
  readonly up?: Partial<LinkConditions>;
  readonly down?: Partial<LinkConditions>;
}

export class Relay {
  /** What the client connects to: the router's address and the relay's port, as in a URL. */
  readonly gateway: string;
  readonly #remote: RemoteProgram<RelayCalls>;

  private constructor(gateway: string, remote: RemoteProgram<RelayCalls>) {
    this.gateway = gateway;
    this.#remote = remote;
  }

  /** @param lab One with a router. */
  static async start(lab: Lab, { seed = 1, port = 443, family = 4 }: RelayStartOptions = {}): Promise<Relay> {
    const addressOf = ({ ipv4, ipv6 }: { ipv4: string; ipv6: string }): string => (family === 4 ? ipv4 : ipv6);
    const host = addressOf(lab.addresses.router);
    const args = [seed, host, port, addressOf(lab.addresses.server), port].map(String);
    const remote = await RemoteProgram.start<RelayCalls>(lab.router, PROGRAM, args);
    await remote.program.waitFor(/relaying/);
    return new Relay(`${family === 6 ? `[${host}]` : host}:${port}`, remote);
  }

  /** From now on. Without arguments: a perfect network. */
  async change({ udp = {}, tcp = {} }: { readonly udp?: LinkChange; readonly tcp?: LinkChange } = {}): Promise<void> {
    await this.#remote.call('change', { udp: conditionsOf(udp), tcp: conditionsOf(tcp) });
  }

  /** What an address translator does when it forgets: every UDP flow goes on from a new port. */
  async rebindUdp(): Promise<void> {
    await this.#remote.call('rebindUdp');
  }

  /** Resets every TCP connection, at both ends. */
  async resetTcp(): Promise<void> {
    await this.#remote.call('resetTcp');
  }

  async statistics(): Promise<{ readonly udp: UdpRelayStatistics; readonly tcp: TcpRelayStatistics }> {
    return await this.#remote.call('statistics');
  }

  async stop(): Promise<void> {
    await this.#remote.program.stop();
  }
}

function conditionsOf({ both, up, down }: LinkChange): RelayConditions {
  return { up: { ...PERFECT_LINK, ...both, ...up }, down: { ...PERFECT_LINK, ...both, ...down } };
}
