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

/** The addresses of the first link. */
export const { kernel: KERNEL, stack: STACK, kernel6: KERNEL6, stack6: STACK6 }: Ends = endsOf(0);

export interface KernelLinkOptions {
  /** Which of several links in the same namespace, 0 to 255: each has networks of its own. Default 0. */
  readonly number?: number;
  readonly mtu?: number;
  readonly link?: Partial<LinkConditions>;
  readonly seed?: number;
}

interface Ends {
  readonly kernel: string;
  readonly stack: string;
  readonly kernel6: string;
  readonly stack6: string;
}

function endsOf(number: number): Ends {
  const network6 = `fd09:${number.toString(16)}:`;
  return { kernel: `10.9.${number}.1`, stack: `10.9.${number}.2`, kernel6: `${network6}:1`, stack6: `${network6}:2` };
}

export class KernelLink implements AsyncDisposable {
  readonly ends: Ends;
  readonly device: StackDevice;
  readonly tun: TunDevice;
  readonly #engine: PacketEngine;

  static async open({ number = 0, mtu = 1500, link, seed = 1 }: KernelLinkOptions = {}): Promise<KernelLink> {
    const engine = await PacketEngine.start();
    const tun = await TunDevice.open(engine);
    const ends = endsOf(number);
    ip(`link set ${tun.name} mtu ${mtu} up`);
    ip(`address add ${ends.kernel}/24 dev ${tun.name}`);
    if (mtu >= 1280) ip(`address add ${ends.kernel6}/64 dev ${tun.name} nodad`);
    const addresses = [ipOf(ends.stack), ...(mtu >= 1280 ? [ipOf(ends.stack6)] : [])];
    return new KernelLink(engine, tun, new StackDevice({ addresses, mtu }), ends, link, seed);
  }

  private constructor(
    engine: PacketEngine,
    tun: TunDevice,
    device: StackDevice,
    ends: Ends,
    link: Partial<LinkConditions> | undefined,
    seed: number,
  ) {
    this.#engine = engine;
    this.ends = ends;
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
