/** What a tunnel's driver needs of its owner, and what it tells it. */
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import type { CloseReason, Path } from '../../core/tunnel/machine.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { Endpoint } from '../../core/wire/ip-address.ts';
import type { DatagramPath } from '../datagram-path.ts';
import type { PacketDevice } from '../devices/packet-device.ts';
import type { StreamCarrier, TlsStream } from '../tls-stream.ts';

/** What a tunnel needs of the world. */
export interface DriverWorld {
  /** The connection has carried other requests: a gateway that is about to close it has not read ours (spec "AnyConnect", section 4.2). */
  readonly isConnectionUsed?: boolean;
  /** Who is at the other end, in words: `The gateway`. */
  readonly peer: string;
  /** Makes the paths that the machine asks for; undefined: they only arrive, as a gateway's do. */
  readonly dial?: PathDialer;
  /** Packets of the device go straight to this carried path; undefined: to the driver. */
  route(path: DatagramPath | StreamCarrier | undefined): Promise<void>;
  /** Largest outer packet of the way to the gateway, where the system says. */
  pathMtu(local: Endpoint): number | undefined;
  now(): Millis;
  /** False: no UDP flow is carried by the engine, whether it could or not; packets are counted one by one. Default: as the path can. */
  readonly mayCarry?: boolean;
}

export interface PathDialer {
  /** A TLS connection to the gateway, its certificate judged. */
  gateway(signal: AbortSignal): Promise<TlsStream>;
  datagram(remote: Endpoint): Promise<DatagramPath>;
}

export interface DriverListener {
  config(config: TunnelConfig): void;
  /** The first path is there, or another stream: where it really leads, and from where. */
  connected(remote: Endpoint, local: Endpoint): void;
  /** Packets leave by this kind of path now. */
  up(kind: Path['kind']): void;
  /** Once, and nothing follows. */
  closed(reason: CloseReason): void;
}

/** What a driver wants of a device. */
export type TunnelDevice = Pick<PacketDevice, 'write' | 'pause' | 'resume'>;
