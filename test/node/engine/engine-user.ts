/** A program with an engine that ends as its argument says: `exit-early` while the engine starts; exit, throw or close with a running device. */
import { readFileSync } from 'node:fs';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';

const starting = PacketEngine.start();
if (process.argv[2] === 'exit-early') {
  // The moment in which the worker's native code registers itself.
  while (!readFileSync('/proc/self/maps', 'latin1').includes('koffi.node'));
  process.stdout.write(`ended at ${Date.now()}\n`);
  process.exit(7);
}
const engine = await starting;
await TunDevice.open(engine, { name: 'tunuser' });
// Now the worker sleeps in poll.
await new Promise((resolve) => setTimeout(resolve, 50));
process.stdout.write(`ended at ${Date.now()}\n`);
switch (process.argv[2]) {
  case 'exit':
    process.exit(7);
    break;
  case 'throw':
    throw new Error('on purpose');
  default:
    await engine.close();
    process.stdout.write('closed\n');
}
