/** The bench as a whole: what it says where it cannot measure, that it measures, and that nothing is left of it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Program, startProgram } from '../support/program.ts';
import { missing } from '../support/requirements.ts';

const RUN = path.resolve(import.meta.dirname, '../../bench/run.ts');

const skip = missing('root', 'netns', 'tun', 'ocserv', 'openconnect', 'ping', 'iperf3', 'openssl');

const DEADLINE = 60_000;

describe('bench', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-bench-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Its labs are in the folder, as long as they are there. */
  function run(...args: string[]): Promise<Program> {
    return startProgram(process.execPath, [RUN, ...args], 'bench', { env: { TMPDIR: folder } });
  }

  it('ends with 2 and the reason where it cannot do what it was asked for', async () => {
    const { code, stdout, stderr } = await (await run('--only', 'latency')).finish();
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, /^there is no measurement latency/);
  });

  it('measures both clients, and leaves nothing', { skip, timeout: DEADLINE }, async () => {
    const { code, stdout, output } = await (await run('--quick', '--only', 'connect', '--report-only')).finish({ within: DEADLINE });
    assert.equal(code, 0, output);
    const rows = [...stdout.matchAll(/^\| (DTLS|TLS), start to tunnel up +\| ms +\| +([\d.]+) .*\| +([\d.]+) \(/gm)];
    assert.deepEqual(
      rows.map(([, transport]) => transport),
      ['DTLS', 'TLS'],
      output,
    );
    for (const [row, , sallyport, openconnect] of rows) {
      for (const time of [sallyport, openconnect]) assert.ok(Number(time) > 1 && Number(time) < 20_000, row);
    }
    assert.deepEqual(readdirSync(folder), []);
  });

  it('measures both gateways with the same client, and leaves nothing', { skip, timeout: DEADLINE }, async () => {
    const { code, stdout, output } = await (await run('--quick', '--only', 'gateway-memory')).finish({ within: DEADLINE });
    assert.equal(code, 0, output);
    const rows = [...stdout.matchAll(/^\| (DTLS|TLS), (resident|proportional) +\| MiB +\| +([\d.]+) .*?\| +([\d.]+) \(/gm)];
    assert.equal(rows.length, 4, output);
    // Ours are three processes of Node at least, and one of them alone takes some 40.
    for (const [row, , , sallyport, ocserv] of rows) assert.ok(Number(ocserv) > 1 && Number(sallyport) > 80, row);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('ends with all that it has started when it is interrupted', { skip, timeout: DEADLINE }, async () => {
    const bench = await run('--quick', '--only', 'memory');
    await bench.waitFor(/round 1 of/);
    bench.signal('SIGINT');
    const { code, output } = await bench.finish();
    assert.equal(code, 130, output);
    assert.match(output, /SIGINT: the bench has ended everything/);
    assert.deepEqual(readdirSync(folder), []);
  });
});
