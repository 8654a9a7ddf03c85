/** The package as a library: `connect()` against the real ocserv, from a program of its own on the client's machine. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ALICE } from '../support/ocserv.ts';
import type { Program } from '../support/program.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { NAMES } from './sallyport-scene.ts';
import { skip, TunnelScene } from './tunnel-scene.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const PROGRAM = path.join(import.meta.dirname, 'library-program.ts');

function start({ client, gateway, ocserv }: TunnelScene, password: string): Promise<Program> {
  return client.start(process.execPath, [PROGRAM, gateway, ocserv.pin, password], { keepsInputOpen: true });
}

/** Waits for the end of the program, which ends by itself: nothing of the connection keeps it alive. */
async function saidBy(program: Program): Promise<unknown[]> {
  const { code, stdout, output } = await program.finish();
  assert.equal(code, 0, output);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('connect() of the library', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  it('asks by a call-back, carries packets, tells what happens, and undoes everything when it is disposed', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const program = await start(scene, ALICE.password);
    const [line] = await program.waitFor(/^\{"connected".*$/m);
    const { connected, networks } = JSON.parse(line);
    assert.deepEqual([connected.state, connected.device, connected.user, networks], ['up', 'tun0', 'alice', 2]);
    await scene.assertAnswers();
    program.write('reconnect\n');
    await program.waitFor(/"up"/, { after: program.output.length });
    await scene.assertAnswers();
    program.write('end\n');
    const said = await saidBy(program);
    assert.deepEqual(said.slice(0, 2), [{ asked: ['username'] }, { asked: ['password'] }]);
    assert.deepEqual(said.slice(3), [
      { lost: 'renew' },
      ...['reconnecting', 'up', 'closing', 'closed'].map((state) => ({ state })),
      'over',
    ]);
    await scene.ocserv.control.assertNoSessions();
    await scene.assertNoTrace();
  });

  it('runs as the README has it', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
    const [, example = ''] = /^```js\n(.*?)^```$/ms.exec(readme) ?? [];
    const { client, gateway, ocserv, lab } = scene;
    const file = path.join(lab.folder, 'example.mjs');
    writeFileSync(file, example);
    mkdirSync(path.join(lab.folder, 'node_modules'));
    symlinkSync(ROOT, path.join(lab.folder, 'node_modules/sallyport'));
    const program = await client.start(process.execPath, [file, `https://${gateway}`, ocserv.pin], { keepsInputOpen: true });
    await program.waitFor(/username/i);
    program.write(`${ALICE.name}\n`);
    await program.waitFor(/password/i);
    program.write(`${ALICE.password}\n`);
    await program.waitFor(/Enter ends the connection/);
    await scene.assertAnswers();
    program.write('\n');
    const { code, output } = await program.finish();
    assert.equal(code, 0, output);
    assert.match(output, /closing\nclosed/);
    await scene.assertNoTrace();
  });

  it('rejects when whoever answers gives up, and leaves nothing', async () => {
    await using scene = await TunnelScene.open(NAMES);
    const said = await saidBy(await start(scene, 'wrong'));
    assert.deepEqual(said.slice(-3), [{ asked: ['password'] }, { rejected: 'ERR_CANCELLED' }, 'over']);
    await scene.assertNoTrace();
  });
});
