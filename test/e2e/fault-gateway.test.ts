/**
 * A gateway that ends a session, goes away, comes back, or does not know the session any more.
 *
 * Read first: spec "AnyConnect", sections 5.4 (who ends a session, and how), 10.1 (reconnect), 10.2 (roaming and take-over) and 10.4 (exit codes).
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HANG_LIMIT, sized } from '../support/size.ts';
import { cipherOfDatagrams, INSIDE, logIn, skip, TunnelScene } from './tunnel-scene.ts';

/** Seconds that a try to connect may take: it is refused at once. */
const BUSY = 5;

describe('when the gateway', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  it('ends the session, the client ends with code 1 and does not come back', async () => {
    await using scene = await TunnelScene.open({ settings: { dns: [INSIDE.ipv4] } });
    const client = await scene.connect();
    await scene.ocserv.control.disconnectUser('alice');
    const { code, output } = await client.program.finish();
    assert.equal(code, 1, output);
    assert.match(output, /Session terminated by server; exiting\./);
    assert.match(output, /Send BYE packet: Server request/);
    assert.doesNotMatch(output, /attempt-reconnect/);
    await scene.assertNoTrace();
  });

  it('is stopped, the client ends and leaves nothing', async () => {
    await using scene = await TunnelScene.open({ settings: { dns: [INSIDE.ipv4] } });
    const client = await scene.connect({ args: ['--reconnect-timeout', '1'] });
    await scene.ocserv.stop();
    const { code, output } = await client.program.finish();
    assert.equal(code, 1, output);
    // Observed: whether ocserv 1.1.6 says goodbye to a session when it is stopped is a matter of luck.
    assert.match(output, /Session terminated by server; exiting\.|CSTP reconnect failed; exiting/);
    await scene.assertNoTrace();
  });

  it('is restarted and has forgotten the session, the client ends with code 2', async () => {
    await using scene = await TunnelScene.open({ relay: {}, settings: { dns: [INSIDE.ipv4] } });
    const client = await scene.connect();
    await scene.faults.block({ protocol: 'tcp' }, { protocol: 'udp' }); // so that it cannot say goodbye
    await scene.ocserv.restart();
    await scene.relay.resetTcp();
    await scene.faults.clear();
    client.program.signal('SIGUSR2');
    const { code, output } = await client.program.finish();
    assert.equal(code, 2, output);
    assert.match(output, /Got inappropriate HTTP CONNECT response: HTTP\/1\.1 401 Cookie is not acceptable/);
    assert.match(output, /Cookie was rejected by server; exiting\./);
    await scene.assertNoTrace();
  });

  it('revokes the cookie while the client is away, the client ends with code 2', async () => {
    await using scene = await TunnelScene.open({ relay: {}, settings: { dns: [INSIDE.ipv4] } });
    const client = await scene.connect();
    await scene.faults.block({ protocol: 'tcp' }, { protocol: 'udp' });
    await scene.ocserv.control.disconnectUser('alice');
    await scene.relay.resetTcp(); // or what the gateway said would come when the way is free
    await scene.faults.clear();
    client.program.signal('SIGUSR2');
    const { code, output } = await client.program.finish();
    assert.equal(code, 2, output);
    assert.match(output, /401 Cookie is not acceptable/);
    await scene.assertNoTrace();
  });

  it('resets the connection, the session comes back at once with the same addresses, and no byte is lost', async () => {
    await using scene = await TunnelScene.open({ relay: {} });
    const client = await scene.connect();
    const { ipv4, ipv6 } = await client.configured();
    await cipherOfDatagrams(client);
    const mark = client.program.output.length;
    const transfer = scene.transfer(INSIDE.ipv4, { up: 40e6, down: 40e6 });
    await scene.carried('tun0', 5e6);
    const start = performance.now();
    await scene.relay.resetTcp();
    await client.program.waitFor(/script attempt-reconnect ended with 0/, { after: mark });
    await client.program.waitFor(/script reconnect ended with 0/, { after: mark });
    assert.ok(performance.now() - start < 8_000, 'at once, and not after 10 seconds');
    await cipherOfDatagrams(client, mark);
    await transfer;
    const [user, ...others] = await scene.ocserv.control.users();
    assert.deepEqual(others, []);
    assert.deepEqual([user?.IPv4, `${user?.IPv6}/128`], [ipv4, ipv6]);
    await scene.disconnect(client);
  });

  it('is gone and comes back within the time, the client tries again after 10 seconds', async () => {
    await using scene = await TunnelScene.open({ relay: {}, settings: { dns: [INSIDE.ipv4] } });
    const client = await scene.connect();
    const mark = client.program.output.length;
    await scene.faults.block({ protocol: 'tcp', port: 443, how: 'reject' });
    await scene.relay.resetTcp();
    await client.program.waitFor(/sleep 10s, remaining timeout (29\d|300)s/, { after: mark });
    await scene.faults.clear();
    const start = performance.now();
    await client.program.waitFor(/script reconnect ended with 0/, { after: mark });
    const waited = performance.now() - start;
    assert.ok(waited > 5_000 && waited < 20_000, `${waited} ms`); // the wait after that takes 20 seconds
    assert.deepEqual(client.program.output.slice(mark).match(/script \S+ ended/g), [
      'script attempt-reconnect ended',
      'script attempt-reconnect ended',
      'script reconnect ended',
    ]);
    await scene.transfer(INSIDE.ipv4, { up: 2e6, down: 2e6 });
    await scene.disconnect(client);
  });

  it('is gone for longer than --reconnect-timeout, the client gives up with code 1', async () => {
    await using scene = await TunnelScene.open({ relay: {}, settings: { dns: [INSIDE.ipv4] } });
    const seconds = sized(18, 45);
    const client = await scene.connect({ args: ['--reconnect-timeout', String(seconds)] });
    const mark = client.program.output.length;
    await scene.faults.block({ protocol: 'tcp', port: 443, how: 'reject' });
    const start = performance.now();
    await scene.relay.resetTcp();
    const { code, output } = await client.program.finish({ within: (seconds + 10) * 1000 });
    const tried = (performance.now() - start) / 1000;
    assert.equal(code, 1, output);
    assert.ok(tried > seconds - 1 && tried < seconds + 5, `${tried} s`);
    // Each wait is 10 seconds longer; the last is what is left. A try takes a moment, on a busy machine a longer one.
    const waits = [...output.slice(mark).matchAll(/sleep (\d+)s, remaining timeout (\d+)s/g)].map(([, wait, left]) => [
      Number(wait),
      Number(left),
    ]);
    assert.equal(waits.length, sized(2, 3), output);
    let expected = seconds;
    for (const [i, [wait = 0, left = 0]] of waits.entries()) {
      assert.ok(left <= expected && left >= expected - BUSY, `${left} s were left instead of ${expected}`);
      assert.equal(wait, Math.min(10 * (i + 1), left));
      expected = left - wait;
    }
    assert.match(output, /CSTP reconnect failed; exiting/);
    await scene.assertNoTrace();
  });

  it('gives the session to another client with the same cookie, the first ends with code 1, the other has its addresses', async () => {
    await using scene = await TunnelScene.open();
    const cookie = await logIn(scene);
    const byCookie = { args: ['--cookie-on-stdin'], input: `${cookie}\n` };
    const client = await scene.connect(byCookie);
    const { ipv4, ipv6 } = await client.configured();
    // The router is a machine of its own, with another address outside.
    const other = await scene.start({ ...byCookie, namespace: scene.lab.router });
    const { code, output } = await client.program.finish();
    assert.equal(code, 1, output);
    assert.match(output, /Session terminated by server; exiting\./);
    await scene.assertNoTrace();
    await other.up();
    const taken = await other.configured();
    assert.deepEqual([taken.ipv4, taken.ipv6], [ipv4, ipv6]);
    assert.equal((await other.disconnect()).code, 0);
  });

  it('does not know the cookie, the client ends with code 2 before it has touched anything', async () => {
    await using scene = await TunnelScene.open();
    const cookie = await logIn(scene);
    await scene.ocserv.restart();
    const client = await scene.start({ args: ['--cookie-on-stdin'], input: `${cookie}\n` });
    const { code, output } = await client.program.finish();
    assert.equal(code, 2, output);
    assert.doesNotMatch(output, /script /);
    await scene.assertNoTrace();
  });

  it('answers nothing any more, the client notices by itself and comes back when it does', async () => {
    await using scene = await TunnelScene.open();
    const client = await scene.connect({ args: ['--force-dpd', '2'] });
    const mark = client.program.output.length;
    await scene.faults.block({ protocol: 'tcp' }, { protocol: 'udp' });
    const start = performance.now();
    await client.program.waitFor(/script attempt-reconnect ended/, { after: mark });
    const noticed = performance.now() - start;
    assert.ok(noticed < 20_000, `${noticed} ms`); // the gateway would have it ask after 90 seconds
    await scene.faults.clear();
    await client.program.waitFor(/script reconnect ended with 0/, { after: mark });
    await cipherOfDatagrams(client, mark);
    await scene.assertAnswers();
    await scene.disconnect(client);
  });
});
