/** A gateway without root: clients among themselves, sessions with rules, services, clients that come back, and an ocserv.conf. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ALICE } from '../../support/ocserv.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { OUTSIDE, UserspaceScene } from './userspace-scene.ts';

const PEERS = path.join(import.meta.dirname, 'nat-peers-program.ts');
const CLIENT = path.join(import.meta.dirname, 'nat-client-program.ts');

const needed = missing('root', 'netns', 'openssl', 'setpriv', 'ocpasswd');

function outcomes(stdout: string): Record<string, unknown> {
  return Object.assign(
    {},
    ...stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  );
}

describe('clients of a gateway without root', { skip: needed, concurrency: 2, timeout: HANG_LIMIT }, () => {
  for (const { workers, hasEngine } of [
    { workers: 1, hasEngine: true },
    { workers: 2, hasEngine: true },
    { workers: 1, hasEngine: false },
  ]) {
    it(`reach each other as their rules have it, and find their connections again: ${workers} worker(s), engine ${hasEngine}`, async () => {
      await using scene = await UserspaceScene.open({ tables: { process: [`workers = ${workers}`] } });
      scene.addUser('bob', 'restrict-user-to-ports = tcp(443)');
      await scene.start({ hasEngine });
      const words = [process.execPath, PEERS, scene.targets, `https://${scene.url}`, scene.pin, ALICE.password];
      // With more workers than one a client may come back to another, which knows nothing of its connections.
      const comesBack = workers === 1;
      const program = await scene.startAsNobody('client', [...words, comesBack ? 'yes' : 'no']);
      const { code, stdout, output } = await program.finish({ within: 60_000 });
      assert.equal(code, 0, output);
      assert.deepEqual(outcomes(stdout), {
        ...{ ping: 56, toBob: 'hello', bulk: true, toAlice: 'hello', toAliceElsewhere: 'ECONNREFUSED', bobOutside: 'ECONNREFUSED' },
        ...(comesBack && { before: 'before', after: 'after' }),
      });
      assert.equal((await scene.stop()).code, 0);
    });
  }

  it('reach what the configuration offers of the gateway’s machine, which a reload can change', async () => {
    await using scene = await UserspaceScene.open({ tables: { nat: ['services = ["7:127.0.0.1:1"]'] } });
    await scene.startOutsideOnGateway();
    const gateway = await scene.start();
    const text = readFileSync(scene.file, 'utf8');
    const targets = JSON.stringify({ ipv4: '10.77.0.1' });
    const words = [process.execPath, CLIENT, 'echo', targets, `https://${scene.url}`, scene.pin, ALICE.password];
    const before = await (await scene.startAsNobody('client', words)).finish();
    assert.deepEqual(outcomes(before.stdout), { echo: 'ECONNREFUSED' }, before.output);
    writeFileSync(scene.file, text.replace('"7:127.0.0.1:1"', '"7007:127.0.0.1:7007"'));
    gateway.signal('SIGHUP');
    await gateway.waitFor(/configuration reloaded/);
    const after = await (await scene.startAsNobody('client', words)).finish();
    assert.deepEqual(outcomes(after.stdout), { echo: true }, after.output);
  });

  it('are served from an ocserv.conf, by --userspace, and refused a chroot', async () => {
    await using scene = await UserspaceScene.open();
    const settings = scene.ocservConf();
    const file = path.join(scene.folder, 'ocserv.conf');
    writeFileSync(file, settings);
    await scene.start({ file, words: ['--userspace'] });
    const words = [process.execPath, CLIENT, 'echo', JSON.stringify(OUTSIDE), `https://${scene.url}`, scene.pin, ALICE.password];
    const { stdout, output } = await (await scene.startAsNobody('client', words)).finish();
    assert.deepEqual(outcomes(stdout), { echo: true }, output);
    assert.equal((await scene.stop()).code, 0);
    writeFileSync(file, `${settings}chroot-dir = ${scene.folder}\n`);
    const refused = await (await scene.asNobody('server', ['gateway', '--userspace', '--config', file])).finish();
    assert.equal(refused.code, 1);
    assert.match(refused.output, /Only root can have this.*chroot/);
  });
});
