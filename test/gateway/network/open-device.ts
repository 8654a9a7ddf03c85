/** Opens a gateway's device, says its name, and stays until it is killed. */

import { GatewayDevice } from '../../../src/gateway/network/gateway-device.ts';
import { cidr } from './lease-requests.ts';

const device = await GatewayDevice.open({ device: 'vpns', queues: 2, mtu: 1400, pools: [cidr('10.78.0.0/24')] });
console.log(device.name);
setInterval(() => undefined, 60_000);
