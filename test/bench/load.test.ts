/** The load generator in its small size: sessions of our client, many in a process, at our gateway. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judge } from '../../bench/limits.ts';
import { renderTable, withSection } from '../../bench/load/load-report.ts';
import { measureSessions } from '../../bench/load/many-sessions.ts';
import { measureLoad } from '../../bench/load/measure-load.ts';
import { marksOf, numberedPacket } from '../../bench/load/numbered-packet.ts';
import { SessionDevice } from '../../bench/load/session-device.ts';
import { packetOf } from '../../src/core/tunnel/packet.ts';
import { parseIp } from '../../src/core/wire/ip-address.ts';
import { assertBuilt } from '../support/drop-in.ts';
import { missing } from '../support/requirements.ts';
import { sized } from '../support/size.ts';

const SESSIONS = sized(100, 1_000);
const SECONDS = sized(10, 600);
const TIMEOUT = (SECONDS + 240) * 1_000;

const LACKING = missing('root', 'netns', 'tun', 'ocserv', 'openssl');

/** Of UDP on a busy machine. */
const MOST_LOST = 0.005;

const ip = (text: string) => parseIp(text) ?? assert.fail(text);
const ROUTE = { from: ip('10.64.0.9'), to: ip('10.78.0.1'), port: 7 };

/** What the echo makes of a packet: addresses and ports change places. */
function echoOf(packet: Uint8Array): Uint8Array {
  const echo = Buffer.from(packet);
  for (const [at, length] of [
    [12, 4],
    [20, 2],
  ] as const) {
    echo.set(packet.subarray(at + length, at + 2 * length), at);
    echo.set(packet.subarray(at, at + length), at + length);
  }
  return echo;
}

describe('a session of the load', () => {
  it('knows its packets when they come back, and no others', () => {
    const packet = numberedPacket(ROUTE, { session: 3, number: 7 }, 100);
    assert.equal(packet.length, 100);
    assert.deepEqual(marksOf(echoOf(packet)), { session: 3, number: 7 });
    assert.equal(marksOf(packet), undefined, 'it has not come back');
    assert.equal(marksOf(packet.subarray(0, 30)), undefined);
  });

  it('counts what comes back, twice, or to the wrong one', () => {
    const device = new SessionDevice({ session: 3, address: ROUTE.from, target: { address: ROUTE.to, port: 7 }, length: 100 });
    const sent: Uint8Array[] = [];
    device.start((packets) => sent.push(...packets.map(({ buffer, start, end }) => buffer.slice(start, end))));
    device.sendNext();
    device.sendNext();
    const [one, two] = sent.map(echoOf);
    for (const packet of [one, one, two]) device.write([packetOf(packet ?? assert.fail())]);
    device.write([packetOf(echoOf(numberedPacket(ROUTE, { session: 4, number: 1 }, 100)))]);
    assert.deepEqual(device.counts, { sent: 2, returned: 2, wrong: 1, misdelivered: 1 });
  });
});

describe('a session that keeps packets on their way', () => {
  /** What it has sent, taken away. */
  function start(): { device: SessionDevice; sent: () => Uint8Array[] } {
    const device = new SessionDevice({ session: 3, address: ROUTE.from, target: { address: ROUTE.to, port: 7 }, length: 100 });
    const packets: Uint8Array[] = [];
    device.start((burst) => packets.push(...burst.map(({ buffer, start: from, end }) => buffer.slice(from, end))));
    return { device, sent: () => packets.splice(0) };
  }

  it('follows what comes back with as many, until it is told to stop', () => {
    const { device, sent } = start();
    device.keep(4, 600);
    const first = sent();
    assert.deepEqual(
      first.map(({ length }) => length),
      [600, 600, 600, 600],
    );
    device.write(first.slice(0, 3).map((packet) => packetOf(echoOf(packet))));
    const next = sent();
    assert.equal(next.length, 3);
    device.keep(0, 0);
    device.write(next.map((packet) => packetOf(echoOf(packet))));
    assert.deepEqual([sent().length, device.counts.returned], [0, 6]);
  });

  it('sends on when all that was on its way is lost, and not while something comes back', () => {
    const { device, sent } = start();
    device.keep(4, 600);
    const [one] = sent();
    device.write([packetOf(echoOf(one ?? assert.fail()))]);
    device.forgetLost();
    assert.equal(sent().length, 1, 'for the one that came back');
    device.forgetLost();
    assert.equal(sent().length, 4);
    assert.deepEqual(device.counts, { sent: 9, returned: 1, wrong: 0, misdelivered: 0 });
  });

  it('waits while the tunnel is full', () => {
    const { device, sent } = start();
    device.pause();
    device.keep(4, 600);
    assert.equal(sent().length, 0);
    device.resume();
    assert.equal(sent().length, 4);
  });
});

describe('the load', () => {
  it(`holds ${SESSIONS} sessions for ${SECONDS} s with traffic on each, and none is dropped`, {
    skip: LACKING,
    timeout: TIMEOUT,
  }, async (t) => {
    assertBuilt();
    const result = await measureLoad('sallyport', { sessions: SESSIONS, seconds: SECONDS, processes: 2 }, (text) => t.diagnostic(text));
    const { connected, byDatagrams, upAtEnd, traffic, reasons } = result;
    assert.equal(connected, SESSIONS, reasons.join('\n'));
    assert.ok(byDatagrams >= SESSIONS / 2, `${byDatagrams} over DTLS`);
    assert.equal(upAtEnd, SESSIONS, reasons.join('\n'));
    assert.equal(traffic.drops, 0, reasons.join('\n'));
    assert.equal(traffic.misdelivered, 0);
    assert.ok(traffic.sent > (SESSIONS * SECONDS) / 2, `${traffic.sent} packets were sent`);
    assert.ok(
      traffic.sent - traffic.returned <= traffic.sent * MOST_LOST,
      `${traffic.sent - traffic.returned} of ${traffic.sent} packets are lost`,
    );
    const table = renderTable([result]);
    assert.match(table, /^\| sessions up at the end +\| +\d+ \|$/m);
    assert.equal(withSection('a <!-- load -->old<!-- /load --> b', table), `a <!-- load -->\n\n${table}\n<!-- /load --> b`);
  });

  it('measures what a byte costs the gateway, with many sessions and with one', { skip: LACKING, timeout: TIMEOUT }, async () => {
    assertBuilt();
    const figures = await measureSessions({ rounds: 1, seconds: 1, sessions: 8, active: [1, 3] });
    const seen = figures.map(({ transport, name, unit }) => `${transport} ${name} ${unit}`);
    const cases = ['CPU, 1 active CPU-s/GB', 'rate, 1 active Mbit/s', 'CPU, 3 active CPU-s/GB', 'rate, 3 active Mbit/s'];
    assert.deepEqual(
      seen,
      ['dtls', 'tls'].flatMap((transport) => cases.map((one) => `${transport} ${one}`)),
    );
    for (const { name, samples } of figures)
      for (const one of Object.values(samples)) assert.ok(one.length === 1 && (one[0] ?? 0) > 0, name);
    assert.ok(judge(figures).length > 0, 'the limits know its names');
  });
});
