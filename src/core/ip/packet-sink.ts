/** Where the stack's packets go: straight into the device's memory, as far as there is room. */
import type { Packet } from '../tunnel/packet.ts';

/** The law of all sinks: it only collects, and never calls back into the stack. */
export interface PacketSink {
  /**
   * Room for a packet of up to `length` bytes, from `start` on; undefined: the device is full, and {@link IpStack.transmit} is to be called again
   * when it is not. What was reserved and not committed is reserved anew.
   */
  reserve(length: number): Packet | undefined;
  /**
   * The first `length` bytes of the room are a packet.
   *
   * @param segment where more than 0: the packet is a TCP super-segment, to be cut into packets with so many bytes of payload each. Only if the stack was told that the device can.
   * @param isUnfinished the TCP checksum holds the pseudo-header's sum only; the device sums the rest. Only if the stack was told so.
   */
  commit(length: number, segment: number, isUnfinished: boolean): void;
}
