/** How a running session is described: the `Configured as` line and the statistics of SIGUSR1 (spec "CLI", sections 5.5 and 5.6). */
import type { LogFields } from '../../core/log.ts';
import type { InterfaceAddress, TunnelConfig } from '../../core/tunnel/config.ts';
import type { PathStatus, TunnelStatus } from '../../core/tunnel/machine.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatCidr, formatIp } from '../../core/wire/ip-address.ts';

export interface SessionFacts {
  readonly config: Pick<TunnelConfig, 'ipv4' | 'ipv6'>;
  readonly status: TunnelStatus;
}

/** `Configured as 192.0.2.1 + 2001:db8::1/64, with SSL connected and DTLS connected` */
export function configuredAs(session: SessionFacts): string {
  const { config, status } = session;
  const addresses = [config.ipv4 && formatIp(config.ipv4.address), config.ipv6 && ipv6Text(config.ipv6)].filter(
    (text) => text !== undefined,
  );
  const stream = path(
    'SSL',
    status.stream,
    status.stream.state === 'established' || status.stream.state === 'connected' ? 'connected' : 'disconnected',
  );
  return `Configured as ${addresses.join(' + ')}, with ${stream} and ${path(datagramName(status.datagram.cipherSuite), status.datagram, DATAGRAM_STATES[status.datagram.state])}`;
}

/** What a datagram path is called, which its cipher tells. Without one it is DTLS that is not there. */
export function datagramName(cipherSuite: LogFields[string]): 'DTLS' | 'ESP' {
  return String(cipherSuite).startsWith('ESP-') ? 'ESP' : 'DTLS';
}

function ipv6Text({ address, prefix }: InterfaceAddress): string {
  return prefix === undefined ? formatIp(address) : formatCidr({ address, prefix });
}

function path(name: string, { compression }: PathStatus, state: string): string {
  const words = compression === undefined ? '' : ` + ${COMPRESSIONS[compression] ?? compression}`;
  return `${name}${words} ${state}`;
}

/** Observed: openconnect's names. */
const COMPRESSIONS: Readonly<Record<string, string>> = { 'oc-lz4': 'LZ4', lzs: 'LZS' };

const DATAGRAM_STATES: Readonly<Record<PathStatus['state'], string>> = {
  disabled: 'disabled',
  down: 'unsuccessful',
  connecting: 'in progress',
  connected: 'connected',
  established: 'established',
};

export interface SessionStatistics extends SessionFacts {
  readonly received: Traffic;
  readonly sent: Traffic;
  /** The clock of {@link PathStatus.rekeyAt}. */
  readonly now: Millis;
  /** Wall-clock time at which the gateway ends the session. */
  readonly expiresAt?: Date;
}

export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

/** The lines of SIGUSR1, shown even with `--quiet`. */
export function statisticsLines(session: SessionStatistics): string[] {
  const { status, received, sent, now } = session;
  const { stream, datagram } = status;
  const countdown = (what: string, at: Millis | undefined) =>
    at === undefined ? [] : [`Next ${what} in ${Math.max(0, Math.round((at - now) / 1000))} seconds`];
  return [
    configuredAs(session),
    ...(session.expiresAt === undefined ? [] : [expiryLine(session.expiresAt)]),
    `RX: ${received.packets} packets (${received.bytes} B); TX: ${sent.packets} packets (${sent.bytes} B)`,
    ...(stream.cipherSuite === undefined ? [] : [`SSL ciphersuite: ${stream.cipherSuite}`]),
    // Observed: no longer once packets go that way.
    ...(datagram.state === 'connected' && datagram.cipherSuite !== undefined ? [`DTLS ciphersuite: ${datagram.cipherSuite}`] : []),
    ...countdown('SSL rekey', stream.rekeyAt),
    ...countdown('DTLS rekey', datagram.rekeyAt),
  ];
}

/** With the line feed that ctime has, so that an empty line follows. */
export function expiryLine(expiresAt: Date): string {
  return `Session authentication will expire at ${ctime(expiresAt)}\n`;
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Local time as C's ctime writes it, without its line feed: `Tue Nov 24 12:17:10 2026`. */
function ctime(date: Date): string {
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((number) => String(number).padStart(2, '0')).join(':');
  const day = String(date.getDate()).padStart(2, ' ');
  return `${DAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${day} ${time} ${date.getFullYear()}`;
}
