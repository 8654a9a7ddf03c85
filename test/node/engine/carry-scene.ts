/** An engine with a TUN and a path to a reference peer: what tests of carried paths look at. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { packetBytes } from '../../../src/core/tunnel/packet.ts';
import type { AeadCipher } from '../../../src/core/tunnel/traffic.ts';
import { formatIp } from '../../../src/core/wire/ip-address.ts';
import type { DatagramPath, DatagramProblem } from '../../../src/node/datagram-path.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { LINUX, libc } from '../../../src/node/ffi/libc.ts';
import { readSockaddr } from '../../../src/node/ffi/sockets.ts';
import { ip } from '../../support/namespace.ts';
import { Arrivals, DATA, ipv4Icmp, ipv4Udp, TrafficPeer } from '../../support/traffic-peer.ts';

export const HOST = '10.9.0.1';
export const FAR = '10.9.0.2';

/** An engine with a TUN that is up and a path to a reference peer; what the path delivers, and a socket of the kernel inside the tunnel. */
export async function tunnel(
  cipher: AeadCipher,
  /** `sendsOn`: what comes to main leaves by the path, as a tunnel machine has it. */
  options: {
    readonly portableCrypto?: boolean;
    readonly copiesDscp?: boolean;
    readonly peerAddress?: string;
    readonly sendsOn?: boolean;
  } = {},
) {
  const engine = await PacketEngine.start({ portableCrypto: options.portableCrypto ?? false });
  const peer = await TrafficPeer.listen(cipher, options.peerAddress);
  const tun = await TunDevice.open(engine);
  ip(`addr add ${HOST}/24 dev ${tun.name}`);
  // Else the kernel sends router solicitations of its own, which would be counted.
  writeFileSync(`/proc/sys/net/ipv6/conf/${tun.name}/disable_ipv6`, '1');
  ip(`link set ${tun.name} up`);
  const path = await engine.openUdp({ remote: peer.endpoint, copiesDscp: options.copiesDscp ?? false });
  const packets = new Arrivals<Buffer>();
  const datagrams = new Arrivals<Buffer>();
  const records = new Arrivals<Buffer>();
  const problems = new Arrivals<DatagramProblem>();
  tun.start((burst) => {
    for (const packet of burst) {
      const bytes = Buffer.from(packetBytes(packet));
      if (options.sendsOn === true) path.send(Buffer.concat([Buffer.of(DATA, 0), bytes]));
      else packets.push(bytes);
    }
  });
  path.start({
    datagram: (bytes) => datagrams.push(Buffer.from(bytes)),
    record: (bytes) => records.push(Buffer.from(bytes)),
    problem: (problem) => problems.push(problem),
  });
  const inner = createSocket('udp4');
  await new Promise<void>((resolve) => inner.bind(0, HOST, resolve));
  inner.unref();
  const innerArrivals = new Arrivals<string>();
  inner.on('message', (bytes) => innerArrivals.push(bytes.toString('latin1')));
  return {
    engine,
    peer,
    tun,
    path,
    packets,
    datagrams,
    records,
    problems,
    inner,
    innerArrivals,
    async [Symbol.asyncDispose]() {
      inner.close();
      peer.close();
      await engine.close();
    },
  };
}

export function isUdp(packet: Uint8Array): boolean {
  return packet[0] === 0x45 && packet[9] === 17;
}

/** The next data record of the peer that holds a UDP packet of the kernel. */
export async function nextPacket(peer: TrafficPeer) {
  for (;;) {
    const record = await peer.nextRecord();
    if (record.type === DATA && record.plaintext[0] === 0 && isUdp(record.plaintext.subarray(1))) return record;
  }
}

/** A datagram that the peer's records carry to the inner socket. */
export function toInner(inner: Socket, text: string): Buffer {
  return ipv4Udp(FAR, HOST, 7, inner.address().port, Buffer.from(text, 'latin1'));
}

/** Everything that was sent to the worker before has been done. */
export async function settled(path: DatagramPath, engine: PacketEngine): Promise<void> {
  await engine.route(path);
}

/** Reads the type of service of the engine's UDP socket: its descriptor is this process's too. */
export function outerTos(path: DatagramPath): () => number {
  const c = libc('the test');
  const { scratch } = c;
  for (let fd = 0; fd < 1024; fd++) {
    scratch.view.setInt32(64, 28, true);
    if (c.getsockname(fd, scratch.address(0), scratch.address(64)) < 0) continue;
    if (scratch.view.getUint16(0, true) !== LINUX.AF_INET || readSockaddr(scratch, 0).port !== path.local.port) continue;
    return () => {
      scratch.view.setInt32(16, 4, true);
      assert.equal(c.getsockopt(fd, LINUX.IPPROTO_IP, LINUX.IP_TOS, scratch.address(0), scratch.address(16)), 0);
      return scratch.view.getInt32(0, true);
    };
  }
  return assert.fail('the engine has no such socket');
}

/** A router's ICMP "fragmentation needed" about a datagram of the path (RFC 792, RFC 1191 §4). */
export function icmpTooBig(path: DatagramPath, mtu: number): Buffer {
  const [from, to] = [formatIp(path.local.address), formatIp(path.remote.address)];
  const about = ipv4Udp(from, to, path.local.port, path.remote.port, Buffer.alloc(8));
  return ipv4Icmp(FAR, from, 3, 4, mtu, about);
}
