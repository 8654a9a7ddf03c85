/**
 * A tunnel between both ends of ours that does everything at once, for long: streams, datagrams and pings, both ways, over IPv4 and IPv6, with packets
 * lost, keys changed, and UDP gone for a while and back. Nothing may be damaged or come twice, and neither end may grow.
 *
 * Long, it goes on for half an hour; `SALLYPORT_SOAK_MINUTES=600` goes on for longer.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { DROP_IN } from '../support/drop-in.ts';
import { MemoryWatch } from '../support/memory-watch.ts';
import type { OpenConnect } from '../support/openconnect.ts';
import { gatewayPids } from '../support/process-view.ts';
import { sized } from '../support/size.ts';
import { ping, type TrafficPeer, type TrafficTarget } from '../support/traffic.ts';
import { openGateway } from './gateway/gateway-scene.ts';
import { cipherOfDatagrams, INSIDE, skip, type TunnelScene } from './tunnel-scene.ts';

const TIME: Millis = Number(process.env.SALLYPORT_SOAK_MINUTES ?? sized(1 / 3, 30)) * 60_000;
/** Beyond that: what is under way goes on to its end, and the last change of weather too. */
const TIMEOUT = TIME + sized(75_000, 180_000);

/** Of the stream, inside TLS; a DTLS channel gets its new keys ten seconds later than that. */
const REKEY_SECONDS = sized(3, 20);

/** Asked after so many seconds of silence, a peer is dead after twice as many and one more. */
const DPD_SECONDS = 2;

/** Of all outer datagrams, each way. */
const LOSS = { protocol: 'udp', probability: 0.01 } as const;

/** KiB that a process may have gained since it has settled. In an everyday run it has hardly: what is compiled and collected is still changing. */
const MOST_GROWTH = sized(96, 16) * 1024;

/** Of the datagrams sent, over all: UDP is gone for some seconds in each change of weather. */
const LEAST_ARRIVED = 0.4;

const STREAM = { up: sized(2e6, 20e6), down: sized(2e6, 20e6) };
const DATAGRAMS = { count: sized(500, 2_000), size: 1_000, burst: 2 };

/** After each go, so that a long run leaves the machine time for others. */
const REST = sized(0, 500);

/** What has passed. */
interface Totals {
  streamBytes: number;
  sent: number;
  received: number;
  pings: number;
  answers: number;
}

describe('a tunnel between both ends of ours', { skip }, () => {
  it(`carries everything at once for ${TIME / 1000} s, with loss and new keys, and neither end grows`, { timeout: TIMEOUT }, async (t) => {
    await using scene = await openGateway({
      command: DROP_IN,
      settings: { 'rekey-time': REKEY_SECONDS, 'rekey-method': 'ssl', dpd: DPD_SECONDS },
    });
    const client = await scene.connect({ args: ['--force-dpd', String(DPD_SECONDS)] });
    await cipherOfDatagrams(client);
    const { main, auth, workers } = gatewayPids(scene.lab.server);
    const named = workers.map((pid, i) => [`worker ${i + 1} of the gateway`, pid] as const);
    const memory = new MemoryWatch({
      ...{ 'the client': client.program.pid, 'main of the gateway': main, 'auth of the gateway': auth },
      ...Object.fromEntries(named),
    });

    const end = performance.now() + TIME;
    const totals: Totals = { streamBytes: 0, sent: 0, received: 0, pings: 0, answers: 0 };
    const weather = badWeather(scene, client, () => performance.now() < end);
    let isOver = false;
    void weather.then(
      () => {
        isOver = true;
      },
      () => {
        isOver = true;
      },
    );
    await Promise.all([weather, ...(await lanes(scene, client, totals)).map((lane) => repeat(lane, () => !isOver))]);

    const growths = memory.stop();
    const rekeys = { stream: count(client, /stream rekey/g), datagram: count(client, /datagram rekey/g) };
    const grown = growths.map(({ name, settled, end: last }) => `${name} ${mebibytes(settled)} to ${mebibytes(last)} MiB`);
    t.diagnostic(
      `${(totals.streamBytes / 1e6).toFixed(0)} MB in streams; ${totals.received} of ${totals.sent} datagrams, ${totals.answers} of ${totals.pings} pings; ` +
        `new keys: ${rekeys.stream} in TLS, ${rekeys.datagram} in DTLS; UDP gone ${await weather} times; ${grown.join(', ')}`,
    );
    assert.ok(rekeys.stream >= 1 && rekeys.datagram >= 1, client.program.describe());
    assert.doesNotMatch(client.program.output, /script reconnect/, 'the session is the same');
    assert.ok(totals.received > totals.sent * LEAST_ARRIVED, `${totals.received} of ${totals.sent} datagrams arrived`);
    assert.ok(totals.answers > totals.pings * LEAST_ARRIVED, `${totals.answers} of ${totals.pings} pings were answered`);
    for (const { name, settled, end: last } of growths) {
      assert.ok(last - settled < MOST_GROWTH, `${name} has grown from ${settled} to ${last} KiB`);
    }
    await scene.disconnect(client);
  });
});

/** Loses some datagrams all the time; and all of them after each change of DTLS's keys, until packets go by TLS. Resolves with how often. */
async function badWeather(scene: TunnelScene, { program }: OpenConnect, goesOn: () => boolean): Promise<number> {
  const patience = { within: 2 * (REKEY_SECONDS + 10) * 1000 + 20_000 };
  let times = 0;
  for (; times === 0 || goesOn(); times++) {
    await scene.faults.lose(LOSS);
    await program.waitFor(/datagram rekey/, { after: program.output.length, ...patience });
    const mark = program.output.length;
    await scene.faults.block({ protocol: 'udp' });
    await program.waitFor(/datagram down/, { after: mark });
    await scene.carried('tun0', 1e6);
    await scene.faults.clear();
    await program.waitFor(/Established DTLS connection/, { after: mark, ...patience });
  }
  return times;
}

/** Each is one go of something, to be repeated beside the others. */
async function lanes(scene: TunnelScene, client: OpenConnect, totals: Totals): Promise<(() => Promise<void>)[]> {
  const { near, far } = await scene.peers();
  const { ipv4 = '', ipv6 = '' } = await client.configured();
  const own = { ipv4, ipv6: ipv6.split('/')[0] ?? '' };
  let seed = 1;
  const stream = (host: string) => async () => {
    await scene.transfer(host, { ...STREAM, seed: seed++ });
    totals.streamBytes += STREAM.up + STREAM.down;
  };
  const datagrams = (from: TrafficPeer, to: TrafficTarget) => async () => {
    const { received, doubled } = await from.sendDatagrams(to, DATAGRAMS);
    assert.equal(doubled, 0, 'no datagram comes twice');
    totals.sent += DATAGRAMS.count;
    totals.received += received;
  };
  const pings = (host: string) => async () => {
    const { sent, received, doubled } = await ping(scene.client, host, { count: 50 });
    assert.equal(doubled, 0, 'no ping comes twice');
    totals.pings += sent;
    totals.answers += received;
  };
  return await Promise.all(
    (['ipv4', 'ipv6'] as const).flatMap((family) => [
      stream(INSIDE[family]),
      scene.target(INSIDE[family]).then((target) => datagrams(near, target)),
      near.listen(own[family]).then((target) => datagrams(far, target)),
      pings(INSIDE[family]),
    ]),
  );
}

async function repeat(lane: () => Promise<void>, goesOn: () => boolean): Promise<void> {
  for (; goesOn(); await setTimeout(REST)) await lane();
}

function count({ program }: OpenConnect, pattern: RegExp): number {
  return program.output.match(pattern)?.length ?? 0;
}

function mebibytes(kibibytes: number): string {
  return (kibibytes / 1024).toFixed(0);
}
