/**
 * What is GlobalProtect's own at our gateway: one way or the other, never both, and keys that are over in time. Debian's openconnect 9.01, and our client.
 *
 * Read first: spec "GlobalProtect", sections 10.3, 10.5 and 11.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DROP_IN } from '../../support/drop-in.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { sized } from '../../support/size.ts';
import { INSIDE, skip } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const SETTINGS = { 'vpn-protocols': 'anyconnect gp' };
const PROTOCOL = '--protocol=gp';
/** A gateway that is silent is asked after two seconds, and is dead after five. */
const FORCE_DPD = '--force-dpd=2';
const LONG_TRANSFER = { up: 100e6, down: 100e6 };
const SMALL = { up: 4e6, down: 4e6 };

/** Each takes half a minute, in which it mostly waits. */
const tooLong = sized<string | false>('only with the long size', false);

for (const { name, command } of [
  { name: 'openconnect', command: OPENCONNECT },
  { name: 'our client', command: DROP_IN },
]) {
  describe(`${name} with ${PROTOCOL} at our gateway`, { skip: skip || tooLong, concurrency: 2, timeout: 300_000 }, () => {
    it('goes on by TLS when UDP is cut in the middle of a transfer, by which every byte passes, and stays there', async () => {
      await using scene = await openGateway({ settings: SETTINGS });
      const client = await scene.connect({ command, args: [PROTOCOL, FORCE_DPD] });
      assert.match((await client.configured()).dtls, /connected|established/);
      const transfer = scene.transfer(INSIDE.ipv4, LONG_TRANSFER);
      await scene.carried('tun0', 5e6);
      await scene.faults.block({ protocol: 'udp' });
      await transfer;
      const cipher = async () => (await scene.ocserv.control.users())[0]?.['DTLS cipher'];
      assert.equal(await cipher(), undefined);
      await scene.faults.clear();
      await scene.transfer(INSIDE.ipv6, SMALL);
      assert.equal(await cipher(), undefined, 'the gateway has forgotten the keys');
      await scene.disconnect(client);
    });

    it('goes on under the same keys when UDP is back before they are given up', async () => {
      await using scene = await openGateway({ settings: SETTINGS });
      const client = await scene.connect({ command, args: [PROTOCOL, FORCE_DPD] });
      const transfer = scene.transfer(INSIDE.ipv4, LONG_TRANSFER);
      await scene.carried('tun0', 5e6);
      await scene.faults.block({ protocol: 'udp' });
      const before = scene.deviceBytes('tun0');
      await scene.faults.clear();
      await transfer;
      assert.ok(scene.deviceBytes('tun0') > before);
      const [user] = await scene.ocserv.control.users();
      assert.match(user?.['DTLS cipher'] ?? '', /ESP/);
      await scene.disconnect(client);
    });

    it('comes by ESP over IPv6 as well', async () => {
      await using scene = await openGateway({ family: 6, settings: SETTINGS });
      const client = await scene.connect({ command, args: [PROTOCOL] });
      assert.match((await client.configured()).dtls, /connected|established/);
      for (const address of [INSIDE.ipv4, INSIDE.ipv6]) await scene.transfer(address, LONG_TRANSFER);
      await scene.disconnect(client);
    });

    it('keeps to the rate that it is given, by ESP as well', async () => {
      const rate = 600_000;
      await using scene = await openGateway({ settings: { ...SETTINGS, 'rx-data-per-sec': rate, 'tx-data-per-sec': rate } });
      const client = await scene.connect({ command, args: [PROTOCOL] });
      assert.match((await client.configured()).dtls, /connected|established/);
      const bytes = 6e6;
      for (const amounts of [
        { up: bytes, down: 0 },
        { up: 0, down: bytes },
      ]) {
        const measured = (bytes - rate) / (await scene.transfer(INSIDE.ipv4, amounts));
        assert.ok(measured > 0.7 * rate && measured < 1.2 * rate, `${measured} bytes a second of ${rate}, ${JSON.stringify(amounts)}`);
      }
      await scene.disconnect(client);
    });

    it('gets new keys in time, in the middle of transfers, by ESP and by TLS', async () => {
      for (const args of [[], ['--no-dtls']]) {
        await using scene = await openGateway({ settings: { ...SETTINGS, 'rekey-time': 70 } });
        const client = await scene.connect({ command, args: [PROTOCOL, ...args] });
        const { ipv4 } = await client.configured();
        const before = client.program.output.length;
        const rekeyed = client.program.waitFor(/^script reconnect ended with 0$|rekey due/m, { after: before, within: 60_000 });
        let isOver = false;
        void rekeyed.finally(() => {
          isOver = true;
        });
        while (!isOver) await scene.transfer(INSIDE.ipv4, SMALL);
        await rekeyed;
        await scene.transfer(INSIDE.ipv6, SMALL);
        const [user] = await scene.ocserv.control.users();
        assert.equal(user?.IPv4, ipv4);
        await scene.disconnect(client);
      }
    });
  });
}
