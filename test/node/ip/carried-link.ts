/**
 * The stack at one end of a carried path, the kernel of this namespace at the other: two engines, as a client's and a gateway's are, with nothing of a
 * protocol between them.
 *
 *   sockets ── StackDevice ── StackPort ── engine ══ records over loopback ══ engine ── TUN ── kernel ── node:net
 */
import { createHash } from 'node:crypto';
import { packetBytes } from '../../../src/core/tunnel/packet.ts';
import { framingByMark, type TrafficDescription, type TrafficKey } from '../../../src/core/tunnel/traffic.ts';
import type { DatagramPath } from '../../../src/node/datagram-path.ts';
import { StackDevice } from '../../../src/node/devices/stack-device.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { StackPort } from '../../../src/node/engine/stack-port.ts';
import { ipOf } from '../../core/ip/stack-pair.ts';
import { ip } from '../../support/namespace.ts';
import { KERNEL, KERNEL6, STACK, STACK6 } from './kernel-link.ts';

/** Nobody else is in this namespace. */
const PORTS = { stack: 4501, kernel: 4502 } as const;
type End = keyof typeof PORTS;

/** A content type (RFC 5246 §6.2.1), and the byte in front of a packet. */
const DATA = Uint8Array.of(23, 0);

export class CarriedLink implements AsyncDisposable {
  readonly device: StackDevice;
  /** The stack's. */
  readonly engine: PacketEngine;
  readonly path: DatagramPath;
  /** What the stack's engine left to main, packets, and what went back to the stack by main. */
  readonly byMain = { out: 0, back: 0 };
  readonly #closers: readonly (() => Promise<void>)[];

  static async open({ mtu = 1400, isRouted = true }: { readonly mtu?: number; readonly isRouted?: boolean } = {}): Promise<CarriedLink> {
    const [engine, far] = [await PacketEngine.start(), await PacketEngine.start()];
    const tun = await TunDevice.open(far);
    ip(`link set ${tun.name} mtu ${mtu} up`);
    ip(`address add ${KERNEL}/24 dev ${tun.name}`);
    ip(`address add ${KERNEL6}/64 dev ${tun.name} nodad`);
    const path = await carried(engine, 'stack', 'kernel', mtu);
    const farPath = await carried(far, 'kernel', 'stack', mtu);
    farPath.start({ datagram: () => undefined, record: () => undefined, problem: () => undefined });
    const device = new StackDevice({ addresses: [ipOf(STACK), ipOf(STACK6)], mtu }, await StackPort.open(engine));
    const link = new CarriedLink(engine, path, device, [() => device.close(), () => tun.close(), () => engine.close(), () => far.close()]);
    if (isRouted) await engine.route(path);
    tun.start(() => undefined);
    await far.route(farPath);
    return link;
  }

  private constructor(engine: PacketEngine, path: DatagramPath, device: StackDevice, closers: readonly (() => Promise<void>)[]) {
    this.engine = engine;
    this.path = path;
    this.device = device;
    this.#closers = closers;
    // As a tunnel's machine does with what it has to carry itself.
    device.start((packets) => {
      for (const packet of packets) {
        this.byMain.out++;
        path.send(Buffer.concat([DATA, packetBytes(packet)]));
      }
    });
    path.start({
      datagram: () => undefined,
      record: (bytes) => {
        this.byMain.back++;
        device.write([{ buffer: bytes, start: DATA.length, end: bytes.length }]);
      },
      problem: () => undefined,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers) await close();
  }
}

async function carried(engine: PacketEngine, end: End, peer: End, mtu: number): Promise<DatagramPath> {
  const path = await engine.openUdp({ remote: { address: ipOf('127.0.0.1'), port: PORTS[peer] }, localPort: PORTS[end] });
  const description: TrafficDescription = {
    record: { kind: 'dtls-aead', cipher: 'aes-256-gcm' },
    seal: keyOf(end),
    open: [keyOf(peer)],
    replayWindow: 1024,
    framing: framingByMark(0),
    tunnelMtu: mtu,
  };
  await path.carry(description);
  return path;
}

function keyOf(sender: End): TrafficKey {
  const bytes = createHash('sha256').update(sender).digest();
  return { id: 1, key: bytes, iv: bytes.subarray(0, 4), nextSequence: 1 };
}
