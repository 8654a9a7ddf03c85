/**
 * Debian's openconnect against Debian's ocserv, through the lab. It proves the lab, and it is the reference: what our client must do as well.
 *
 * Read first: spec "AnyConnect", sections 4, 7, 8 and 10.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Capture, checksumFault } from '../support/capture.ts';
import { Faults } from '../support/faults.ts';
import { Lab } from '../support/lab.ts';
import { ALICE, Ocserv } from '../support/ocserv.ts';
import { OpenConnect, type OpenConnectOptions } from '../support/openconnect.ts';
import { Relay } from '../support/relay.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT, sized } from '../support/size.ts';
import { assertUnchanged, differences, takeSnapshot } from '../support/snapshot.ts';
import { assertAnswers, ping, TrafficPeer, type TrafficTarget } from '../support/traffic.ts';

const skip = missing('root', 'netns', 'tun', 'ocserv', 'openconnect', 'nft', 'ping', 'tcpdump', 'openssl');

/** Inside addresses of the gateway, and the networks behind it. */
const INSIDE = { ipv4: '10.77.0.1', ipv6: 'fd77::1' };
const ROUTES = ['10.77.0.0/16', 'fd77::/64'];

/** What openconnect says of a DTLS channel before and after it has searched for its MTU. */
const HAS_DTLS = /^(connected|established)$/;

const MEGABYTES = sized(20, 200);

/** Alice's tunnel, up: the client's own options go over hers. */
async function connect(lab: Lab, ocserv: Ocserv, options: Partial<OpenConnectOptions> = {}): Promise<OpenConnect> {
  const client = await OpenConnect.start(lab.client, { gateway: ocserv.gateway, pin: ocserv.pin, user: ALICE, ...options });
  await client.up();
  return client;
}

/** Programs for traffic at both ends, the server's listening inside the tunnel. */
async function traffic(lab: Lab): Promise<{ client: TrafficPeer; server: TrafficPeer; ipv4: TrafficTarget; ipv6: TrafficTarget }> {
  const [client, server] = await Promise.all([TrafficPeer.start(lab.client), TrafficPeer.start(lab.server)]);
  return { client, server, ipv4: await server.listen(INSIDE.ipv4), ipv6: await server.listen(INSIDE.ipv6) };
}

describe('openconnect and ocserv', { skip, timeout: HANG_LIMIT }, () => {
  it('carry every byte and every packet in order over DTLS, and leave no trace', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab, { settings: { route: ROUTES, dns: [INSIDE.ipv4], banner: 'Welcome inside' } });
    const before = await takeSnapshot(lab.client);
    const client = await connect(lab, ocserv);
    const { ipv4, ipv6, dtls } = await client.configured();
    assert.match(dtls, HAS_DTLS);
    await client.program.waitFor(/Established DTLS connection .*\(DTLS1\.2\)-\(PSK\)-\(AES-256-GCM\)/);
    await client.program.waitFor(/^\| Welcome inside$/m);

    const [user] = await ocserv.control.users();
    assert.equal(user?.Username, 'alice');
    assert.equal(user.State, 'connected');
    assert.equal(user.IPv4, ipv4);
    assert.equal(`${user.IPv6}/128`, ipv6);
    assert.equal(user['DTLS cipher'], '(DTLS1.2)-(PSK)-(AES-256-GCM)');
    assert.equal(user.Hostname, 'client');

    const changes = differences(before, await takeSnapshot(lab.client));
    for (const expected of [
      /\+ device: .*tun0.* mtu 1434/,
      /\+ IPv4 route: 198\.51\.100\.2 via 192\.0\.2\.1/,
      /\+ .*resolv\.conf: nameserver 10\.77\.0\.1/,
    ]) {
      assert.ok(
        changes.some((change) => expected.test(change)),
        `${expected} in\n${changes.join('\n')}`,
      );
    }

    // 28 and 48 bytes are headers: these fill the tunnel's MTU, and are not cut on their way.
    await assertAnswers(lab.client, INSIDE.ipv4, { size: 1434 - 28, isWhole: true });
    await assertAnswers(lab.client, INSIDE.ipv6, { size: 1434 - 48, isWhole: true });

    const peers = await traffic(lab);
    const capture = await Capture.start(lab.server, lab.folder, 'vpns0');
    assert.deepEqual(await peers.client.sendDatagrams(peers.ipv4, { count: 300, size: 1200, burst: 4 }), {
      received: 300,
      doubled: 0,
      late: 0,
      damaged: 0,
    });
    assert.deepEqual(await peers.client.sendDatagrams(peers.ipv6, { count: 300, size: 1201, burst: 4 }), {
      received: 300,
      doubled: 0,
      late: 0,
      damaged: 0,
    });
    const packets = await capture.stop();
    assert.ok(packets.length >= 600);
    assert.deepEqual(packets.map(({ bytes }) => checksumFault(bytes)).filter(Boolean), []);

    for (const target of [peers.ipv4, peers.ipv6]) await peers.client.transfer(target, { up: MEGABYTES * 1e6, down: MEGABYTES * 1e6 });
    await Promise.all([peers.client.stop(), peers.server.stop()]);

    assert.equal((await client.disconnect()).code, 0);
    assertUnchanged(before, await takeSnapshot(lab.client));
    assert.deepEqual(await ocserv.control.users(), []);
  });

  it('fall back to TLS when UDP is dropped, after a dozen seconds of trying', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab, { settings: { route: ROUTES } });
    await new Faults(lab.router).block({ protocol: 'udp' });
    const client = await OpenConnect.start(lab.client, { gateway: ocserv.gateway, pin: ocserv.pin, user: ALICE });
    const start = performance.now();
    assert.equal((await client.up({ within: 30_000 })).dtls, 'in progress');
    const seconds = (performance.now() - start) / 1000;
    assert.ok(seconds > 11 && seconds < 20, `${seconds} s`);
    const peers = await traffic(lab);
    await peers.client.transfer(peers.ipv4, { up: 2e6, down: 2e6 });
    await peers.client.transfer(peers.ipv6, { up: 2e6, down: 2e6 });
    assert.equal((await client.disconnect()).code, 0);
  });

  it('fall back to TLS at once when UDP is refused', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab, { settings: { route: ROUTES } });
    await new Faults(lab.router).block({ protocol: 'udp', how: 'reject' });
    const client = await connect(lab, ocserv);
    assert.equal((await client.configured()).dtls, 'disabled');
    await assertAnswers(lab.client, INSIDE.ipv4);
  });

  it('carry every byte over a link that loses, doubles and reorders packets', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab, { settings: { route: ROUTES } });
    const relay = await Relay.start(lab, { seed: 20 });
    const client = await connect(lab, ocserv, { gateway: relay.gateway });
    assert.match((await client.configured()).dtls, HAS_DTLS);
    const peers = await traffic(lab);
    await relay.change({ udp: { both: { delay: 5, jitter: 10, loss: 0.02, duplication: 0.02 } } });
    // Two a millisecond: the jitter holds 20 at a time, less than the 64 of a replay window.
    const report = await peers.client.sendDatagrams(peers.ipv4, { count: 1_000, size: 1_000, burst: 2 });
    assert.ok(report.received > 940 && report.received < 1_000, `${report.received} of 1000 arrived`);
    assert.ok(report.late > 100, `${report.late} were overtaken`);
    assert.equal(report.doubled, 0, 'the replay window lets no datagram through twice');
    const { lost, doubled } = (await relay.statistics()).udp;
    assert.ok(lost > 0 && doubled > 0);
    await peers.client.transfer(peers.ipv6, { up: 1e6, down: 1e6 });
    assert.equal((await client.disconnect()).code, 0);
  });

  it('end with code 1 and no trace when the gateway ends the session', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab, { settings: { dns: [INSIDE.ipv4] } });
    const before = await takeSnapshot(lab.client);
    const client = await connect(lab, ocserv);
    await ocserv.control.disconnectUser('alice');
    assert.equal((await client.program.finish()).code, 1);
    await client.program.waitFor(/Session terminated by server; exiting/).catch((error: unknown) => assert.fail(String(error)));
    assertUnchanged(before, await takeSnapshot(lab.client));
    await assert.rejects(ocserv.control.disconnectUser('alice'), /could not disconnect alice/);
  });

  it('come back by themselves over an IPv6 connection that was reset, and leave no trace in the end', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab, { settings: { route: ROUTES } });
    const before = await takeSnapshot(lab.client);
    const relay = await Relay.start(lab, { family: 6 });
    const client = await connect(lab, ocserv, { gateway: relay.gateway });
    const mark = client.program.output.length;
    await relay.resetTcp();
    await client.program.waitFor(/script attempt-reconnect ended/, { after: mark });
    await client.program.waitFor(/script reconnect ended/, { after: mark });
    await client.program.waitFor(/Established DTLS connection/, { after: mark });
    await assertAnswers(lab.client, INSIDE.ipv4);
    assert.equal((await client.disconnect()).code, 0);
    assertUnchanged(before, await takeSnapshot(lab.client));
  });

  it('leave no trace when the cable is pulled in the middle', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab, { settings: { route: ROUTES } });
    const before = await takeSnapshot(lab.client);
    const client = await connect(lab, ocserv);
    await lab.clientLink.unplug(lab.client);
    assert.equal((await ping(lab.client, INSIDE.ipv4, { count: 1 })).received, 0);
    assert.equal((await client.disconnect()).code, 0);
    await lab.clientLink.plug(lab.client);
    assertUnchanged(before, await takeSnapshot(lab.client));
  });

  it('keep a session for its cookie after a hang-up, but not over a restart of the gateway', async () => {
    await using lab = await Lab.open();
    const ocserv = await Ocserv.start(lab);
    const args = ['--authenticate', '--non-inter', '--user', ALICE.name, '--passwd-on-stdin', '--servercert', ocserv.pin, ocserv.gateway];
    const { stdout } = await lab.client.finish('openconnect', args, { input: `${ALICE.password}\n` });
    const cookie = /^COOKIE='(.*)'$/m.exec(stdout)?.[1] ?? '';
    const withCookie = { gateway: ocserv.gateway, pin: ocserv.pin, args: ['--cookie-on-stdin'], input: `${cookie}\n` };
    for (const round of [1, 2]) {
      const client = await OpenConnect.start(lab.client, withCookie);
      await client.up();
      client.program.signal('SIGHUP');
      assert.equal((await client.program.finish()).code, 0, `round ${round}`);
      assert.equal((await ocserv.control.sessions()).length, 1);
    }
    await ocserv.restart();
    const refused = await OpenConnect.start(lab.client, withCookie);
    assert.equal((await refused.program.finish()).code, 2);
    assert.match(refused.program.output, /401 Cookie is not acceptable/);
  });
});
