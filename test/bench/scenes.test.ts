/** The scenes of the bench whose programs nothing else runs, in their smallest size: each gives its figures, for both sides and both transports. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BenchLab } from '../../bench/bench-lab.ts';
import type { Figure } from '../../bench/figures.ts';
import { measurePairPing } from '../../bench/ping-time.ts';
import { measurePackets, measurePortable, measurePortableProxy, measureProxy, measureVendor } from '../../bench/throughput.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT, sized } from '../support/size.ts';

const skip = missing('root', 'netns', 'tun', 'ocserv', 'openconnect', 'ping', 'iperf3', 'openssl');

const OPTIONS = { skip, timeout: HANG_LIMIT };

const SIZE = { rounds: 1, seconds: 1 };

function assertMeasured(figures: readonly Figure[], names: readonly string[]): void {
  assert.deepEqual(
    figures.map(({ transport, name }) => `${transport} ${name}`),
    ['dtls', 'tls'].flatMap((transport) => names.map((name) => `${transport} ${name}`)),
  );
  for (const { name, samples } of figures) {
    for (const side of Object.values(samples)) assert.ok(side.length === 1 && (side[0] ?? 0) > 0, `${name}: ${side}`);
  }
}

describe('scenes of the bench', () => {
  // The others take a minute.
  if (sized(false, true)) {
    it('measure the portable client beside openconnect', OPTIONS, async () => {
      await using bench = await BenchLab.open();
      await bench.useGateway('reference');
      assertMeasured(await measurePortable(bench, SIZE), ['up', 'down', 'CPU up', 'CPU down']);
    });

    it('measure small packets between both ends of ours and both of the others', OPTIONS, async () => {
      await using bench = await BenchLab.open();
      assertMeasured(await measurePackets(bench, SIZE), ['up', 'down']);
    });

    it('measure the client without an interface beside openconnect with ocproxy', {
      ...OPTIONS,
      skip: skip || missing('ocproxy'),
    }, async () => {
      await using bench = await BenchLab.open();
      await bench.useGateway('reference');
      assertMeasured(await measureProxy(bench, SIZE), ['up', 'down', 'CPU up', 'CPU down']);
      assertMeasured(await measurePortableProxy(bench, SIZE), ['up', 'down', 'CPU up', 'CPU down']);
    });

    for (const vendor of ['fortinet', 'f5'] as const) {
      it(`measure the clients in the words of ${vendor}`, OPTIONS, async () => {
        await using bench = await BenchLab.open();
        assertMeasured(await measureVendor(bench, SIZE, vendor), ['up', 'down', 'CPU up', 'CPU down']);
      });
    }
  }

  it('measure pings between them, alone and beside a stream', OPTIONS, async () => {
    await using bench = await BenchLab.open();
    const figures = await measurePairPing(bench, { rounds: 1, seconds: 2, series: [{ interval: 20, count: 10 }] });
    assertMeasured(figures, ['every 20 ms', 'during an upload', 'during a download']);
  });
});
