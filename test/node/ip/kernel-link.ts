/**
 * The stack at one end of a TUN, the kernel of this namespace at the other, and a link between them that can be made bad.
 *
 *   sockets ── StackDevice ── LinkModel each way ── TUN ── kernel ── node:net
 */

import { type Packet, packetBytes, packetOf } from '../../../src/core/tunnel/packet.ts';
import { StackDevice } from '../../../src/node/devices/stack-device.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { ipOf } from '../../core/ip/stack-pair.ts';
import { type LinkConditions, LinkModel, PERFECT_LINK } from '../../support/link-model.ts';
import { ip } from '../../support/namespace.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

export const KERNEL = '10.9.0.1';
export const STACK = '10.9.0.2';
export const KERNEL6 = 'fd09::1';
export const STACK6 = 'fd09::2';

export interface KernelLinkOptions {
  readonly mtu?: number;
  readonly link?: Partial<LinkConditions>;
  readonly seed?: number;
}

export class KernelLink implements AsyncDisposable {
  readonly device: StackDevice;
  readonly tun: TunDevice;
  readonly #engine: PacketEngine;

  static async open({ mtu = 1500, link, seed = 1 }: KernelLinkOptions = {}): Promise<KernelLink> {
    const engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine);
    ip(`link set ${tun.name} mtu ${mtu} up`);
    ip(`address add ${KERNEL}/24 dev ${tun.name}`);
    if (mtu >= 1280) ip(`address add ${KERNEL6}/64 dev ${tun.name} nodad`);
    const addresses = [ipOf(STACK), ...(mtu >= 1280 ? [ipOf(STACK6)] : [])];
    return new KernelLink(engine, tun, new StackDevice({ addresses, mtu }), link, seed);
  }

  private constructor(engine: PacketEngine, tun: TunDevice, device: StackDevice, link: Partial<LinkConditions> | undefined, seed: number) {
    this.#engine = engine;
    this.tun = tun;
    this.device = device;
    const random = new SeededRandom(seed);
    device.start(delayed(link, random.fork(0), (packets) => tun.write(packets)));
    tun.start(delayed(link, random.fork(1), (packets) => device.write(packets)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.device.close();
    await this.tun.close();
    await this.#engine.close();
  }
}

/** What a link of these conditions makes of bursts. */
function delayed(
  link: Partial<LinkConditions> | undefined,
  random: SeededRandom,
  deliver: (packets: readonly Packet[]) => void,
): (packets: readonly Packet[]) => void {
  if (link === undefined) return deliver;
  const model = new LinkModel(random, { ...PERFECT_LINK, ...link });
  return (packets) => {
    const now = performance.now();
    const soon: Packet[] = [];
    for (const packet of packets) {
      for (const at of model.admit(packet.end - packet.start, now)) {
        const copy = packetOf(packetBytes(packet));
        if (at <= now) soon.push(copy);
        else setTimeout(() => deliver([copy]), at - now);
      }
    }
    if (soon.length > 0) deliver(soon);
  };
}
