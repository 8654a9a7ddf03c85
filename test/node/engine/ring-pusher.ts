/** The other thread of the packet ring's test: pushes entries whose number, length and bytes tell of each other. */
import { workerData } from 'node:worker_threads';
import { PacketRing } from '../../../src/node/engine/packet-ring.ts';

const { memory, capacity, entries } = workerData as { memory: SharedArrayBuffer; capacity: number; entries: number };
const ring = new PacketRing(memory, 0, capacity);
const bytes = new Uint8Array(301);
for (let i = 0; i < entries; i++) {
  bytes.fill(i & 0xff);
  while (!ring.push(i, bytes, 0, (i * 31) % 301)) ring.publish(); // full: show what there is, and try again
  if (i % 5 === 0) ring.publish();
}
ring.publish();
