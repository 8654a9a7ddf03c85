/** Opens the TUN interface that its argument names, and prints its name or the error as JSON. */
import { SallyportError } from '../../../src/core/errors.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';

try {
  await using engine = await PacketEngine.start();
  const device = await TunDevice.open(engine, { name: process.argv[2] ?? '' });
  process.stdout.write(JSON.stringify({ name: device.name }));
} catch (error) {
  if (!(error instanceof SallyportError)) throw error;
  process.stdout.write(JSON.stringify({ code: error.code, message: error.message }));
}
