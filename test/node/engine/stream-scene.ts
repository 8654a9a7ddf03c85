/** An engine with a TUN and a TLS connection to a peer of node:tls that speaks frames: what tests of carried streams look at. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import { CSTP_HEADER_LENGTH, CSTP_TYPES, CstpDeframer, writeCstpHeader } from '../../../src/core/protocols/anyconnect/cstp-frame.ts';
import { packetBytes } from '../../../src/core/tunnel/packet.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import type { TlsSettings } from '../../../src/node/ffi/openssl-tls-context.ts';
import { ip } from '../../support/namespace.ts';
import { throwawayCertificate } from '../../support/throwaway-certificate.ts';
import { RecordCounter } from '../../support/tls-records.ts';
import { Arrivals } from '../../support/traffic-peer.ts';
import { FAR, HOST } from './carry-scene.ts';

export const certificate = throwawayCertificate();

export interface PeerFrame {
  readonly type: number;
  readonly payload: Buffer;
}

export function frame(type: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(CSTP_HEADER_LENGTH + payload.length);
  writeCstpHeader(bytes, 0, type, payload.length);
  bytes.set(payload, CSTP_HEADER_LENGTH);
  return bytes;
}

/** A frame that only main understands, with a number. */
export function control(value: number): Buffer {
  return frame(CSTP_TYPES.dpdRequest, Buffer.of(value >>> 8, value));
}

const SETTINGS: TlsSettings = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', ciphers: 'TLS_AES_256_GCM_SHA384:ECDHE+AESGCM' };

interface SceneOptions {
  readonly tls?: Partial<TlsSettings>;
  readonly device?: boolean;
  readonly allowHalfOpen?: boolean;
  /** No relay counts the records, which would take them from the engine for a peer that does not read. */
  readonly isDirect?: boolean;
}

/** Connects; nothing is carried yet. What main receives, the peer's frames, and a socket of the kernel inside the tunnel. */
export async function streamTunnel(options: SceneOptions = {}) {
  const { allowHalfOpen = false } = options;
  const listener = tls.createServer({ key: certificate.keyPem, cert: certificate.certificatePem, allowHalfOpen });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const records = await RecordCounter.start(port);
  const engine = await PacketEngine.start();
  const raw = net.connect({ port: options.isDirect ? port : records.port, host: '127.0.0.1', noDelay: true });
  await once(raw, 'connect');
  const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
  const opening = engine.openStream(raw, {
    host: 'localhost',
    tls: { ...SETTINGS, ...options.tls },
    signal: new AbortController().signal,
  });
  accepted.catch(() => undefined); // where there is no connection
  const [stream, [peer]] = await Promise.all([opening, accepted]).catch(async (error: unknown) => {
    await engine.close();
    records.close();
    listener.close();
    throw error;
  });
  peer.on('error', () => undefined); // each test looks at what the other end makes of it
  const tun = options.device === false ? undefined : await device(engine);
  const devicePackets = new Arrivals<Buffer>();
  tun?.start((burst) => {
    for (const packet of burst) devicePackets.push(Buffer.from(packetBytes(packet)));
  });
  const received = new Arrivals<Buffer>();
  stream.onData((bytes) => received.push(Buffer.from(bytes)));
  const inner = createSocket('udp4');
  await new Promise<void>((resolve) => inner.bind(0, tun === undefined ? '127.0.0.1' : HOST, resolve));
  inner.unref();
  const innerArrivals = new Arrivals<string>();
  inner.on('message', (bytes) => innerArrivals.push(bytes.toString('latin1')));
  const frames = new Arrivals<PeerFrame>();
  return {
    engine,
    stream,
    peer,
    tun,
    records,
    received,
    devicePackets,
    inner,
    innerArrivals,
    frames,
    /** The peer reads frames from now on. */
    readFrames(): void {
      const deframer = new CstpDeframer();
      peer.on('data', (bytes: Buffer) => {
        deframer.push(bytes);
        while (deframer.next()) {
          frames.push({ type: deframer.type, payload: Buffer.from(deframer.bytes.subarray(deframer.start, deframer.end)) });
        }
      });
    },
    async [Symbol.asyncDispose]() {
      inner.close();
      stream.destroy();
      await engine.close();
      peer.destroy();
      records.close();
      listener.close();
    },
  };
}

async function device(engine: PacketEngine): Promise<TunDevice> {
  const tun = await TunDevice.open(engine);
  ip(`addr add ${HOST}/24 dev ${tun.name}`);
  // Else the kernel sends router solicitations of its own, which would be counted.
  writeFileSync(`/proc/sys/net/ipv6/conf/${tun.name}/disable_ipv6`, '1');
  ip(`link set ${tun.name} up`);
  ip(`route replace ${FAR} dev ${tun.name}`);
  return tun;
}
