/**
 * The built commands on the oldest Node that package.json promises. The tests themselves need a newer one: only what is shipped is run by it. A long
 * test, as it fetches that Node; it is skipped, with npm's reason, where no registry can be reached.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { DROP_IN } from '../support/drop-in.ts';
import { FETCH_LIMIT, fetchNode } from '../support/fetched-node.ts';
import { sized } from '../support/size.ts';
import { cipherOfDatagrams, INSIDE, skip as skipTunnel, TunnelScene } from './tunnel-scene.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const { engines } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { readonly engines: { readonly node: string } };
const VERSION = `${engines.node.replace('>=', '')}.0`;

const skip = sized<string | false>('a long test: it fetches a Node', false) || skipTunnel;

describe(`the commands on Node ${VERSION}`, { skip, timeout: FETCH_LIMIT + 120_000 }, () => {
  let folder = '';
  let node = '';
  let obstacle = '';

  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-node-'));
    try {
      node = fetchNode(folder, VERSION);
    } catch (error) {
      obstacle = error instanceof Error ? error.message : String(error);
    }
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** True, and the test is skipped, where that Node could not be had. */
  function isMissing(context: TestContext): boolean {
    if (node !== '') return false;
    context.skip(`Node ${VERSION} could not be installed: ${obstacle}`);
    return true;
  }

  it('say their version', (context) => {
    if (isMissing(context)) return;
    assert.equal(execFileSync(node, ['--version'], { encoding: 'utf8' }), `v${VERSION}\n`);
    for (const command of ['sallyport.js', 'sallyport-openconnect.js']) {
      assert.match(execFileSync(node, [path.join(ROOT, 'bin', command), '--version'], { encoding: 'utf8' }), /\d+\.\d+\.\d+/);
    }
  });

  for (const [name, args] of [
    ['DTLS', []],
    ['TLS', ['--no-dtls']],
  ] as const) {
    it(`carry every byte by ${name}, and leave nothing`, async (context) => {
      if (isMissing(context)) return;
      await using scene = await TunnelScene.open({ settings: { dns: [INSIDE.ipv4] } });
      const client = await scene.connect({ command: [node, ...DROP_IN.slice(1)], args });
      if (name === 'DTLS') await cipherOfDatagrams(client);
      for (const address of Object.values(INSIDE)) await scene.transfer(address, { up: 20e6, down: 20e6 });
      await scene.disconnect(client);
    });
  }
});
