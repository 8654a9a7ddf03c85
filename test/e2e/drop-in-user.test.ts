/**
 * `--setuid`: root sets the tunnel up, another user runs it. What that user gets hold of must not lead back to root.
 *
 * Read first: spec "Client command-line contract", section 3.5; docs/network-setup.md, "The script".
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { describe, it } from 'node:test';
import { DROP_IN } from '../support/drop-in.ts';
import type { OpenConnect } from '../support/openconnect.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { skip, TunnelScene } from './tunnel-scene.ts';

/** Says as whom it runs, and sets nothing up. */
const NAMING = 'echo "$reason as $(id -un)"';

function connectAsNobody(scene: TunnelScene): Promise<OpenConnect> {
  return scene.connect({ script: NAMING, args: ['--setuid', 'nobody'] });
}

/** Lines of /proc/PID/status of every thread: `Uid`, `Gid`, `Groups`, `CapEff`. */
function rightsOf(pid: number): string[] {
  const threads = readdirSync(`/proc/${pid}/task`);
  const lines = threads.flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1').split('\n'));
  return [
    ...new Set(lines.filter((line) => /^(?:Uid|Gid|Groups|CapPrm|CapEff):/.test(line)).map((line) => line.trim().replaceAll('\t', ' '))),
  ];
}

/** What a process has open, by name; writable files alone. */
function writableFiles(pid: number): string[] {
  const names = readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
    try {
      const isWritable = /^flags:\s+\d*[12]$/m.test(readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, 'latin1'));
      return isWritable ? [readlinkSync(`/proc/${pid}/fd/${descriptor}`)] : [];
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []; // closed meanwhile
      throw error;
    }
  });
  return names.filter((name) => name.startsWith('/') && !name.startsWith('/dev/'));
}

describe('a session that goes on as another user', { skip, concurrency: 2, timeout: HANG_LIMIT }, () => {
  it('is set up by root, is that user in all its threads, and ends as that user', async () => {
    await using scene = await TunnelScene.open();
    const client = await connectAsNobody(scene);
    const { pid, output } = client.program;
    assert.match(output, /^pre-init as root$/m);
    assert.match(output, /^connect as root$/m);
    const mark = output.length;
    client.program.signal('SIGUSR2');
    await client.program.waitFor(/^reconnect as nobody$/m, { after: mark });
    const none = '0000000000000000';
    const [uid, gid] = ['65534 65534 65534 65534', '65534 65534 65534 65534'];
    assert.deepEqual(rightsOf(pid), [`Uid: ${uid}`, `Gid: ${gid}`, 'Groups: 65534', `CapPrm: ${none}`, `CapEff: ${none}`]);
    const end = await client.disconnect();
    assert.equal(end.code, 0);
    assert.match(client.program.output, /^disconnect as nobody$/m);
    assert.doesNotMatch(client.program.output, /journal/);
    await scene.assertNoTrace();
  });

  it('ends where the system refuses that user, rather than go on with the rights it has', async () => {
    await using scene = await TunnelScene.open();
    const [program, ...leading] = DROP_IN;
    const daemon = ['--reuid', 'daemon', '--clear-groups', '--inh-caps=-all', '--bounding-set=-all', program, ...leading];
    const args = ['--setuid', 'nobody', '--script-tun', '--script', 'exec cat <&3'];
    const client = await scene.start({ command: ['setpriv', ...daemon], args });
    const { code, stderr } = await client.program.finish();
    assert.equal(code, 1, stderr);
    assert.match(stderr, /^Failed to set gid 65534: Operation not permitted$/m);
    await scene.ocserv.control.assertNoSessions();
    await scene.assertNoTrace();
  });

  it('has no way left to change what a recovery will run as root', async () => {
    await using scene = await TunnelScene.open();
    const client = await connectAsNobody(scene);
    client.program.signal('SIGUSR2');
    await client.program.waitFor(/^reconnect as nobody$/m);
    assert.equal(scene.leftFiles().length, 1, 'there is a journal');
    assert.deepEqual(writableFiles(client.program.pid), []);
    client.program.signal('SIGKILL');
    await client.program.exited;
    const next = await scene.connect({ script: 'true' });
    assert.match(next.program.output, /^disconnect as root$/m);
    await scene.disconnect(next);
  });
});
