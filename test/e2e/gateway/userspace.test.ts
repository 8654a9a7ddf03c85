/** A gateway without root, without an interface: what its clients reach, by openconnect and by the library, and what they do not. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { GatewayControl } from '../../../src/gateway/control/gateway-control.ts';
import { ALICE } from '../../support/ocserv.ts';
import { OpenConnect } from '../../support/openconnect.ts';
import { statusOf } from '../../support/process-view.ts';
import type { Program } from '../../support/program.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { assertUnchanged, takeSnapshot } from '../../support/snapshot.ts';
import { assertAnswers } from '../../support/traffic.ts';
import { OUTSIDE, UserspaceScene } from './userspace-scene.ts';

const PROGRAM = path.join(import.meta.dirname, 'nat-client-program.ts');

const EVERYTHING = {
  ...{
    echo4: true,
    echo6: true,
    slow: true,
    refused: 'ECONNREFUSED',
    ownHost: 'EHOSTUNREACH',
    inside: 'ECONNREFUSED',
    unreachable: 'EHOSTUNREACH',
  },
  ...{ udp4: true, udp6: true, udpFragments: true, udpRefused: 'ECONNREFUSED', lookup: OUTSIDE.ipv4, parallel: 500, waiting: true },
};

/** What a client program has said. */
function outcomes({ stdout }: { readonly stdout: string }): Record<string, unknown> {
  return Object.assign(
    {},
    ...stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  );
}

/** Waits until it has done everything, and has an administrator end the session: the host outside hears of it. */
async function kicked(scene: UserspaceScene, program: Program): Promise<void> {
  await program.waitFor(/"waiting":true/, { within: 60_000 });
  await assertCounted(scene);
  await scene.control.disconnectUser(ALICE.name);
  await scene.outside.waitFor(/^ended by ECONNRESET$/m);
}

/** An administrator, or whoever asks for metrics, sees the flows and why others did not come about. */
async function assertCounted(scene: UserspaceScene): Promise<void> {
  using administrator = await GatewayControl.connect(scene.controlSocket);
  const { nat } = await administrator.status();
  const { flows, tcp, udp, dropped } = nat ?? assert.fail('nothing of its flows');
  assert.ok(flows > 0 && tcp > EVERYTHING.parallel && udp > 0, JSON.stringify(nat));
  for (const cause of ['closed', 'own-host', 'refused']) assert.ok((dropped[cause] ?? 0) > 0, `${cause}: ${JSON.stringify(nat)}`);
}

const needed = missing('root', 'netns', 'tun', 'openconnect', 'openssl', 'setpriv', 'ping', 'ocpasswd');

describe('a gateway without root', { skip: needed, concurrency: 2, timeout: HANG_LIMIT }, () => {
  it('brings openconnect’s TCP, UDP and names to what it can reach, and says of the rest why not', async () => {
    await using scene = await UserspaceScene.open();
    const { lab } = scene;
    const before = await takeSnapshot(lab.server);
    const gateway = await scene.start();
    assertPowerless(gateway);
    const client = await OpenConnect.start(lab.client, { gateway: scene.url, pin: scene.pin, user: ALICE });
    const { ipv4 = '', ipv6 = '', dtls } = await client.up();
    assert.match(`${ipv4} ${ipv6} ${dtls}`, /^10\.77\.0\.\d+ fd77::[0-9a-f:]+\/\d+ connected/);
    for (const own of ['10.77.0.1', 'fd77::1']) await assertAnswers(lab.client, own);
    const { output } = await lab.client.finish('ping', ['-n', '-c', '1', '-W', '3', OUTSIDE.ipv4]);
    assert.match(output, /filtered|prohibited/i, 'pings of others are refused in words');
    const program = await lab.client.start(process.execPath, [PROGRAM, 'kernel', scene.targets]);
    await kicked(scene, program);
    await client.program.finish();
    await program.stop(); // the system's socket has nobody to hear of the end from, unless the flow's own end came through before the tunnel's
    const { kicked: heard, ...done } = outcomes({ stdout: program.output });
    assert.deepEqual(done, EVERYTHING);
    assert.ok(heard === undefined || heard === 'ECONNRESET', String(heard));
    assert.match(scene.outside.output, /^from (::ffff:)?198\.51\.100\.2$/m);
    assert.doesNotMatch(scene.outside.output, /^from (::ffff:)?192\.0\.2/m, 'nothing came past the gateway');
    const { code } = await scene.stop();
    assert.equal(code, 0, gateway.output);
    assertUnchanged(before, await takeSnapshot(lab.server));
    assert.deepEqual(lab.server.processes(), []);
  });

  for (const { transport, hasEngine } of [
    { transport: 'udp', hasEngine: true },
    { transport: 'tls', hasEngine: true },
    { transport: 'udp', hasEngine: false },
    { transport: 'tls', hasEngine: false },
  ]) {
    it(`brings the library’s, both as nobody, by ${transport}, ${hasEngine ? 'in the packet engine' : 'without koffi'}`, async () => {
      await using scene = await UserspaceScene.open();
      const gateway = await scene.start({ hasEngine });
      const words = [process.execPath, PROGRAM, 'library', scene.targets, `https://${scene.url}`, scene.pin, ALICE.password, transport];
      const program = await scene.startAsNobody('client', words);
      await kicked(scene, program);
      const done = await program.finish();
      assert.equal(done.code, 0, done.output);
      const { kicked: heard, ...rest } = outcomes(done);
      assert.deepEqual(rest, EVERYTHING);
      assert.ok(heard === 'ECONNABORTED' || heard === 'ECONNRESET', String(heard)); // the tunnel's end, or the flow's before it
      const { code } = await scene.stop();
      assert.equal(code, 0, gateway.output);
      assert.deepEqual(scene.lab.server.processes(), []);
    });
  }
});

/** Neither root nor capabilities, in all of its processes. */
function assertPowerless(gateway: Program): void {
  const children = readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'latin1').trim().split(' ').map(Number);
  assert.equal(children.length, 2, 'auth and one worker');
  for (const pid of [gateway.pid, ...children]) {
    const status = statusOf(pid);
    assert.match(status.get('Uid') ?? '', /^65534\s+65534/);
    assert.equal(status.get('CapEff'), '0000000000000000');
  }
}
