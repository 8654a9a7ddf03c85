/** Opens a script device with the command of its argument, waits for a packet from it and exits without closing anything. */

import { packetOf } from '../../../src/core/tunnel/packet.ts';
import { ScriptTunDevice } from '../../../src/node/devices/script-tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';

const engine = await PacketEngine.start();
const device = await ScriptTunDevice.open(engine, { command: process.argv[2] ?? '', environment: process.env });
device.start(() => process.exit(0));
device.write([packetOf(Buffer.from('ready?'))]);
