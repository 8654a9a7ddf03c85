/** `show status`, as text and as JSON. Layouts: as for `user-report.ts`. */
import type { Millis } from '../../core/tunnel/packet.ts';
import type { GatewayStatus } from '../../gateway/control/control-target.ts';
import { bytesText, dateText, durationText } from './human-text.ts';
import { type JsonRecord, renderRecord } from './json-text.ts';

/** A figure: what it is called, as text, and the further members that it has in JSON. */
type Figure = readonly [name: string, text: string, json: JsonRecord];

const NOTE = 'Note: the printed statistics are not real-time; session time\nas well as RX and TX data are updated on user disconnect\n';

/** `isVerbose`: `--debug`. */
export function statusText(status: GatewayStatus, isVerbose: boolean): string {
  const block = (title: string, figures: readonly Figure[]) =>
    `\n${title}:\n${figures.map(([name, text]) => `\t${name}: ${text}\n`).join('')}`;
  return `${NOTE}${block('General info', generalFigures(status, isVerbose))}${block('Current stats period', periodFigures(status))}`;
}

export function statusJson(status: GatewayStatus, isVerbose: boolean): string {
  const figures = [...generalFigures(status, isVerbose), ...periodFigures(status)];
  return renderRecord(Object.assign({}, ...figures.map(([, , json]) => json)));
}

function generalFigures(status: GatewayStatus, isVerbose: boolean): readonly Figure[] {
  const { now, statistics } = status;
  const { startedAt, total, latency } = statistics;
  const seconds = secondsOf(startedAt);
  return [
    ['Status', status.state, { Status: status.state }],
    count('Server PID', status.pid),
    count('Sec-mod PID', status.authPid),
    count('Sec-mod instance count', status.authProcesses),
    moment('Up since', startedAt, now, { raw_up_since: seconds, uptime: secondsOf(now) - seconds }),
    count('Active sessions', status.activeSessions),
    count('Total sessions', total.sessions),
    count('Total authentication failures', total.loginFailures),
    count('IPs in ban list', status.bannedAddresses),
    ...(isVerbose ? [count('Sec-mod client entries', status.knownSessions)] : []),
    delay('Median latency', 'raw_median_latency', latency.median),
    delay('STDEV latency', 'raw_stdev_latency', latency.deviation),
  ];
}

function periodFigures({ now, statistics }: GatewayStatus): readonly Figure[] {
  const { period } = statistics;
  return [
    moment('Last stats reset', period.startedAt, now, { raw_last_stats_reset: secondsOf(period.startedAt) }),
    count('Sessions handled', period.sessions),
    count('Timed out sessions', period.timedOut),
    count('Timed out (idle) sessions', period.idleTimedOut),
    count('Closed due to error sessions', period.failed),
    count('Authentication failures', period.loginFailures),
    span('Average auth time', 'raw_avg_auth_time', period.averageLoginTime),
    span('Max auth time', 'raw_max_auth_time', period.maxLoginTime),
    span('Average session time', 'raw_avg_session_time', period.averageSessionTime),
    span('Max session time', 'raw_max_session_time', period.maxSessionTime),
    ...(period.minMtu === undefined ? [] : [count('Min MTU', period.minMtu)]),
    ...(period.maxMtu === undefined ? [] : [count('Max MTU', period.maxMtu)]),
    amount('RX', 'raw_rx', period.received),
    amount('TX', 'raw_tx', period.sent),
  ];
}

function secondsOf(time: Millis): number {
  return Math.floor(time / 1000);
}

function count(name: string, value: number): Figure {
  return [name, String(value), { [name]: value }];
}

function moment(name: string, time: number, now: number, raw: JsonRecord): Figure {
  const ago = durationText(now - time);
  return [name, `${dateText(time)} (${ago})`, { [name]: dateText(time), [`_${name}`]: ago, ...raw }];
}

function span(name: string, rawName: string, duration: Millis): Figure {
  const text = durationText(duration);
  return [name, text, { [name]: text, [rawName]: secondsOf(duration) }];
}

/** Assumed: raw latencies are microseconds; a lab's gateway answers in less than the millisecond that 1.1.6 shows. */
function delay(name: string, rawName: string, latency: Millis): Figure {
  const text = latency < 1 ? '<1ms' : `${Math.round(latency)}ms`;
  return [name, text, { [name]: text, [rawName]: Math.round(latency * 1000) }];
}

/** Observed: 1.1.6 counts in whole kilobytes, and so its raw values end in zeros. */
function amount(name: string, rawName: string, bytes: number): Figure {
  return [name, bytesText(bytes), { [name]: bytesText(bytes), [rawName]: bytes }];
}
