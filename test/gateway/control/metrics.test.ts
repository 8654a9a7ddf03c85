import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get, request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { MisuseError, SallyportError } from '../../../src/core/errors.ts';
import { MEASURES, renderMetrics } from '../../../src/gateway/control/metrics.ts';
import { MetricsServer } from '../../../src/gateway/control/metrics-server.ts';
import { FakeTarget, NOW } from './fake-target.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-metrics-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The figures of Prometheus' text format, by name and labels. */
function figuresOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const [, name = '', value] = /^(\S+(?:\{.*\})?) (\S+)$/.exec(line) ?? assert.fail(line);
      return [name, Number(value)];
    }),
  );
}

function busyTarget(): FakeTarget {
  const target = new FakeTarget();
  target.live = { received: 5, sent: 6 };
  target.banList = [
    { address: '192.0.2.9', score: 40, bannedUntil: NOW + 1 },
    { address: '192.0.2.8', score: 4 },
  ];
  target.statistics.loggedIn(1_500, NOW);
  target.statistics.loginFailed(NOW);
  target.statistics.sessionEnded({ reason: 'idle timeout', duration: 60_000, received: 1_000, sent: 2_000 }, NOW);
  target.statistics.sessionEnded({ reason: 'DPD timeout', duration: 30_000, received: 10, sent: 20 }, NOW);
  target.statistics.answered(250);
  return target;
}

async function ask(options: Parameters<typeof request>[1]): Promise<{ status: number; type: string; body: string }> {
  const [response] = await once(request(options as object).end(), 'response');
  let body = '';
  for await (const piece of response) body += piece;
  return { status: response.statusCode, type: response.headers['content-type'], body };
}

describe('metrics', () => {
  it('are the figures of the status', async () => {
    const figures = figuresOf(await renderMetrics(busyTarget()));
    assert.deepEqual(Object.fromEntries(figures), {
      'sallyport_state{state="online"}': 1,
      'sallyport_state{state="maintenance"}': 0,
      'sallyport_state{state="stopping"}': 0,
      sallyport_start_time_seconds: NOW / 1000 - 3,
      sallyport_active_sessions: 2,
      sallyport_known_sessions: 1,
      sallyport_banned_addresses: 1,
      sallyport_logins_total: 1,
      sallyport_login_failures_total: 1,
      sallyport_login_duration_seconds_total: 1.5,
      'sallyport_sessions_ended_total{reason="idle_timeout"}': 1,
      'sallyport_sessions_ended_total{reason="dpd_timeout"}': 1,
      sallyport_session_duration_seconds_total: 90,
      sallyport_received_bytes_total: 1_015,
      sallyport_sent_bytes_total: 2_026,
      sallyport_answer_latency_median_seconds: 0.25,
      sallyport_answer_latency_deviation_seconds: 0,
      sallyport_nat_flows: 0,
    });
  });

  it('tell of the flows of a gateway without an interface', async () => {
    const target = {
      status: async () => ({ ...(await busyTarget().status()), nat: { flows: 3, tcp: 5, udp: 7, dropped: { 'own-host': 2 } } }),
    };
    const nat = [...figuresOf(await renderMetrics(target))].filter(([name]) => name.startsWith('sallyport_nat'));
    assert.deepEqual(Object.fromEntries(nat), {
      sallyport_nat_flows: 3,
      'sallyport_nat_flows_total{protocol="tcp"}': 5,
      'sallyport_nat_flows_total{protocol="udp"}': 7,
      'sallyport_nat_dropped_total{cause="own_host"}': 2,
    });
  });

  it('say nothing of who somebody is', async () => {
    const text = await renderMetrics(busyTarget());
    assert.doesNotMatch(text, /alice|192\.0\.2|10\.77/);
  });

  it('are all documented, and nothing else is', () => {
    const document = readFileSync(path.join(ROOT, 'docs/metrics.md'), 'utf8');
    const documented = [...document.matchAll(/^\| `(sallyport_\w+)(?:\{\w+\})?` +\| (\w+) /gm)].map(([, name, kind]) => [name, kind]);
    assert.deepEqual(
      documented,
      MEASURES.map(({ name, kind }) => [name, kind]),
    );
  });

  it('are served on a loopback port, and nothing else is', async () => {
    await using server = await MetricsServer.listen(busyTarget(), { host: '127.0.0.1', port: 0 });
    const at = { host: '127.0.0.1', port: server.port };
    const metrics = await ask({ ...at, path: '/metrics' });
    assert.equal(metrics.status, 200);
    assert.match(metrics.type, /^text\/plain; version=/);
    assert.equal(figuresOf(metrics.body).get('sallyport_logins_total'), 1);
    assert.deepEqual(await ask({ ...at, path: '/healthz' }), { status: 200, type: 'text/plain; charset=utf-8', body: 'ok\n' });
    assert.equal((await ask({ ...at, path: '/' })).status, 404);
    assert.equal((await ask({ ...at, path: '/metrics/../etc' })).status, 404);
    assert.equal((await ask({ ...at, path: '/metrics', method: 'POST' })).status, 405);
    assert.equal((await ask({ ...at, path: '/metrics', method: 'DELETE' })).status, 405);
  });

  it('say that the gateway is not well, and nothing about why', async () => {
    const target = { status: () => Promise.reject(new Error('password file /etc/x')) };
    await using server = await MetricsServer.listen(target, { host: '127.0.0.1', port: 0 });
    for (const page of ['/metrics', '/healthz']) {
      const { status, body } = await ask({ host: '127.0.0.1', port: server.port, path: page });
      assert.deepEqual([status, body], [503, 'The gateway does not answer.\n']);
    }
  });

  it('are served on a unix socket, again after one was left there', async () => {
    const unixSocket = path.join(folder, 'metrics.sock');
    const first = await MetricsServer.listen(busyTarget(), { unixSocket });
    assert.equal(statSync(unixSocket).mode & 0o777, 0o660);
    await using _second = await MetricsServer.listen(busyTarget(), { unixSocket });
    const [response] = await once(get({ socketPath: unixSocket, path: '/metrics' }), 'response');
    assert.equal(response.statusCode, 200);
    response.resume();
    await first.close();
    const taken = path.join(folder, 'file');
    writeFileSync(taken, 'keep me');
    await assert.rejects(MetricsServer.listen(busyTarget(), { unixSocket: taken }), SallyportError);
    assert.equal(readFileSync(taken, 'utf8'), 'keep me');
  });

  it('are never served to other machines', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'example.com', '2001:db8::1'])
      await assert.rejects(MetricsServer.listen(busyTarget(), { host, port: 0 }), MisuseError);
  });

  it('are not for headers without end', async () => {
    await using server = await MetricsServer.listen(busyTarget(), { host: '127.0.0.1', port: 0 });
    const socket = connect(server.port ?? 0, '127.0.0.1');
    socket.on('error', () => undefined); // closed while it was still sending
    socket.write(`GET /metrics HTTP/1.1\r\nX: ${'a'.repeat(10_000)}\r\n`);
    let reply = '';
    for await (const piece of socket) reply += piece;
    assert.match(reply, /^HTTP\/1\.1 431 /);
  });
});
