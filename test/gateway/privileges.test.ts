/** What docs/threats.md says of the gateway's processes, looked up in the running gateway and tried from inside a worker's fence. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startWorker } from '../../src/gateway/processes/child-processes.ts';
import type { Fence } from '../../src/gateway/processes/give-up-rights.ts';
import { MAX_DEVICE_QUEUES } from '../../src/node/engine/shared-memory.ts';
import { assertBuilt } from '../support/drop-in.ts';
import { OUR_GATEWAY } from '../support/gateway-program.ts';
import { Lab } from '../support/lab.ts';
import { ALICE, Ocserv } from '../support/ocserv.ts';
import { OpenConnect } from '../support/openconnect.ts';
import {
  descriptorsOf,
  type GatewayPids,
  gatewayPids,
  hasInMemory,
  internetSocketsOf,
  statusOf,
  threadsOf,
} from '../support/process-view.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { ping } from '../support/traffic.ts';
import type { Outcomes, ProbeService, Targets } from './processes/worker-probe.ts';

const NOBODY = '65534';
const DAEMON = '1';

describe("a running gateway's processes", { skip: missing('root', 'netns', 'tun', 'ocserv', 'openconnect', 'openssl', 'ping') }, () => {
  let lab: Lab;
  let gateway: Ocserv;
  let client: OpenConnect;
  let pids: GatewayPids;
  let root: string;

  before(async () => {
    assertBuilt();
    lab = await Lab.open();
    root = path.join(lab.folder, 'root');
    mkdirSync(root);
    // Compression: its library is loaded when the first client asks for it, which is behind the fence.
    const settings = { 'run-as-user': 'nobody', 'run-as-group': 'daemon', 'chroot-dir': root, compression: true };
    gateway = await Ocserv.start(lab, { program: OUR_GATEWAY, settings });
    client = await OpenConnect.start(lab.client, { gateway: gateway.gateway, pin: gateway.pin, user: ALICE });
    await client.up();
    pids = gatewayPids(lab.server);
  });

  after(() => lab?.close());

  it('serve a client, from an empty root folder', async () => {
    const { received } = await ping(lab.client, '10.77.0.1', { deadline: 5_000 });
    assert.equal(received, 3);
  });

  it('have workers without root, capabilities, groups and ways to new privileges, in every thread', () => {
    assert.ok(pids.workers.length >= 1);
    for (const pid of pids.workers) {
      for (const thread of threadsOf(pid)) {
        const status = statusOf(pid, thread);
        const ids = (name: string) => [...new Set(status.get(name)?.split(/\s+/))];
        assert.deepEqual(ids('Uid'), [NOBODY], `thread ${thread}`);
        assert.deepEqual(ids('Gid'), [DAEMON]);
        assert.equal(status.get('Groups'), '');
        for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb']) assert.match(status.get(set) ?? '', /^0+$/, set);
        assert.equal(status.get('NoNewPrivs'), '1');
        assert.equal(status.get('Seccomp'), '2', 'system calls are filtered');
      }
    }
  });

  it('keep workers in their root folder, and from looking into each other', () => {
    for (const pid of pids.workers) {
      assert.equal(readlinkSync(`/proc/${pid}/root`), root);
      assert.equal(readlinkSync(`/proc/${pid}/cwd`), root);
      assert.equal(statSync(`/proc/${pid}/mem`).uid, 0, 'processes of the same user may not open its memory');
    }
  });

  it('give a worker its queues of the device, its clients, and no file', () => {
    for (const pid of pids.workers) {
      assert.deepEqual(filesOf(pid), devicesOf(pids.workers.length));
      assert.ok(internetSocketsOf(pid).every(({ isListening }) => !isListening));
    }
    assert.ok(
      pids.workers.some((pid) => internetSocketsOf(pid).length > 0),
      'the client is connected to one',
    );
  });

  it('have an auth process that no network reaches, and a main process that listens', () => {
    assert.deepEqual(internetSocketsOf(pids.auth), []);
    assert.ok(!descriptorsOf(pids.auth).includes('/dev/net/tun'));
    assert.ok(internetSocketsOf(pids.main).some(({ isListening }) => isListening));
  });

  it('hold secrets where they belong: hashes of passwords in auth, the key of TLS outside of it', () => {
    const passwords = readFileSync(path.join(gateway.folder, 'passwords'), 'utf8');
    const hash = Buffer.from(passwords.trim().split(':')[2] ?? assert.fail('there is a password'));
    const key = Buffer.from(
      readFileSync(path.join(gateway.folder, 'server-key.pem'), 'utf8').split('\n')[1] ?? assert.fail('there is a key'),
    );
    assert.equal(hasInMemory(pids.auth, hash), true, 'the search finds what is there');
    assert.equal(hasInMemory(pids.auth, key), false);
    for (const pid of pids.workers) assert.equal(hasInMemory(pid, hash), false);
    assert.equal(hasInMemory(pids.main, hash), false);
    assert.ok(
      pids.workers.every((pid) => hasInMemory(pid, key)),
      'TLS signs where the connection is',
    );
  });

  it('say at start where the keys are', () => {
    assert.match(gateway.log, /the TLS private keys are in the workers/);
    assert.doesNotMatch(gateway.log, /run as root/);
  });
});

describe("a running gateway's only worker", { skip: missing('root', 'netns', 'tun', 'ocserv', 'openssl', 'taskset') }, () => {
  it('has a descriptor to write to beside its queues of the device, and no file', async () => {
    assertBuilt();
    await using lab = await Lab.open();
    const [processor] = statusOf(process.pid).get('Cpus_allowed_list')?.match(/^\d+/) ?? assert.fail('it runs on a processor');
    const command = ['taskset', '--cpu-list', processor, ...OUR_GATEWAY.command] as const;
    await Ocserv.start(lab, { program: { ...OUR_GATEWAY, command } });
    const { workers } = gatewayPids(lab.server);
    assert.deepEqual(workers.map(filesOf), [devicesOf(1)]);
  });
});

/** What a worker has of the device: its queues; and what it writes to, where there is no other worker. */
function devicesOf(workers: number): string[] {
  return new Array(workers === 1 ? 1 + MAX_DEVICE_QUEUES : MAX_DEVICE_QUEUES).fill('/dev/net/tun');
}

function filesOf(pid: number): string[] {
  return descriptorsOf(pid).filter((what) => what.startsWith('/') && what !== '/dev/null');
}

describe("inside a worker's fence", { skip: missing('root') }, () => {
  let folder: string;
  let listener: net.Server;
  let targets: Targets;

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-fence-'));
    const secretFile = path.join(folder, 'passwords');
    writeFileSync(secretFile, 'alice:*:$5$\n', { mode: 0o600 });
    chmodSync(folder, 0o777); // what is refused is not refused for the folder
    listener = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => listener.once('listening', resolve));
    targets = {
      secretFile,
      worldReadableFile: '/etc/passwd',
      newFile: path.join(folder, 'new'),
      tcpPort: (listener.address() as AddressInfo).port,
      otherProcess: process.pid,
    };
  });

  after(() => {
    listener?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('everything is refused that needs files, programs, processes or new sockets', { timeout: HANG_LIMIT }, async () => {
    const outcomes = await probe(targets, undefined);
    assert.equal(existsSync(targets.newFile), false);
    assert.deepEqual(outcomes, {
      ...REFUSED,
      // Native code gets past Node's fence, and then stands before the kernel's: the user's rights. A root folder of its own is the wall for that.
      'read it past Node': 'done',
      'read a secret file past Node': 'EACCES',
      'read its own code': 'done',
    });
  });

  it('one that dials out, without an interface, makes sockets to other hosts and has no more than others of the rest', {
    timeout: HANG_LIMIT,
  }, async () => {
    assert.deepEqual(await probe(targets, undefined, { dialsOut: true }), {
      ...REFUSED,
      'read it past Node': 'done',
      'read a secret file past Node': 'EACCES',
      'read its own code': 'done',
      'open a TCP connection': 'done',
      'make a UDP socket': 'done',
    });
  });

  it('a root folder of its own leaves nothing to read', { timeout: HANG_LIMIT }, async () => {
    const chroot = path.join(folder, 'root');
    mkdirSync(chroot, { recursive: true });
    const outcomes = await probe(targets, chroot);
    assert.deepEqual(outcomes, {
      ...REFUSED,
      'read it past Node': 'ENOENT',
      'read a secret file past Node': 'ENOENT',
      'read its own code': 'ENOENT',
      'read a secret file in another thread': 'ENOENT',
    });
  });
});

const DENIED = 'ERR_ACCESS_DENIED';

const REFUSED: Outcomes = {
  'read a secret file': DENIED,
  'read a file that everybody may read': DENIED,
  'list the root folder': DENIED,
  'write a file': DENIED,
  'start a program': DENIED,
  'start a program past Node': 'EPERM',
  'end another process': 'EPERM',
  'look into another process': 'EPERM',
  'be root again': 'EPERM',
  'leave its root folder': 'EPERM',
  'have io_uring do it': 'EPERM',
  'open a TCP connection': 'EPERM',
  'make a UDP socket': 'EPERM',
  'read a secret file in another thread': DENIED,
};

async function probe(targets: Targets, chroot: string | undefined, fence: Fence = { dialsOut: false }): Promise<Outcomes> {
  const program = path.join(import.meta.dirname, 'processes/worker-probe.ts');
  const before = process.cwd();
  process.chdir('/'); // as a service is
  const child = startWorker({ peer: 'the probe', serves: {}, onFault: (error) => assert.fail(error) }, [], program);
  process.chdir(before);
  try {
    const service = child.rpc.remote<ProbeService>();
    await service.enter({ user: 'nobody', group: 'daemon', ...(chroot !== undefined && { chroot }) }, fence);
    return await service.attempt(targets);
  } finally {
    await child.end();
  }
}
