/**
 * Our gateway as an Array gateway, beside AnyConnect on the same port: Debian's openconnect 9.01 with `--protocol=array`, and our own client in its place.
 *
 * Read first: spec "Array", sections 4, 5 and 7.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DROP_IN } from '../../support/drop-in.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { sized } from '../../support/size.ts';
import { INSIDE, skip } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const SETTINGS = { 'vpn-protocols': 'array anyconnect' };
const ARGS = ['--protocol=array', '--form-entry=form:method='];
const AMOUNTS = { up: sized(4e6, 100e6), down: sized(4e6, 100e6) };

for (const { name, command } of [
  { name: 'openconnect', command: OPENCONNECT },
  { name: 'our client', command: DROP_IN },
]) {
  describe(`${name} with --protocol=array at our gateway`, { skip, concurrency: 2, timeout: sized(240_000, 1_800_000) }, () => {
    it('has a tunnel by which every byte passes, also after a reconnect, beside AnyConnect, until it logs out', async () => {
      await using scene = await openGateway({ settings: SETTINGS });
      const [client, anyconnect] = await Promise.all([
        scene.connect({ command, args: ARGS }),
        scene.connect({ command, namespace: scene.lab.router }),
      ]);
      const { ipv4 } = await client.configured();
      await anyconnect.disconnect();
      await scene.assertAnswers(INSIDE.ipv4);
      await scene.transfer(INSIDE.ipv4, AMOUNTS);
      const [user] = await scene.ocserv.control.users();
      assert.deepEqual([user?.Username, user?.IPv4], ['alice', ipv4]);
      const before = client.program.output.length;
      client.program.signal('SIGUSR2');
      await client.program.waitFor(/^script reconnect ended with 0$/m, { after: before });
      await scene.assertAnswers(INSIDE.ipv4);
      await scene.disconnect(client);
      assert.deepEqual([await scene.ocserv.control.users(), await scene.ocserv.control.sessions()], [[], []]);
    });

    it('ends with status 1 if its cookie is dead', async () => {
      await using scene = await openGateway({ settings: SETTINGS });
      const client = await scene.start({
        command,
        args: ['--protocol=array', '--cookie-on-stdin'],
        input: `ANsession1=${'a'.repeat(64)}\n`,
      });
      assert.equal((await client.program.finish()).code, 1, client.program.describe());
    });
  });
}
