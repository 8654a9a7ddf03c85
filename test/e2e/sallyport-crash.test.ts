/**
 * A session that was killed: what it had set up is put back by the next start, or by `sallyport recover`.
 *
 * Read first: docs/network-setup.md, "After a crash".
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { HANG_LIMIT } from '../support/size.ts';
import { NAMES, SallyportRun, sallyport } from './sallyport-scene.ts';
import { skip, TunnelScene } from './tunnel-scene.ts';

/** A session ends without a chance to clean up. */
async function killed(scene: TunnelScene, args: readonly string[] = []): Promise<void> {
  const { program } = await SallyportRun.connect(scene, args);
  program.signal('SIGKILL');
  await program.exited;
  assert.match(readFileSync(scene.client.file('/etc/resolv.conf'), 'utf8'), /10\.77\.0\.1/, 'its DNS is still there');
}

describe('after kill -9 of sallyport connect', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  it('status says that something is left, and recover puts it back', async () => {
    await using scene = await TunnelScene.open(NAMES);
    await killed(scene);
    const { code, stdout } = await sallyport(scene, ['status']);
    assert.equal(code, 8);
    assert.match(stdout, /^There is no session\.\n.*"sallyport recover"/);
    const recovered = await sallyport(scene, ['recover']);
    assert.equal(recovered.code, 0, recovered.output);
    assert.match(
      recovered.stdout,
      /^The network set-up of tun0 by process \d+ was left behind\.\nTook back the DNS in \/etc\/resolv\.conf\.$/m,
    );
    await scene.assertNoTrace();
    assert.equal((await sallyport(scene, ['recover'])).stdout, 'Nothing was left behind.\n');
  });

  it('recover --json says the same to programs', async () => {
    await using scene = await TunnelScene.open(NAMES);
    await killed(scene);
    const { stdout } = await sallyport(scene, ['recover', '--json']);
    const { v, recovered } = JSON.parse(stdout);
    assert.deepEqual([v, recovered.length, recovered[0].outcome], [1, 1, 'undone']);
    await scene.assertNoTrace();
  });

  it('the next start puts it back before it looks up a name, and works', async () => {
    await using scene = await TunnelScene.open(NAMES);
    await killed(scene);
    const session = await SallyportRun.connect(scene);
    assert.match(String((await session.until('warning')).message), /left behind/);
    await scene.assertAnswers();
    assert.equal((await sallyport(scene, ['disconnect'])).code, 0);
    await session.finish();
    await scene.assertNoTrace();
  });

  it('a log-in puts it back too', async () => {
    await using scene = await TunnelScene.open(NAMES);
    await killed(scene);
    const { stderr } = await sallyport(scene, ['login', scene.gateway]);
    assert.match(stderr, /left behind/);
    await scene.assertNoTrace();
  });

  it('a script is run to disconnect, if it was the script that connected', async () => {
    await using scene = await TunnelScene.open(NAMES);
    await killed(scene, ['--script', '/usr/share/vpnc-scripts/vpnc-script']);
    const { code, output } = await sallyport(scene, ['recover']);
    assert.equal(code, 0, output);
    assert.match(output, /Ran its script '\/usr\/share\/vpnc-scripts\/vpnc-script' to disconnect\./);
    await scene.assertNoTrace();
  });

  it('the drop-in puts it back as well', async () => {
    await using scene = await TunnelScene.open(NAMES);
    await killed(scene);
    await scene.disconnect(await scene.connect());
  });
});
