/** `sallyport exec`: what a program has sent arrives although it ends at once; but for so long, if nobody takes it. Against the real ocserv. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { ProxyE2e } from './proxy-scene.ts';
import { INSIDE, skip } from './tunnel-scene.ts';

const PROGRAM = path.join(import.meta.dirname, 'last-words-program.ts');

/** Counts what it gets: see inside-program.ts. */
const PORT = '9990';

/** No more than any system takes at once; it fits into one flight. */
const BYTES = 12_000;

/** What exec-command.ts has. */
const SETTLE_LIMIT: Millis = 5_000;
const LOG_OFF_LIMIT: Millis = 30_000;

/** Connections are made, but what they carry is dropped behind the gateway, as by a host that has no time. */
const DEAF = `table inet deaf { chain input { type filter hook input priority 0; tcp dport ${PORT} meta length > 100 drop; }; }`;

const WAYS = { 'a proxy': [], 'a network of its own': ['--netns'] } as const;

describe('what a program has sent when it ends', {
  skip: skip || missing('setpriv', 'unshare', 'nsenter'),
  concurrency: 4,
  timeout: HANG_LIMIT,
}, () => {
  for (const [way, options] of Object.entries(WAYS)) {
    it(`arrives by ${way}, and then the VPN ends with the program's status`, async () => {
      await using scene = await ProxyE2e.open();
      const { server } = scene.tunnel.lab;
      await server.run('nft', ['-f', '-'], { input: DEAF });
      const program = await scene.startExec(options, [process.execPath, PROGRAM, INSIDE.ipv4, PORT, String(BYTES)]);
      const [, id = ''] = await program.waitFor(/^process (\d+)$/m);
      while (existsSync(`/proc/${id}`)) await setTimeout(5);
      await server.run('nft', ['delete', 'table', 'inet', 'deaf']);
      await scene.inside.waitFor(new RegExp(`^took ${BYTES}$`, 'm'));
      const { code, output } = await program.finish();
      assert.equal(code, 7, output);
      await scene.tunnel.assertNoTrace();
    });

    it(`is given up by ${way} after five seconds if nobody takes it`, async () => {
      await using scene = await ProxyE2e.open();
      await scene.tunnel.lab.server.run('nft', ['-f', '-'], { input: DEAF });
      const program = await scene.startExec(options, [process.execPath, PROGRAM, INSIDE.ipv4, PORT, String(BYTES)]);
      const [, id = ''] = await program.waitFor(/^process (\d+)$/m);
      while (existsSync(`/proc/${id}`)) await setTimeout(5);
      const start = performance.now();
      const { code, output } = await program.finish({ within: SETTLE_LIMIT + LOG_OFF_LIMIT });
      const took = performance.now() - start;
      assert.equal(code, 7, output);
      assert.ok(took > SETTLE_LIMIT / 2, `${took} ms`); // a busy machine sees late that the program has ended
      assert.doesNotMatch(scene.inside.output, /^took/m);
      await scene.tunnel.assertNoTrace();
    });
  }
});
