/** Ten thousand TCP connections at once through one session with the real ocserv: none is lost, and what one costs is stated and has a limit. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { it } from 'node:test';
import { ALICE } from '../support/ocserv.ts';
import { sized } from '../support/size.ts';
import { makeAuthority, makeServerCertificate } from '../support/throwaway-certificates.ts';
import { skip, TunnelScene } from './tunnel-scene.ts';

const PROGRAM = path.join(import.meta.dirname, 'many-connections-program.ts');
const INSIDE_PROGRAM = path.join(import.meta.dirname, 'inside-program.ts');
const COUNT = sized(500, 10_000);
const DEADLINE = sized(60_000, 300_000);

/** Of a connection that is open and idle, with its stream: heap and buffers, as V8 counts them. Few carry more of what is there once. */
const MAX_BYTES = sized(20_000, 12_000);

it(`carries ${COUNT} connections at once`, { skip, timeout: DEADLINE + 30_000 }, async (test) => {
  await using scene = await TunnelScene.open();
  const { client, gateway, ocserv, lab } = scene;
  const { certificate, key } = await makeServerCertificate(lab.folder, await makeAuthority(lab.folder, 'ca'), ['inside.test'], 'inside');
  const inside = await lab.server.start(process.execPath, [INSIDE_PROGRAM, certificate, key, '10.77.0.1']);
  await inside.waitFor(/^inside$/m);
  const words = ['--expose-gc', PROGRAM, gateway, ocserv.pin, ALICE.password, String(COUNT)];
  const program = await client.start(process.execPath, words);
  const { code, stdout, output } = await program.finish({ within: DEADLINE });
  assert.equal(code, 0, output);
  const said = JSON.parse(stdout) as Record<string, number>;
  assert.deepEqual([said.open, said.echoed], [COUNT, COUNT], stdout);
  assert.ok((said.heapEach ?? Infinity) < MAX_BYTES, stdout);
  test.diagnostic(`${COUNT} connections: ${stdout.trim()}`);
});
