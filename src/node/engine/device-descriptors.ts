/** What packets of a device pass by. */
export interface DeviceDescriptors {
  /** Packets are written to these, each flow to one of them. Where they are queues, the kernel gives the packets of that flow to the same one. */
  readonly writers: readonly number[];
  /** What packets are read from, in turn: the same, or others. None: the device says by itself whether there is something to read. */
  readonly queues: readonly number[];
}

/** One for both ways. */
export function oneDescriptor(fd: number): DeviceDescriptors {
  return { writers: [fd], queues: [fd] };
}
