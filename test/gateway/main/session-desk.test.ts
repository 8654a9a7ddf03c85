import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MisuseError, PeerRefusedError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/core/log.ts';
import type { SessionPolicy } from '../../../src/gateway/config/gateway-config.ts';
import { SessionDesk } from '../../../src/gateway/main/session-desk.ts';
import { SessionEvents } from '../../../src/gateway/main/session-events.ts';
import { SessionTable, type Tunnel } from '../../../src/gateway/main/session-table.ts';
import { Statistics } from '../../../src/gateway/main/statistics.ts';
import { ClientRoutes } from '../../../src/gateway/network/client-routes.ts';
import { LeasePool } from '../../../src/gateway/network/lease-pool.ts';
import { SessionFirewall } from '../../../src/gateway/network/session-firewall.ts';
import { SessionNetwork } from '../../../src/gateway/network/session-network.ts';
import { SessionScripts } from '../../../src/gateway/network/session-scripts.ts';
import type { AuthService } from '../../../src/gateway/processes/auth-service.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { sampleConfig, sampleHost } from '../config-samples.ts';
import { cidr, ip } from '../network/lease-requests.ts';

const WORKER = 0;
const WISHES = { wantsIpv4: true, wantsIpv6: false, isMobile: false, userAgent: 'test' };
const NOW = 1_700_000_000_000;

/** A desk whose device takes its time: `passes` lets the openings go on that wait for it. */
function makeDesk(policy: Partial<SessionPolicy> = {}, admit: (tunnel: Tunnel) => void = () => undefined) {
  const table = new SessionTable();
  const waiting: (() => void)[] = [];
  const device = {
    name: 'vpns0',
    addPools: () => new Promise<void>((resolve) => void waiting.push(resolve)),
    covers: () => true,
  };
  const leases = new LeasePool({ crypto: new NodeCrypto() });
  const routes = new ClientRoutes({ device: device.name, log: silentLogger });
  const firewall = new SessionFirewall({ device: device.name });
  const scripts = new SessionScripts({ scripts: {}, log: silentLogger });
  const sessions = new SessionNetwork({ device, leases, routes, firewall, scripts });
  const closed: string[] = [];
  const over = new Set<string>();
  const ended: number[] = [];
  const expected = new Set<string>();
  /** Whose flows workers were to forget; and which worker keeps them. */
  const forgotten: string[] = [];
  const host = sampleHost({ policy });
  const config = { ...sampleConfig({ ...host, pools: { ...host.pools, ipv4: cidr('10.77.0.0/24') } }) };
  const auth: Pick<AuthService, 'has' | 'opened' | 'closed'> = {
    has: async (session) => !over.has(session),
    opened: () => Promise.resolve(),
    closed: async (session, { keepsCookie }) => {
      closed.push(session);
      if (!keepsCookie) over.add(session);
    },
  };
  const desk: SessionDesk = new SessionDesk({
    ...{ table, log: silentLogger, events: new SessionEvents(), statistics: new Statistics(1_000, NOW), now: () => NOW },
    auth: auth as AuthService,
    network: { sessions, routes, device: device.name },
    config: () => config,
    udpPort: () => undefined,
    endTunnel: (tunnel, reason) => {
      ended.push(tunnel.id);
      desk.forget(tunnel, reason);
      return Promise.resolve();
    },
    ...{ admit, dismiss: () => undefined },

    expect: (session) => expected.add(session) !== undefined,
    unexpect: (session) => void expected.delete(session),
    forgetFlows: (session, but) => void forgotten.push(but === undefined ? session : `${session} but at ${but}`),
  });
  /** A connection that has shown a session's cookie. */
  const connect = (session: string, user = 'alice') => {
    const connection = table.connect(WORKER, { address: ip('192.0.2.1'), port: 1 }, { address: ip('192.0.2.2'), port: 443 }, NOW);
    connection.known = { id: session, user, createdAt: NOW, userAgent: 'test' };
    return connection;
  };
  return {
    table,
    desk,
    leases,
    connect,
    closed,
    ended,
    expected,
    forgotten,
    waiting,
    passes: () => void waiting.splice(0).forEach((go) => void go()),
  };
}

type Desk = ReturnType<typeof makeDesk>;

const lease = ({ desk }: Desk, id: number, session: string) => desk.lease(WORKER, id, session, WISHES);

/** Lets openings go on until a promise is settled. */
async function through<T>({ passes }: Desk, promise: Promise<T>): Promise<T> {
  const timer = setInterval(passes, 1);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

async function waits({ waiting }: Desk, count: number): Promise<void> {
  while (waiting.length < count) await new Promise((resolve) => setImmediate(resolve));
}

describe('the desk of the sessions', { timeout: HANG_LIMIT }, () => {
  it('gives a session one tunnel when its cookie comes twice at once: the later one', async () => {
    const scene = makeDesk();
    const [first, second] = [scene.connect('s'), scene.connect('s')];
    await through(scene, Promise.all([lease(scene, first.id, 's'), lease(scene, second.id, 's')]));
    assert.deepEqual(scene.ended, [first.id]);
    assert.equal(scene.table.ofSession('s')?.connection, second);
    assert.equal(first.tunnel, undefined);
    assert.equal(scene.table.tunnelCount, 1);
  });

  it('expects a session’s client by UDP until its next tunnel begins, or it is over', async () => {
    const scene = makeDesk();
    const [first, second] = [scene.connect('s'), scene.connect('s')];
    assert.equal(await scene.desk.expects(WORKER, first.id, 's', Uint8Array.of(1)), true);
    assert.deepEqual([...scene.expected], ['s']);
    await through(scene, lease(scene, first.id, 's'));
    assert.equal(scene.expected.size, 0);
    await scene.desk.opened(WORKER, first.id, undefined, undefined);
    await scene.desk.expects(WORKER, second.id, 's', Uint8Array.of(2));
    assert.deepEqual(scene.ended, [], 'a tunnel that is no such one goes on');
    const third = scene.connect('s');
    await through(scene, lease(scene, third.id, 's'));
    await scene.desk.opened(WORKER, third.id, Uint8Array.of(2), undefined);
    await scene.desk.expects(WORKER, second.id, 's', Uint8Array.of(3));
    assert.deepEqual(scene.ended, [first.id, third.id], 'its keys are good no more');
    await scene.desk.endSession(WORKER, second.id, 's');
    assert.equal(scene.expected.size, 0);
    assert.throws(() => scene.desk.expects(WORKER, first.id, 'another', Uint8Array.of(4)));
  });

  it('counts those whose tunnels are being set up (max-same-clients)', async () => {
    const scene = makeDesk({ maxSameClients: 1 });
    const [first, second, other] = [scene.connect('s1'), scene.connect('s2'), scene.connect('s3', 'bob')];
    const opening = lease(scene, first.id, 's1');
    await waits(scene, 1);
    await assert.rejects(lease(scene, second.id, 's2'), PeerRefusedError);
    await through(scene, Promise.all([opening, lease(scene, other.id, 's3')]));
    assert.equal(scene.table.tunnelCount, 2);
  });

  it('gives a place back when the setting up fails', async () => {
    const scene = makeDesk({ maxSameClients: 1 });
    const [first, second] = [scene.connect('s1'), scene.connect('s2')];
    const opening = lease(scene, first.id, 's1');
    await waits(scene, 1);
    scene.desk.disconnected(WORKER, first.id);
    await assert.rejects(through(scene, opening), PeerRefusedError);
    await through(scene, lease(scene, second.id, 's2'));
    assert.deepEqual([...scene.table.connections], [second]);
  });

  it('tells nobody of the end of a tunnel that was not admitted', async () => {
    const no = () => {
      throw new MisuseError('another tunnel has its id');
    };
    const scene = makeDesk({}, no);
    const connection = scene.connect('s1');
    await through(scene, lease(scene, connection.id, 's1'));
    await assert.rejects(scene.desk.opened(WORKER, connection.id, new Uint8Array(3), undefined), MisuseError);
    scene.desk.disconnected(WORKER, connection.id);
    await through(scene, lease(scene, scene.connect('s1').id, 's1')); // after its end
    assert.deepEqual(scene.closed, []);
  });

  it('forgets a connection with its tunnel, and keeps the session for who comes back', async () => {
    const scene = makeDesk();
    const first = scene.connect('s');
    const { terms } = await through(scene, lease(scene, first.id, 's'));
    await scene.desk.opened(WORKER, first.id, undefined, undefined);
    scene.desk.disconnected(WORKER, first.id);
    assert.deepEqual([scene.table.connectionCount, scene.table.tunnelCount], [0, 0]);
    const again = scene.connect('s');
    const { terms: termsAgain } = await through(scene, lease(scene, again.id, 's'));
    assert.deepEqual(termsAgain.config.ipv4, terms.config.ipv4);
    assert.deepEqual(scene.closed, ['s'], 'its end came before its return');
  });

  it('ends a session cookie and all for an administrator, and its addresses are free', async () => {
    const scene = makeDesk();
    const { id } = scene.connect('s');
    await through(scene, lease(scene, id, 's'));
    const tunnel = scene.table.ofSession('s') ?? assert.fail();
    await scene.desk.disconnect(tunnel);
    await scene.desk.disconnectAll(); // what is under way is done then
    assert.equal(scene.leases.leaseOf('s'), undefined);
    assert.deepEqual(scene.closed, ['s']);
  });

  it('has the flows of a session where its tunnel is, as long as its cookie is good, and nowhere when it is over', async () => {
    const scene = makeDesk();
    const { id } = scene.connect('s');
    const { limits } = await through(scene, lease(scene, id, 's'));
    assert.equal(limits.resumeTime, sampleHost().sessions.cookieTimeout);
    scene.desk.disconnected(WORKER, id);
    await scene.desk.disconnectAll();
    assert.deepEqual(scene.forgotten, [`s but at ${WORKER}`]);
    await scene.desk.endSessionOf('s');
    assert.deepEqual(scene.forgotten, [`s but at ${WORKER}`, 's']);
  });

  it('gives nothing to a session that was ended after its cookie was shown: no tunnel, no address, no place by UDP', async () => {
    const scene = makeDesk();
    const { id } = scene.connect('s');
    await scene.desk.endSessionOf('s');
    await assert.rejects(through(scene, lease(scene, id, 's')), PeerRefusedError);
    await assert.rejects(through(scene, scene.desk.preview(WORKER, id, 's', WISHES)), PeerRefusedError);
    assert.equal(await scene.desk.expects(WORKER, id, 's', Uint8Array.of(1)), false);
    assert.equal(scene.leases.leaseOf('s'), undefined);
    assert.equal(scene.expected.size, 0);
  });

  it('ends a tunnel as well that was being set up when its session was ended', async () => {
    const scene = makeDesk();
    const { id } = scene.connect('s');
    const opening = lease(scene, id, 's');
    await waits(scene, 1);
    await through(scene, Promise.all([opening, scene.desk.endSessionOf('s')]));
    assert.deepEqual([scene.ended, scene.table.tunnelCount, scene.closed], [[id], 0, ['s']]);
    await scene.desk.disconnectAll(); // what is under way is done then
    assert.equal(scene.leases.leaseOf('s'), undefined);
  });

  it('ends a session for good whose tunnel ends by itself at the same moment', async () => {
    const scene = makeDesk();
    const { id, worker } = scene.connect('s');
    await through(scene, lease(scene, id, 's'));
    const tunnel = scene.table.ofSession('s') ?? assert.fail();
    scene.desk.closed(worker, id, { reason: 'anyconnect client disconnected', keepsCookie: true, received: 1, sent: 2, duration: 3 });
    await scene.desk.disconnect(tunnel);
    assert.equal(scene.leases.leaseOf('s'), undefined);
    assert.equal(scene.closed.at(-1), 's');
  });
});
