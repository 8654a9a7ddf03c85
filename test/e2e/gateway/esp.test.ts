/**
 * Tunnels by ESP at our gateway, and what can happen to them: UDP that stops in the middle of a transfer and comes back, keys that change meanwhile, an
 * outer network of IPv6. With Debian's openconnect 9.01 and our own client.
 *
 * Read first: spec "ESP", sections 5.3 to 5.6.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DROP_IN } from '../../support/drop-in.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { sized } from '../../support/size.ts';
import { INSIDE, skip } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: sized(240_000, 900_000) };

const VENDORS = [{ vendor: 'pulse', inside: [INSIDE.ipv4, INSIDE.ipv6], families: [4, 6] }] as const;

const CLIENTS = [
  { name: 'openconnect', command: OPENCONNECT },
  { name: 'our client', command: DROP_IN },
] as const;

const ESTABLISHED = /^ESP session established with server$/m;
const IS_DEAD = /ESP detected dead peer|datagram down/;

const TIMES = { dpd: 1, 'rekey-time': 2 };
const LONG_TRANSFER = { up: sized(12e6, 200e6), down: sized(12e6, 200e6) };

for (const { vendor, inside, families } of VENDORS) {
  describe(`a tunnel of --protocol=${vendor} by ESP`, OPTIONS, () => {
    for (const { name, command } of CLIENTS) {
      it(`goes on by TLS when UDP stops in the middle of a transfer, comes back, and changes its keys: every byte arrives (${name})`, async () => {
        await using scene = await openGateway({ settings: { 'vpn-protocols': `anyconnect ${vendor}`, ...TIMES } });
        const client = await scene.connect({ command, args: [`--protocol=${vendor}`] });
        await client.program.waitFor(ESTABLISHED);
        const mark = client.program.output.length;
        const transfer = scene.transfer(INSIDE.ipv4, LONG_TRANSFER);
        await scene.carried('tun0', 4e6);
        await scene.faults.block({ protocol: 'udp' });
        await client.program.waitFor(IS_DEAD, { after: mark });
        await scene.carried('tun0', 2e6);
        await scene.faults.clear();
        await transfer;
        // It may take a minute; the everyday run has that in memory.
        if (sized(false, true)) {
          await client.program.waitFor(ESTABLISHED, { after: mark, within: 75_000 });
          await scene.transfer(INSIDE.ipv4, { up: 4e6, down: 4e6 });
        }
        for (const address of inside) await scene.assertAnswers(address);
        assert.doesNotMatch(client.program.output, /script attempt-reconnect/, 'the session is the same');
        await scene.disconnect(client);
      });

      // The everyday run shows that over IPv4, in vendors.test.ts.
      for (const family of sized<readonly (4 | 6)[]>([], families)) {
        it(`comes over IPv${family} (${name})`, async () => {
          await using scene = await openGateway({ family, settings: { 'vpn-protocols': `anyconnect ${vendor}` } });
          const client = await scene.connect({ command, args: [`--protocol=${vendor}`] });
          await client.program.waitFor(ESTABLISHED);
          for (const address of inside) await scene.transfer(address, { up: sized(2e6, 100e6), down: sized(2e6, 100e6) });
          const [user] = await scene.ocserv.control.users();
          assert.match(user?.['DTLS cipher'] ?? '', /^ESP-/);
          await scene.disconnect(client);
        });
      }
    }
  });
}
