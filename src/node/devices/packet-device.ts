/** Where IP packets enter and leave: a kernel TUN, a socket to a script, memory. All have this face. */
import type { Packet } from '../../core/tunnel/packet.ts';

/** Packets of IP and their bytes, since the device was opened. */
export interface DeviceTraffic {
  /** From the tunnel to the host. */
  readonly received: { readonly packets: number; readonly bytes: number };
  /** From the host into the tunnel. */
  readonly sent: { readonly packets: number; readonly bytes: number };
}

export interface PacketDevice {
  /** The interface's name, where the system knows the device by one. */
  readonly name?: string;
  /** Starts reading. Packets are lent for the call: who keeps one copies it. Called once. */
  start(onBurst: (packets: readonly Packet[]) => void): void;
  /** Drops and counts when full: IP may lose packets. */
  write(packets: readonly Packet[]): void;
  /**
   * Largest IP packet in bytes from now on; where the system has its own idea (an interface), that is changed too, and the promise rejects if it may
   * not be. A script may have set it already: whether that matters is the caller's to say.
   */
  setMtu(mtu: number): Promise<void>;
  /** What has passed so far. */
  traffic(): DeviceTraffic;
  /** Back-pressure towards the host: packets wait where they are. */
  pause(): void;
  resume(): void;
  /** Resolves when the device is gone. Safe to call twice. */
  close(): Promise<void>;
  /** Settles when the device fails by itself (interface deleted, script ended): resolves with why. Pending until then. */
  readonly failed: Promise<Error>;
}
