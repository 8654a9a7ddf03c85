/** When a userspace stack's device makes its turns: two of them, joined by a wire that counts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { StackDevice } from '../../../src/node/devices/stack-device.ts';
import { StackSocket } from '../../../src/node/ip/stack-socket.ts';
import { ipOf } from '../../core/ip/stack-pair.ts';

const [HERE, FAR] = [ipOf('10.9.0.1'), ipOf('10.9.0.2')];
const MTU = 1_400;
const PORT = 80;
/** IPv4, TCP and timestamps. */
const HEADERS = 52;

describe('the device of a userspace stack', () => {
  it('sends in full segments what one turn of the event loop brings piece by piece', async () => {
    const [near, far] = [HERE, FAR].map((address) => new StackDevice({ addresses: [address], mtu: MTU })) as [StackDevice, StackDevice];
    let withData = 0;
    near.start((packets) => {
      withData += packets.filter(({ start, end }) => end - start > HEADERS).length;
      far.write(packets);
    });
    far.start((packets) => near.write(packets));
    const listener = far.stack.listen(PORT);
    const target = { host: '10.9.0.2', port: PORT, noDelay: true };
    const socket = StackSocket.connect(near, target, () => Promise.resolve([FAR]));
    await once(socket, 'connect');
    withData = 0;
    const { promise, resolve } = Promise.withResolvers<number>();
    let bytes = 0;
    listener.onReady = () => {
      const connection = listener.accept();
      if (connection === undefined) return;
      const look = () => {
        for (let chunk = connection.read(); chunk !== undefined; chunk = connection.read()) bytes += chunk.length;
        if (connection.hasEnded) resolve(bytes);
      };
      connection.onReady = look;
      look();
    };
    listener.onReady();
    for (let i = 0; i < 100; i++) {
      socket.write(Buffer.alloc(100, i));
      await Promise.resolve(); // as when each piece comes by an event of its own
    }
    socket.end();
    assert.equal(await promise, 10_000);
    assert.equal(withData, Math.ceil(10_000 / (MTU - HEADERS)));
    socket.destroy();
    await Promise.all([near.close(), far.close()]);
  });
});
