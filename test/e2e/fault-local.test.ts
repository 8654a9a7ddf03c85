/**
 * What goes wrong on the client's own machine: scripts, devices, and the client itself.
 *
 * Read first: spec "vpnc-script", section 1 (what a script's failure means); spec "Client command-line contract", section 5.5 (words).
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DROP_IN } from '../support/drop-in.ts';
import { VPNC_SCRIPT } from '../support/openconnect.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { assertUnchanged, differences, takeSnapshot } from '../support/snapshot.ts';
import { INSIDE, skip, TunnelScene } from './tunnel-scene.ts';

const DNS = { settings: { dns: [INSIDE.ipv4] } };
const OPTIONS = { skip, concurrency: 2, timeout: HANG_LIMIT };

describe('a script', OPTIONS, () => {
  it('that fails after it has done its work is reported, and the tunnel stays', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.start({ script: `(${VPNC_SCRIPT}; exit 7)` });
    await client.program.waitFor(/^Script '.*' returned error 7$/m);
    await client.program.waitFor(/script connect ended with 7/);
    await scene.assertAnswers();
    await scene.disconnect(client);
  });

  it('that fails at everything leaves a tunnel without addresses, and nothing in the end', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.start({ script: 'false' });
    await client.program.waitFor(/script connect ended with 1/);
    await client.program.waitFor(/returned error 1/);
    await scene.ocserv.control.disconnectUser('alice');
    assert.equal((await client.program.finish()).code, 1);
    await scene.assertNoTrace();
  });

  it('that is not there is reported, and nothing is left in the end', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.start({ args: ['--script', '/nowhere/script'] });
    const failed = /^Script '\/nowhere\/script' returned error 127$/m;
    // First it was pre-init's turn. What is between them is on the other output, which may come sooner or later.
    const [first] = await client.program.waitFor(failed);
    await client.program.waitFor(failed, { after: client.program.output.indexOf(first) + first.length });
    await client.program.waitFor(/not found/);
    await scene.disconnect(client);
  });

  it('that is killed in the middle of connecting is reported, and what it had done is undone', async () => {
    await using scene = await TunnelScene.open(DNS);
    const args = ['--script', `${VPNC_SCRIPT}; test $reason != connect || kill -9 $$`];
    const client = await scene.start({ args });
    await client.program.waitFor(/exited abnormally/);
    await scene.assertAnswers();
    await scene.disconnect(client);
  });
});

describe('a TUN device', OPTIONS, () => {
  const refusals: readonly { readonly why: string; readonly device: string; readonly says: RegExp }[] = [
    { why: 'whose name another interface has', device: 'eth0', says: /eth0 exists and is not a TUN interface/ },
    { why: 'whose name no interface can have', device: 'a/b', says: /"a\/b" cannot be the name of an interface/ },
  ];
  for (const { why, device, says } of refusals) {
    it(`${why} ends the session with code 1, and nothing is left`, async () => {
      await using scene = await TunnelScene.open(DNS);
      const client = await scene.start({ device });
      const { code, output } = await client.program.finish();
      assert.equal(code, 1, output);
      assert.match(output, says);
      assert.match(output, /^Set up tun device failed$/m);
      await scene.ocserv.control.assertNoSessions(); // it logs off
      await scene.assertNoTrace();
    });
  }

  it('that another program holds ends the session with code 1, and the other program’s stays', async () => {
    await using scene = await TunnelScene.open(DNS);
    const first = await scene.connect();
    await first.program.waitFor(/script connect ended/);
    const between = await scene.snapshotWithoutScripts();
    const second = await scene.start();
    const { code, output } = await second.program.finish();
    assert.equal(code, 1, output);
    assert.match(output, /tun0 is in use by another program/);
    assert.match(output, /^Set up tun device failed$/m);
    assert.doesNotMatch(output, /script disconnect/, 'it would take the first one’s addresses away');
    assertUnchanged(between, await takeSnapshot(scene.client));
    assert.equal((await first.disconnect()).code, 0);
    await scene.assertNoTrace();
  });

  it('that the user may not have ends the session with code 1 and says what to do', async () => {
    await using scene = await TunnelScene.open(DNS);
    const [program, ...leading] = DROP_IN;
    const nobody = ['--reuid', 'nobody', '--clear-groups', '--inh-caps=-all', '--bounding-set=-all', program, ...leading];
    const client = await scene.start({ command: ['setpriv', ...nobody] });
    const { code, output } = await client.program.finish();
    assert.equal(code, 1, output);
    assert.match(output, /ip tuntap add tun0 mode tun user/);
    assert.match(output, /^Set up tun device failed$/m);
    await scene.assertNoTrace();
  });

  it('whose name is too long is made with what of it an interface can have', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect({ device: 'tun-1234567890-1234567890' });
    await scene.assertAnswers();
    assert.ok(scene.deviceBytes('tun-1234567890-') > 0);
    await scene.disconnect(client);
  });

  it('that this machine does not have ends the session with code 1 and says what to do', async () => {
    await using scene = await TunnelScene.open(DNS);
    await scene.client.run('mount', ['-t', 'tmpfs', 'none', '/dev/net']);
    const client = await scene.start({ script: 'true' }); // the standard one makes it
    const { code, output, stdout } = await client.program.finish();
    assert.equal(code, 1, output);
    assert.match(output, /There is no TUN device on this machine/);
    assert.match(stdout, /^Send BYE packet: Set up tun device failed\nUnrecoverable I\/O error; exiting\.$/m);
    await scene.assertNoTrace();
  });

  it('that is taken away ends the session with code 1, and nothing is left', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect();
    await scene.client.ip('link del tun0');
    const { code, output } = await client.program.finish();
    assert.equal(code, 1, output);
    assert.match(output, /script disconnect ended/);
    await scene.ocserv.control.assertNoSessions(); // it logs off
    await scene.assertNoTrace();
  });
});

describe('a client that is killed', OPTIONS, () => {
  it('leaves what the next start undoes before it begins', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect();
    client.program.signal('SIGKILL');
    assert.equal((await client.program.exited).signal, 'SIGKILL');
    const left = differences(scene.before, await takeSnapshot(scene.client));
    assert.ok(left.includes(`+ /etc/resolv.conf: nameserver ${INSIDE.ipv4}`), left.join('\n'));

    const next = await scene.connect();
    assert.match(next.program.output, /The script session of tun0 by process \d+ was left behind\.\nRan its script/);
    await scene.assertAnswers();
    await scene.disconnect(next);
  });

  it('leaves what the next start undoes even if that only logs in, and does not disturb what it prints', async () => {
    await using scene = await TunnelScene.open(DNS);
    const client = await scene.connect();
    client.program.signal('SIGKILL');
    await client.program.exited;
    const [command, ...leading] = DROP_IN;
    const args = ['--authenticate', '--servercert', scene.ocserv.pin, '--user', 'alice', '--passwd-on-stdin', '--non-inter', scene.gateway];
    const { code, stdout } = await scene.client.finish(command, [...leading, ...args], { input: 'correct horse\n' });
    assert.equal(code, 0);
    assert.match(stdout, /^COOKIE='[^\n]*'\nHOST=/);
    await scene.assertNoTrace();
  });

  it('leaves the tunnels of others alone', async () => {
    await using scene = await TunnelScene.open({ settings: { route: ['10.77.0.0/16'] } });
    const kept = await scene.connect({ device: 'tun5' });
    const naming = ['--script', 'echo "$reason for $TUNDEV"'];
    const killed = await scene.start({ device: 'tun6', args: naming });
    await killed.program.waitFor(/^connect for tun6/m);
    killed.program.signal('SIGKILL');
    await killed.program.exited;
    const next = await scene.start({ device: 'tun7', args: naming });
    await next.program.waitFor(/^disconnect for tun6/m);
    await next.program.waitFor(/^connect for tun7/m);
    assert.doesNotMatch(next.program.output, /tun5/);
    assert.equal((await next.disconnect()).code, 0);
    await scene.assertAnswers();
    await scene.disconnect(kept);
  });
});
