/** What the engine's loop asks of a path, whatever carries it: a UDP flow or a TLS connection. */
import type { StreamTraffic, TrafficDescription } from '../../core/tunnel/traffic.ts';
import type { CarriedState } from '../datagram-path.ts';
import type { WorkerDevice } from './worker-device.ts';

export interface WorkerEnd {
  readonly fd: number;
  /** What the thread shall wait for: POLLIN and POLLOUT; 0: nothing now. It changes only when the path is used, or in {@link proceed}. */
  readonly pollEvents: number;
  readonly isCarried: boolean;
  /** Packets up to this length can leave by {@link addPacket}; 0 while nothing is carried. */
  readonly tunnelMtu: number;
  /** Nothing more fits on the way to the peer: packets of the device wait in the kernel. */
  readonly isFull: boolean;
  /** Something waits for main: {@link mayProceed} is asked until it need not any more. */
  readonly isWaiting: boolean;
  /** What waited for main need not any more. Asked when the worker has said that it sleeps: main wakes it if the answer changes later. */
  readonly mayProceed: boolean;
  carry(description: TrafficDescription | StreamTraffic | undefined): CarriedState | undefined;
  /** Where the next packet of a burst is to lie, with room for what becomes a record around it. */
  readonly packetPlace: number;
  /**
   * Seals the IP packet that lies at {@link packetPlace}. It leaves with {@link flush}, at the latest. False: it is the machine's to send, and lies there
   * as it was.
   */
  addPacket(length: number): boolean;
  /** The burst is over: what was sealed leaves. */
  flush(): void;
  /** Sends a datagram, or a record of a stream, as main gave it. */
  sendDatagram(source: Buffer, start: number, end: number): void;
  /** Seals a record as main gave it: `[content type][plaintext]`, of ESP without a type. It leaves with {@link flush}, at the latest. */
  sendRecord(source: Buffer, start: number, end: number): void;
  /** Takes what has arrived, and says how many packets that may be. @param device where data goes; undefined: to main */
  receive(device: WorkerDevice | undefined): number;
  /** What was delivered to main before this path carried: main gives it back. */
  receiveAgain(source: Buffer, start: number, end: number, device: WorkerDevice | undefined): void;
  /** After main's burst: what waited for its end, or for main, goes on. */
  proceed(device: WorkerDevice | undefined): void;
  /** The descriptor is no more: told at once, however often. */
  fail(errno: number): void;
  close(): void;
}
