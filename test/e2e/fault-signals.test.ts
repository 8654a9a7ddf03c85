/**
 * Signals at any moment, and cables that are pulled: what the client does, and that nothing is left of it.
 *
 * Read first: spec "Client command-line contract", section 8 (signals); spec "AnyConnect", section 10.3.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HANG_LIMIT } from '../support/size.ts';
import { ping } from '../support/traffic.ts';
import { cipherOfDatagrams, INSIDE, logIn, skip, TunnelScene } from './tunnel-scene.ts';

const DNS = { settings: { dns: [INSIDE.ipv4] } };

/** A script that takes its time, and says when it begins. */
const SLOW_SCRIPT = 'echo "slow $reason begins"; sleep 1; /usr/share/vpnc-scripts/vpnc-script';

/** What DHCP does when the client comes to another network. */
async function moveAddress({ client }: TunnelScene, from: string, to: string): Promise<void> {
  await client.ip(`address del ${from}/24 dev eth0`, `address add ${to}/24 dev eth0`, 'route replace default via 192.0.2.1 dev eth0');
}

describe('a client that gets', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`${signal} logs the session off and ends with code 0`, async () => {
      await using scene = await TunnelScene.open(DNS);
      const client = await scene.connect();
      await scene.assertAnswers();
      client.program.signal(signal);
      const { code, output } = await client.program.finish();
      assert.equal(code, 0, output);
      assert.match(output, /Send BYE packet: Aborted by caller/);
      assert.match(output, /User cancelled \(SIGINT\/SIGTERM\); exiting\./);
      await scene.ocserv.control.assertNoSessions();
      await scene.assertNoTrace();
    });
  }

  it('SIGHUP ends with code 0 and leaves the session to whoever has its cookie', async () => {
    await using scene = await TunnelScene.open(DNS);
    const cookie = await logIn(scene);
    const byCookie = { args: ['--cookie-on-stdin'], input: `${cookie}\n` };
    const client = await scene.connect(byCookie);
    const { ipv4, ipv6 } = await client.configured();
    client.program.signal('SIGHUP');
    const { code, output } = await client.program.finish();
    assert.equal(code, 0, output);
    assert.match(output, /User detached from session \(SIGHUP\); exiting\./);
    assert.doesNotMatch(output, /BYE/);
    assert.equal((await scene.ocserv.control.sessions()).length, 1);
    await scene.assertNoTrace();
    const again = await scene.connect(byCookie);
    const second = await again.configured();
    assert.deepEqual([second.ipv4, second.ipv6], [ipv4, ipv6]);
    await scene.disconnect(again);
  });

  it('SIGUSR2 makes a new connection at once, and no byte of a running transfer is lost', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect();
    await cipherOfDatagrams(client);
    const transfer = scene.transfer(INSIDE.ipv4, { up: 40e6, down: 40e6 });
    for (const _round of [1, 2, 3]) {
      await scene.carried('tun0', 5e6);
      const mark = client.program.output.length;
      client.program.signal('SIGUSR2');
      await client.program.waitFor(/^Caller paused the connection$/m, { after: mark });
      await client.program.waitFor(/^User requested reconnect$/m, { after: mark });
      await client.program.waitFor(/script attempt-reconnect ended with 0/, { after: mark });
      await client.program.waitFor(/script reconnect ended with 0/, { after: mark });
      await cipherOfDatagrams(client, mark);
    }
    await transfer;
    assert.equal((await scene.ocserv.control.users()).length, 1);
    await scene.disconnect(client);
  });

  it('SIGINT while it reconnects ends with code 0 at once', async () => {
    await using scene = await TunnelScene.open({ ...DNS, relay: {} });
    const client = await scene.connect();
    await scene.faults.block({ protocol: 'tcp', port: 443, how: 'reject' });
    await scene.relay.resetTcp();
    await client.program.waitFor(/sleep 10s/);
    const start = performance.now();
    await scene.disconnect(client);
    assert.ok(performance.now() - start < 8_000);
  });

  it('SIGTERM while a connection attempt hangs ends with code 0 at once', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect({ args: ['--force-dpd', '1'] });
    await scene.faults.block({ protocol: 'tcp' }, { protocol: 'udp' });
    const mark = client.program.output.length;
    await client.program.waitFor(/Attempting to connect/, { after: mark });
    const start = performance.now();
    client.program.signal('SIGTERM');
    assert.equal((await client.program.finish()).code, 0);
    assert.ok(performance.now() - start < 8_000);
    await scene.assertNoTrace();
  });

  it('SIGTERM while its script connects lets the script end, and then undoes what it did', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.start({ script: SLOW_SCRIPT });
    await client.program.waitFor(/slow connect begins/);
    client.program.signal('SIGTERM');
    const { code, output } = await client.program.finish();
    assert.equal(code, 0, output);
    assert.match(output, /script connect ended with 0/);
    assert.match(output, /script disconnect ended with 0/);
    await scene.ocserv.control.assertNoSessions();
    await scene.assertNoTrace();
  });

  it('every signal again and again while it ends, it ends in peace', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect({ script: SLOW_SCRIPT });
    client.program.signal('SIGINT');
    await client.program.waitFor(/slow disconnect begins/);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const) client.program.signal(signal);
    const { code, output } = await client.program.finish();
    assert.equal(code, 0, output);
    assert.equal(output.match(/script disconnect ended with 0/g)?.length, 1);
    await scene.assertNoTrace();
  });

  it('SIGINT while it logs in ends with code 1 and has touched nothing', async () => {
    await using scene = await TunnelScene.open(DNS);
    await scene.faults.block({ protocol: 'tcp' });
    const client = await scene.start();
    await client.program.waitFor(/Attempting to connect/);
    client.program.signal('SIGINT');
    const { code, output } = await client.program.finish();
    assert.equal(code, 1, output);
    assert.doesNotMatch(output, /script /);
    await scene.assertNoTrace();
  });
});

describe('a client whose cable is pulled', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  it('for 20 seconds goes on as if nothing had been, and every byte arrives', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect();
    await cipherOfDatagrams(client);
    const mark = client.program.output.length;
    const transfer = scene.transfer(INSIDE.ipv4, { up: 40e6, down: 40e6 });
    await scene.carried('tun0', 5e6);
    await scene.lab.clientLink.unplugFor(scene.client, 20_000);
    await transfer;
    assert.doesNotMatch(client.program.output.slice(mark), /script |datagram down/);
    await scene.disconnect(client);
  });

  it('for 20 seconds notices where it is told to, and comes back with the cable', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect({ args: ['--force-dpd', '3'] });
    await cipherOfDatagrams(client);
    const mark = client.program.output.length;
    const transfer = scene.transfer(INSIDE.ipv4, { up: 40e6, down: 40e6 });
    await scene.carried('tun0', 5e6);
    await scene.lab.clientLink.unplugFor(scene.client, 20_000);
    await client.program.waitFor(/script reconnect ended with 0/, { after: mark, within: 40_000 });
    await transfer;
    await scene.disconnect(client);
  });

  it('and who gets SIGINT then ends with code 0, and leaves nothing', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect();
    await scene.lab.clientLink.unplug(scene.client);
    assert.equal((await ping(scene.client, INSIDE.ipv4, { count: 1 })).received, 0);
    assert.equal((await client.disconnect()).code, 0);
    await scene.lab.clientLink.plug(scene.client);
    await scene.assertNoTrace();
  });

  it('and who gets another address meanwhile comes back from there', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect({ args: ['--force-dpd', '2'] });
    const { ipv4 } = await client.configured();
    const mark = client.program.output.length;
    const { ipv4: own } = scene.lab.addresses.client;
    await moveAddress(scene, own, '192.0.2.77');
    await client.program.waitFor(/script reconnect ended with 0/, { after: mark, within: 40_000 });
    const [user] = await scene.ocserv.control.users();
    assert.deepEqual([user?.['Remote IP'], user?.IPv4], ['192.0.2.77', ipv4]);
    await scene.assertAnswers();
    assert.equal((await client.disconnect()).code, 0);
    await moveAddress(scene, '192.0.2.77', own);
    await scene.assertNoTrace();
  });
});
