/** A thread that sends numbered UDP packets, a few at a time: `{ count, port, host, address }` as worker data. */
import { createSocket } from 'node:dgram';
import { setTimeout } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';

/** Few enough for the queue of a socket whose reader pauses now and then. */
const BURST = 4;
const PAYLOAD = 100;

const { count, port, host, address } = workerData as { count: number; port: number; host: string; address: string };
const socket = createSocket('udp4');
await new Promise<void>((resolve) => socket.bind(0, host, resolve));
for (let number = 0; number < count; number++) {
  const payload = Buffer.alloc(PAYLOAD);
  payload.writeUInt32BE(number);
  await new Promise((resolve) => socket.send(payload, port, address, resolve));
  if (number % BURST === BURST - 1) await setTimeout(1);
}
socket.close();
