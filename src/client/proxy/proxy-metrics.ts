/** The figures of a proxy and its connection, in Prometheus' text format. The names are described in docs/proxy.md. No label names a host or a user. */
import { VPN_STATES, type VpnStatus } from '../vpn-status.ts';
import type { ProxyCounters } from './proxy-counters.ts';

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export async function renderProxyMetrics({ state, upSince, traffic }: VpnStatus, counters: ProxyCounters): Promise<string> {
  const { Counter, Gauge, Registry } = await import('prom-client'); // only who is asked for metrics pays for it
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Counter({ name: `sallyport_proxy_${name}_total`, help, labelNames: [...labelNames], registers });
  const gauge = (name: string, help: string, labelNames: readonly string[] = []) =>
    new Gauge({ name: `sallyport_${name}`, help, labelNames: [...labelNames], registers });

  const states = gauge('vpn_state', 'One for the state that the connection is in, 0 for the others.', ['state']);
  for (const each of VPN_STATES) states.set({ state: each }, each === state ? 1 : 0);
  const since = gauge('vpn_up_since_seconds', 'When the tunnel came up first, in seconds since 1970; 0: not yet.');
  since.set(upSince === undefined ? 0 : Date.parse(upSince) / 1000);
  const tunnel = (name: string, help: string) => new Counter({ name: `sallyport_vpn_${name}_total`, help, registers });
  tunnel('received_bytes', 'Bytes of IP packets from the VPN.').inc(traffic.received.bytes);
  tunnel('sent_bytes', 'Bytes of IP packets into the VPN.').inc(traffic.sent.bytes);

  gauge('proxy_clients', 'Connections of clients that are open.').set(counters.active);
  counter('dropped', 'Clients that were turned away, as there were too many.').inc(counters.dropped);
  counter('received_bytes', 'Bytes from clients.').inc(counters.bytes.fromClients);
  counter('sent_bytes', 'Bytes to clients.').inc(counters.bytes.toClients);
  const connections = counter('connections', 'Destinations that were reached, by what the client speaks and the way.', ['protocol', 'way']);
  for (const { count, ...labels } of counters.connections) connections.inc(labels, count);
  const failures = counter('failures', 'What did not succeed, by reason.', ['reason']);
  for (const [reason, count] of counters.failures) failures.inc({ reason }, count);
  return registry.metrics();
}
