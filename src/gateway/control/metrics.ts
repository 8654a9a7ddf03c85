/**
 * The gateway's figures for Prometheus, made anew from its status each time they are asked for. The names are documented in docs/metrics.md.
 *
 * No label says who somebody is: neither user names nor addresses leave by this way.
 */
import { Counter, Gauge, Registry } from 'prom-client';
import type { ControlTarget, GatewayStatus } from './control-target.ts';

export const METRICS_CONTENT_TYPE: string = Registry.PROMETHEUS_CONTENT_TYPE;

interface Measure {
  readonly kind: 'gauge' | 'counter';
  readonly name: string;
  readonly help: string;
  readonly label?: string;
  /** With a label: its values. */
  readonly read: (status: GatewayStatus) => number | Readonly<Record<string, number>>;
}

const SECOND = 1000;

/** All of them. */
export const MEASURES: readonly Measure[] = [
  {
    kind: 'gauge',
    name: 'sallyport_state',
    help: '1 for the state that the gateway is in, 0 for the others.',
    label: 'state',
    read: ({ state }) => Object.fromEntries(['online', 'maintenance', 'stopping'].map((each) => [each, Number(each === state)])),
  },
  {
    kind: 'gauge',
    name: 'sallyport_start_time_seconds',
    help: 'When the gateway was started, in seconds since 1970.',
    read: ({ statistics }) => statistics.startedAt / SECOND,
  },
  {
    kind: 'gauge',
    name: 'sallyport_active_sessions',
    help: 'Clients that are connected or connecting.',
    read: ({ activeSessions }) => activeSessions,
  },
  {
    kind: 'gauge',
    name: 'sallyport_known_sessions',
    help: 'Sessions that a client could use now: cookies.',
    read: ({ knownSessions }) => knownSessions,
  },
  {
    kind: 'gauge',
    name: 'sallyport_banned_addresses',
    help: 'Addresses that are banned.',
    read: ({ bannedAddresses }) => bannedAddresses,
  },
  {
    kind: 'counter',
    name: 'sallyport_logins_total',
    help: 'Log-ins that succeeded.',
    read: ({ statistics }) => statistics.total.logins,
  },
  {
    kind: 'counter',
    name: 'sallyport_login_failures_total',
    help: 'Log-ins that were refused.',
    read: ({ statistics }) => statistics.total.loginFailures,
  },
  {
    kind: 'counter',
    name: 'sallyport_login_duration_seconds_total',
    help: 'Time that log-ins took which succeeded.',
    read: ({ statistics }) => statistics.total.loginTime / SECOND,
  },
  {
    kind: 'counter',
    name: 'sallyport_sessions_ended_total',
    help: 'Sessions that have ended, by reason.',
    label: 'reason',
    read: ({ statistics }) =>
      Object.fromEntries(Object.entries(statistics.total.byReason).map(([reason, count]) => [labelOf(reason), count])),
  },
  {
    kind: 'counter',
    name: 'sallyport_session_duration_seconds_total',
    help: 'How long the sessions lasted that have ended.',
    read: ({ statistics }) => statistics.total.sessionTime / SECOND,
  },
  {
    kind: 'counter',
    name: 'sallyport_received_bytes_total',
    help: 'Bytes in tunnels from clients.',
    read: ({ live, statistics }) => statistics.total.received + live.received,
  },
  {
    kind: 'counter',
    name: 'sallyport_sent_bytes_total',
    help: 'Bytes in tunnels to clients.',
    read: ({ live, statistics }) => statistics.total.sent + live.sent,
  },
  {
    kind: 'gauge',
    name: 'sallyport_answer_latency_median_seconds',
    help: 'Median of the newest answers to clients.',
    read: ({ statistics }) => statistics.latency.median / SECOND,
  },
  {
    kind: 'gauge',
    name: 'sallyport_answer_latency_deviation_seconds',
    help: 'Standard deviation of the newest answers to clients.',
    read: ({ statistics }) => statistics.latency.deviation / SECOND,
  },
  {
    kind: 'gauge',
    name: 'sallyport_nat_flows',
    help: 'Connections and UDP flows of clients that the gateway ends now, where it has no interface.',
    read: ({ nat }) => nat?.flows ?? 0,
  },
  {
    kind: 'counter',
    name: 'sallyport_nat_flows_total',
    help: 'The same since the start, by protocol.',
    label: 'protocol',
    read: ({ nat }) => (nat === undefined ? {} : { tcp: nat.tcp, udp: nat.udp }),
  },
  {
    kind: 'counter',
    name: 'sallyport_nat_dropped_total',
    help: 'What of clients went no further there, by cause.',
    label: 'cause',
    read: ({ nat }) => Object.fromEntries(Object.entries(nat?.dropped ?? {}).map(([cause, count]) => [cause.replaceAll('-', '_'), count])),
  },
];

/** The figures as text, in Prometheus' format. */
export async function renderMetrics(target: Pick<ControlTarget, 'status'>): Promise<string> {
  const status = await target.status();
  const registry = new Registry();
  for (const measure of MEASURES) register(registry, measure, measure.read(status));
  return await registry.metrics();
}

function register(registry: Registry, { kind, name, help, label }: Measure, value: number | Readonly<Record<string, number>>): void {
  const options = { name, help, registers: [registry], labelNames: label === undefined ? [] : [label] };
  const metric = kind === 'gauge' ? new Gauge(options) : new Counter(options);
  if (typeof value === 'number') metric.inc(value);
  else for (const [each, amount] of Object.entries(value)) metric.inc({ [label ?? '']: each }, amount);
}

/** `idle_timeout` of `idle timeout`: labels are easier to write without blanks. */
function labelOf(reason: string): string {
  return reason.toLowerCase().replaceAll(' ', '_');
}
