/**
 * Our gateway as one of another vendor, beside AnyConnect on the same port: Debian's openconnect 9.01 with `--protocol`, and our own client in its place.
 *
 * Read first: specs "Fortinet", "F5", "GlobalProtect", "Juniper NC" and "Pulse"; spec "Client command line", sections 7 and 8.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DROP_IN } from '../../support/drop-in.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { Pki } from '../../support/pki.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { INSIDE, skip } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: sized(HANG_LIMIT, 1_800_000) };

const BOTH = { inside: [INSIDE.ipv4, INSIDE.ipv6], hasDatagrams: true } as const;

/** How a client ends that an administrator has thrown out, where the protocol has a word for it. */
const SAID = { code: 1, says: /server (disconnected|terminated connection)|Received server disconnect/i };

/** The first of a host's protocols is the default, which decides where a first request does not tell. */
const VENDORS = [
  // AnyConnect stays the default: what is told apart is told by what Fortinet's clients say.
  {
    ...{ vendor: 'fortinet', settings: { 'vpn-protocols': 'anyconnect fortinet' }, deadCookie: `SVPNCOOKIE=${'x'.repeat(43)}` },
    ...{ ...BOTH, kicked: SAID },
  },
  // The first request of openconnect says nothing of what it speaks.
  {
    vendor: 'f5',
    settings: { 'vpn-protocols': 'f5 anyconnect' },
    deadCookie: `MRHSession=${'a'.repeat(64)}; F5_ST=1z1z1z1795436305z604800`,
    ...{ ...BOTH, kicked: SAID },
  },
  // Clients log in at its portal. There is no goodbye in its tunnel: the client comes back, and hears then that the cookie is dead.
  {
    ...{ vendor: 'gp', settings: { 'vpn-protocols': 'anyconnect gp', portal: true }, ...BOTH, kicked: { code: 2, says: /cookie/i } },
    deadCookie: `authcookie=${'0'.repeat(64)}&portal=sallyport&user=alice&domain=%28empty_domain%29&computer=vm`,
  },
  // Its clients say a word of their own in each request. Packets are of IPv4 alone.
  {
    ...{ vendor: 'nc', settings: { 'vpn-protocols': 'nc anyconnect' }, deadCookie: `DSID=${'a'.repeat(64)}` },
    ...{ inside: [INSIDE.ipv4], hasDatagrams: true, hasEsp: true, kicked: SAID },
  },
  {
    ...{ vendor: 'pulse', settings: { 'vpn-protocols': 'anyconnect pulse' }, deadCookie: 'x'.repeat(43) },
    ...{ ...BOTH, hasEsp: true, hasEspOverIpv6: true, asksInside: true, kicked: SAID },
  },
] as const;

const AMOUNTS = { up: sized(4e6, 100e6), down: sized(4e6, 100e6) };

/** openconnect's words, and ours. */
const ESP_IS_UP = /^ESP session established with server$|^Established \S+ connection .*ESP-/m;
const ESP_IS_DOWN = /^ESP detected dead peer$|^datagram down/m;
const ESP_REKEY = /^ESP SPI \(outbound\)|^datagram rekey/m;

/** A transfer that takes seconds. */
const LONG_TRANSFER = { up: sized(16e6, 200e6), down: sized(16e6, 200e6) };

const WAYS = [
  { way: 'TLS', args: ['--no-dtls'] },
  { way: 'UDP', args: [] },
] as const;

const CLIENTS = [
  { name: 'openconnect', command: OPENCONNECT },
  { name: 'our client', command: DROP_IN },
] as const;

for (const { vendor, settings, deadCookie, inside, hasDatagrams, kicked, ...more } of VENDORS) {
  const protocol = `--protocol=${vendor}`;
  for (const { name, command } of CLIENTS) {
    describe(`${name} with ${protocol} at our gateway`, OPTIONS, () => {
      for (const { way, args } of WAYS.filter((each) => hasDatagrams || each.way === 'TLS')) {
        it(`has a tunnel over ${way} of all its families, by which every byte passes, also after a reconnect, until it logs out`, async () => {
          await using scene = await openGateway({ settings });
          const client = await scene.connect({ command, args: [protocol, ...args] });
          const { ipv4, dtls } = await client.configured();
          assert.match(dtls, way === 'UDP' ? /connected|established|in progress/ : /disabled/);
          // Observed: openconnect does not wait for ESP.
          if (dtls === 'in progress') await client.program.waitFor(ESP_IS_UP);
          await scene.assertAnswers(INSIDE.ipv4);
          for (const address of inside) await scene.transfer(address, AMOUNTS);
          const [user] = await scene.ocserv.control.users();
          assert.deepEqual([user?.Username, user?.IPv4], ['alice', ipv4]);
          const before = client.program.output.length;
          client.program.signal('SIGUSR2');
          // Observed: openconnect runs no script for a new DTLS connection, nor where it asks by ESP again.
          const isBack = /^script reconnect ended with 0$|from OPENED to NETWORK on DTLS|^ESP tunnel connected/m;
          await client.program.waitFor(isBack, { after: before });
          for (const address of inside) await scene.assertAnswers(address);
          await scene.disconnect(client);
          await scene.assertLoggedOut();
        });
      }

      it('ends when an administrator ends its session, and is told so', async () => {
        await using scene = await openGateway({ settings });
        const client = await scene.connect({ command, args: [protocol, '--no-dtls'] });
        await scene.ocserv.control.disconnectUser('alice');
        const { code } = await client.program.finish();
        assert.equal(code, kicked.code, client.program.describe());
        assert.match(client.program.describe(), kicked.says);
        await scene.assertNoTrace();
      });

      if (hasDatagrams) {
        it('has its tunnel by TLS if nothing by UDP arrives', async () => {
          await using scene = await openGateway({ settings });
          await scene.faults.block({ protocol: 'udp' });
          const client = await scene.connect({ command, args: [protocol] });
          for (const address of inside) await scene.transfer(address, { up: 1e6, down: 1e6 });
          await scene.disconnect(client);
          await scene.assertLoggedOut();
        });
      }

      // A matter of the gateway, too, and the same with each vendor: everyday one of them shows it.
      if ('hasEsp' in more && sized(command === OPENCONNECT && vendor === 'nc', true)) {
        it('loses nothing when keys change, nor when UDP stops in the middle of a transfer', async () => {
          await using scene = await openGateway({ settings: { ...settings, dpd: 2, 'rekey-time': 1 } });
          const client = await scene.connect({ command, args: [protocol, '--force-dpd', '2'] });
          const { program } = client;
          await program.waitFor(ESP_IS_UP);
          await program.waitFor(ESP_REKEY, { after: program.output.search(ESP_IS_UP) });
          await scene.transfer(INSIDE.ipv4, { up: 1e6, down: 1e6 });
          const transfer = scene.transfer(INSIDE.ipv4, LONG_TRANSFER);
          await scene.carried('tun0', sized(3e6, 20e6));
          await scene.faults.block({ protocol: 'udp' });
          await program.waitFor(ESP_IS_DOWN, { within: 30_000 });
          await transfer;
          await scene.disconnect(client);
        });
      }

      if ('hasEspOverIpv6' in more && sized(false, true)) {
        it('comes by ESP over IPv6', async () => {
          await using scene = await openGateway({ family: 6, settings });
          const client = await scene.connect({ command, args: [protocol] });
          await client.program.waitFor(ESP_IS_UP);
          for (const address of inside) await scene.transfer(address, AMOUNTS);
          const [user] = await scene.ocserv.control.users();
          assert.match(user?.['DTLS cipher'] ?? '', /^ESP-/);
          await scene.disconnect(client);
        });
      }

      if ('hasEsp' in more && sized(false, true)) {
        it('comes back to UDP', async () => {
          await using scene = await openGateway({ settings: { ...settings, dpd: 2 } });
          const client = await scene.connect({ command, args: [protocol, '--force-dpd', '2'] });
          const { program } = client;
          await program.waitFor(ESP_IS_UP);
          await scene.faults.block({ protocol: 'udp' });
          await program.waitFor(ESP_IS_DOWN, { within: 30_000 });
          const blocked = program.output.length;
          const transfer = scene.transfer(INSIDE.ipv4, LONG_TRANSFER);
          await scene.faults.clear();
          await program.waitFor(ESP_IS_UP, { after: blocked, within: 90_000 }); // it is tried each minute
          await transfer;
          await scene.transfer(INSIDE.ipv4, LONG_TRANSFER);
          await scene.disconnect(client);
        });
      }

      // Everyday our client shows it in memory.
      if ('asksInside' in more && sized(command === OPENCONNECT, true)) {
        it('shows its certificate inside of what it speaks, where the host serves nobody else', async () => {
          using pki = new Pki();
          const own = pki.issueClient({ uid: 'alice' });
          const login = { login: 'certificate', clientAuthority: pki.root.certificatePath } as const;
          await using scene = await openGateway({ ...login, settings: { 'vpn-protocols': vendor } });
          const shown = ['--certificate', own.certificatePath, '--sslkey', own.keyPath];
          const client = await scene.connect({ command, args: [protocol, ...shown] });
          await scene.assertAnswers(INSIDE.ipv4);
          const [user] = await scene.ocserv.control.users();
          assert.equal(user?.Username, 'alice');
          client.program.signal('SIGUSR2');
          await client.program.waitFor(/^script reconnect ended with 0$|^ESP tunnel connected/m);
          await scene.assertAnswers(INSIDE.ipv4);
          await scene.disconnect(client);
          const refused = await scene.start({ command, args: [protocol] });
          assert.notEqual((await refused.program.finish()).code, 0);
          assert.match(refused.program.describe(), /certificate/i);
        });
      }

      it('ends with status 2 if its cookie is dead', async () => {
        await using scene = await openGateway({ settings });
        const client = await scene.start({ command, args: [protocol, '--cookie-on-stdin'], input: `${deadCookie}\n` });
        assert.equal((await client.program.finish()).code, 2, client.program.describe());
      });

      // A matter of the gateway: everyday one client shows it.
      if (sized(command === OPENCONNECT, true)) {
        it('is beside AnyConnect, which others speak on the same port', async () => {
          await using scene = await openGateway({ settings });
          const [other, anyconnect] = await Promise.all([
            scene.connect({ command, args: [protocol] }),
            scene.connect({ command, namespace: scene.lab.router }),
          ]);
          await scene.assertAnswers(INSIDE.ipv4);
          assert.equal((await scene.ocserv.control.users()).length, 2);
          await Promise.all([other.disconnect(), anyconnect.disconnect()]);
        });
      }
    });
  }
}
