/**
 * What goes wrong under a tunnel to our gateway, and how openconnect (our client, where it says so) and the session get over it: UDP blocked, lost, reordered, from another port; TLS
 * silent or reset; another address; a worker killed; the gateway restarted.
 *
 * Read first: spec "AnyConnect", sections 7.9, 9.1, 9.2, 10.1 and 10.2.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DROP_IN } from '../../support/drop-in.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { cipherOfDatagrams, INSIDE, logIn, skip } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: sized(HANG_LIMIT, 900_000) };

/** openconnect asks after so many seconds of silence, and gives a path up after twice as many. */
const DPD_SECONDS = 2;
const FORCE_DPD = ['--force-dpd', String(DPD_SECONDS)];

const CLIENTS = [
  ['openconnect', OPENCONNECT],
  ['our client', DROP_IN],
] as const;

const LONG_TRANSFER = { up: sized(20e6, 200e6), down: sized(20e6, 200e6) };

describe('a tunnel to our gateway, with a UDP that', OPTIONS, () => {
  it('is dropped from the start, goes by TLS at once, and by DTLS when it is back', async () => {
    await using scene = await openGateway();
    await scene.faults.block({ protocol: 'udp' });
    const client = await scene.connect();
    await scene.transfer(INSIDE.ipv4, { up: 2e6, down: 2e6 });
    await scene.transfer(INSIDE.ipv6, { up: 2e6, down: 2e6 });
    assert.doesNotMatch(client.program.output, /Established DTLS/);
    await scene.faults.clear();
    // Observed: openconnect tries again after a minute at the soonest; a detach makes it try at once.
    client.program.signal('SIGUSR2');
    await cipherOfDatagrams(client);
    await scene.transfer(INSIDE.ipv4, { up: 2e6, down: 2e6 });
    await scene.disconnect(client);
  });

  for (const [name, command] of CLIENTS) {
    it(`stops in the middle of a transfer, goes on by TLS, and every byte arrives: ${name}`, async () => {
      await using scene = await openGateway({ command, settings: { dpd: DPD_SECONDS } });
      const client = await scene.connect({ args: FORCE_DPD });
      await cipherOfDatagrams(client);
      const mark = client.program.output.length;
      const transfer = scene.transfer(INSIDE.ipv4, LONG_TRANSFER);
      await scene.carried('tun0', 5e6);
      await scene.faults.block({ protocol: 'udp' });
      await client.program.waitFor(/DTLS Dead Peer Detection detected dead peer|DTLS handshake|datagram down/, { after: mark });
      await scene.carried('tun0', 2e6);
      await transfer;
      assert.doesNotMatch(client.program.output, /script attempt-reconnect/, 'the session is the same');
      await scene.disconnect(client);
    });
  }

  it('loses, doubles and reorders, lets no packet through twice, and every byte arrives', async () => {
    await using scene = await openGateway({ relay: { seed: 20 } });
    const client = await scene.connect();
    await cipherOfDatagrams(client);
    const { near, far } = await scene.peers();
    await scene.relay.change({ udp: { both: { delay: 5, jitter: 10, loss: 0.05, duplication: 0.05 } } });
    const own = (await client.configured()).ipv4 ?? '';
    const up = await near.sendDatagrams(await scene.target(INSIDE.ipv4), { count: 1_000, size: 1_000, burst: 2 });
    const down = await far.sendDatagrams(await near.listen(own), { count: 1_000, size: 1_000, burst: 2 });
    for (const report of [up, down]) {
      // 950 on average; 50 is six standard deviations and more.
      assert.ok(report.received > 900 && report.received < 1_000, `${report.received} of 1000 arrived`);
      assert.ok(report.late > 100, `${report.late} were overtaken`);
      assert.equal(report.doubled, 0, 'the replay window lets no datagram through twice');
    }
    await scene.transfer(INSIDE.ipv6, { up: sized(1e6, 20e6), down: sized(1e6, 20e6) });
    await scene.disconnect(client);
  });

  it('comes from another port after the translator has forgotten it, goes on', async () => {
    await using scene = await openGateway({ relay: {} });
    const client = await scene.connect({ args: FORCE_DPD });
    await cipherOfDatagrams(client);
    await scene.assertAnswers();
    await scene.relay.rebindUdp();
    await scene.assertAnswers(INSIDE.ipv4, { count: 20, interval: 100, deadline: 30_000 });
    await scene.transfer(INSIDE.ipv6, { up: 4e6, down: 4e6 });
    assert.doesNotMatch(client.program.output, /script attempt-reconnect/, 'the session is the same');
    await scene.disconnect(client);
  });
});

describe('a session at our gateway', OPTIONS, () => {
  for (const [name, command] of CLIENTS) {
    it(`whose client falls silent is dropped, and its cookie stays: ${name}`, async () => {
      await using scene = await openGateway({ command, settings: { dpd: DPD_SECONDS } });
      const client = await scene.connect();
      const { ipv4, ipv6 } = await client.configured();
      await scene.faults.block({ protocol: 'tcp' }, { protocol: 'udp' });
      await scene.ocserv.program.waitFor(/user disconnected .*reason="DPD timeout"/);
      assert.equal((await scene.ocserv.control.sessions()).length, 1);
      await scene.faults.clear();
      client.program.signal('SIGUSR2');
      await client.program.waitFor(/script reconnect ended with 0/);
      await scene.assertAnswers();
      const [user] = await scene.ocserv.control.users();
      assert.deepEqual([user?.IPv4, `${user?.IPv6}/128`], [ipv4, ipv6]);
      await scene.disconnect(client);
    });
  }

  for (const [name, command] of CLIENTS) {
    it(`comes back with its addresses when its connection was reset in the middle of a transfer, and no byte is lost: ${name}`, async () => {
      await using scene = await openGateway({ command, relay: {} });
      const client = await scene.connect();
      const { ipv4, ipv6 } = await client.configured();
      const mark = client.program.output.length;
      const transfer = scene.transfer(INSIDE.ipv4, LONG_TRANSFER);
      await scene.carried('tun0', 5e6);
      await scene.relay.resetTcp();
      await client.program.waitFor(/script reconnect ended with 0/, { after: mark });
      await transfer;
      const [user, ...others] = (await scene.ocserv.control.users()).filter(({ State }) => State === 'connected');
      assert.deepEqual(others, []);
      assert.deepEqual([user?.IPv4, `${user?.IPv6}/128`], [ipv4, ipv6]);
      await scene.disconnect(client);
    });
  }

  it('goes over to another client that brings its cookie from another address, unless deny-roaming is set', async () => {
    for (const denies of [false, true]) {
      await using scene = await openGateway({ settings: { 'deny-roaming': denies } });
      const cookie = await logIn(scene);
      const byCookie = { args: ['--cookie-on-stdin'], input: `${cookie}\n` };
      const client = await scene.connect(byCookie);
      const { ipv4, ipv6 } = await client.configured();
      // The router is a machine of its own, with another address outside.
      const other = await scene.start({ ...byCookie, namespace: scene.lab.router });
      if (denies) {
        assert.equal((await other.program.finish()).code, 2, other.program.describe());
        await scene.assertAnswers();
        await scene.disconnect(client);
      } else {
        await client.program.finish();
        await other.up();
        const taken = await other.configured();
        assert.deepEqual([taken.ipv4, taken.ipv6], [ipv4, ipv6]);
        assert.equal((await other.disconnect()).code, 0);
      }
    }
  });

  for (const [name, command] of CLIENTS) {
    it(`outlives a restart of the gateway, the same cookie, the same addresses: ${name}`, async () => {
      await using scene = await openGateway({ command });
      const client = await scene.connect();
      const { ipv4, ipv6 } = await client.configured();
      await scene.ocserv.restart();
      client.program.signal('SIGUSR2');
      await client.program.waitFor(/script reconnect ended with 0/);
      await scene.assertAnswers();
      const [user] = await scene.ocserv.control.users();
      assert.deepEqual([user?.IPv4, `${user?.IPv6}/128`], [ipv4, ipv6]);
      await scene.disconnect(client);
    });
  }

  it('is not harmed by the end of another worker, and comes back after that of its own', async () => {
    await using scene = await openGateway({ debugLevel: 3 });
    const cookie = await logIn(scene);
    const client = await scene.connect();
    const other = await scene.start({ args: ['--cookie-on-stdin'], input: `${cookie}\n`, namespace: scene.lab.router });
    await other.up();
    const workers = [...scene.ocserv.log.matchAll(/worker ready worker=\d+ pid=(\d+)/g)].map(([, pid]) => Number(pid));
    assert.ok(workers.length >= 2, scene.ocserv.log);
    const marks = [client, other].map(({ program }) => program.output.length);
    process.kill(workers[0] ?? 0, 'SIGKILL');
    await scene.ocserv.program.waitFor(/worker has died/);
    const back = await Promise.race(
      [client, other].map(async ({ program }, i) => {
        await program.waitFor(/script reconnect ended with 0/, { after: marks[i] ?? 0 });
        return i;
      }),
    );
    const unharmed = [client, other][1 - back];
    assert.doesNotMatch(unharmed?.program.output ?? '', /reconnect/, 'the other one had another worker');
    await scene.assertAnswers();
    await other.disconnect();
    await scene.disconnect(client);
  });

  it('ends with the gateway when the auth process dies: code 1, why, and no trace of it', async () => {
    await using scene = await openGateway();
    await scene.connect();
    const { stdout } = await scene.ocserv.control.run('--json', 'show', 'status');
    process.kill(Number((JSON.parse(stdout) as Record<string, unknown>)['Sec-mod PID']), 'SIGKILL');
    assert.equal((await scene.ocserv.program.finish()).code, 1, scene.ocserv.log);
    assert.match(scene.ocserv.log, /The auth process has died \(.*\), and the gateway with it/);
    assert.doesNotMatch(await scene.lab.server.run('ip', ['link']), /vpns/);
  });

  it('that was left for a while is there when its client comes back, on another machine as well', async () => {
    await using scene = await openGateway();
    const cookie = await logIn(scene);
    const byCookie = { args: ['--cookie-on-stdin'], input: `${cookie}\n` };
    const client = await scene.connect(byCookie);
    const { ipv4, ipv6 } = await client.configured();
    client.program.signal('SIGHUP'); // detach: it leaves without a word
    assert.equal((await client.program.finish()).code, 0, client.program.describe());
    await scene.ocserv.program.waitFor(/user disconnected /);
    const other = await scene.start({ ...byCookie, namespace: scene.lab.router });
    await other.up();
    const again = await other.configured();
    assert.deepEqual([again.ipv4, again.ipv6], [ipv4, ipv6]);
    await other.disconnect();
    const late = await scene.start(byCookie);
    assert.equal((await late.program.finish()).code, 2, 'logged off is over');
  });

  it('ends with code 2 where the cookie is known no more', async () => {
    await using scene = await openGateway();
    const client = await scene.start({ args: ['--cookie-on-stdin'], input: `webvpn=${Buffer.alloc(32, 7).toString('base64')}\n` });
    const { code, output } = await client.program.finish();
    assert.equal(code, 2, output);
    assert.match(output, /401 Cookie is not acceptable/);
    await scene.assertNoTrace();
  });

  it('is ended by occtl, cookie and all: the client ends with code 1 and does not come back', async () => {
    await using scene = await openGateway();
    const client = await scene.connect();
    await scene.ocserv.control.disconnectUser('alice');
    const { code, output } = await client.program.finish();
    assert.equal(code, 1, output);
    assert.doesNotMatch(output, /attempt-reconnect/);
    await scene.ocserv.control.assertNoSessions();
    await scene.assertNoTrace();
  });

  it('has its time to leave when the gateway is stopped', async () => {
    await using scene = await openGateway({ settings: { 'server-drain-ms': 20_000 } });
    const client = await scene.connect();
    const stopped = scene.ocserv.stop();
    await scene.assertAnswers();
    await scene.disconnect(client);
    await stopped;
    assert.match(scene.ocserv.log, /reason="user disconnected"/);
  });
});
