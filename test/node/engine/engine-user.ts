/** A program with a running engine and device that ends as its argument says: exit, throw or close. */
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';

const engine = await PacketEngine.start();
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
