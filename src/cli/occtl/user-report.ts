/**
 * `show users`, `show user`, `show id` and `show iroutes`, as text and as JSON.
 *
 * Read first: spec "Gateway contract", section 4. Observed: layouts and the order of members, against occtl 1.1.6 (`report-peer.test.ts` compares).
 */
import type { UserStatus } from '../../gateway/control/control-target.ts';
import { gnutlsName } from './gnutls-names.ts';
import { bytesText, dateText, durationText, plainText, tableRow } from './human-text.ts';
import { type JsonRecord, renderRecords } from './json-text.ts';

/** What stands where a name is not known. */
export const NO_NAME = '(none)';

/** Where a client is in the world: ocserv asks a database that it seldom has. */
export const LOCATION = 'unknown';

/** What tables show of a session's name. */
export const SHORT_SESSION_LENGTH = 6;

export function shortSession(session: string): string {
  return session.slice(0, SHORT_SESSION_LENGTH);
}

const USER_WIDTHS = [8, 8, 8, 14, 14, 6];

/** Nothing where there is nobody. */
export function usersTable(users: readonly UserStatus[], now: number): string {
  const row = (cells: readonly string[], since: string, cipher: string, state: string) =>
    `${tableRow(USER_WIDTHS, cells)} ${since} ${tableRow([14, 9], [cipher, state])}\n`;
  if (users.length === 0) return '';
  const header = row(['id', 'user', 'vhost', 'ip', 'vpn-ip', 'device'], '  since', 'dtls-cipher', 'status');
  const rows = users.map((user) => {
    const { id, host, remote, device = '', connectedAt, state } = user;
    const cells = [String(id), user.user ?? NO_NAME, host, remote, insideAddress(user), device];
    return row(cells, durationText(now - connectedAt), shortCipher(user.dtlsCipher && gnutlsName(user.dtlsCipher)), state);
  });
  return header + rows.join('');
}

export function userDetails(users: readonly UserStatus[], now: number): string {
  return users.map((user) => userDetail(user, now)).join('\n');
}

export function usersJson(users: readonly UserStatus[], now: number): string {
  return renderRecords(users.map((user) => userRecord(user, now)));
}

const IROUTE_WIDTHS = [6, 8, 8, 6, 16, 28];

/** A line for each network behind a client. Observed: the header is there as soon as somebody is, with a network or without. */
export function iroutesTable(users: readonly UserStatus[]): string {
  if (users.length === 0) return '';
  const rows = users.flatMap((user) =>
    user.iroutes.map((route) => [String(user.id), user.user ?? NO_NAME, user.host, user.device ?? '', insideAddress(user), route]),
  );
  return [['id', 'user', 'vhost', 'device', 'vpn-ip', 'iroute'], ...rows].map((row) => `${tableRow(IROUTE_WIDTHS, row)}\n`).join('');
}

/** Observed: 1.1.6 runs all clients together into one object, which no parser can read. Here each client is an object of its own. */
export function iroutesJson(users: readonly UserStatus[]): string {
  const clients = users.filter((user) => user.device !== undefined);
  return renderRecords(
    clients.map((user) => ({
      ID: user.id,
      Username: user.user ?? NO_NAME,
      vhost: user.host,
      Device: user.device ?? '',
      IP: insideAddress(user),
      iRoutes: user.iroutes,
    })),
  );
}

function insideAddress({ ipv4, ipv6 }: UserStatus): string {
  return ipv4?.address ?? ipv6?.address ?? '';
}

/** `(AES-256-GCM)` of `(DTLS1.2)-(PSK)-(AES-256-GCM)`. */
function shortCipher(cipher: string | undefined): string {
  if (cipher === undefined) return '(no-dtls)';
  return cipher.split('-(').length > 2 ? `(${cipher.split('-(').slice(2).join('-(')}` : cipher;
}

/** Members of {@link userRecord} that share a line of text. */
const TEXT_LINES: readonly (readonly string[])[] = [
  ['ID'],
  ['Username', 'Groupname'],
  ['State'],
  ['vhost'],
  ['Device', 'MTU'],
  ['Remote IP', 'Location'],
  ['Local Device IP'],
  ['IPv4', 'P-t-P IPv4'],
  ['IPv6', 'P-t-P IPv6'],
  ['User-Agent'],
  ['Limit RX', 'Limit TX'],
  ['RX', 'TX'],
  ['Average RX', 'Average TX'],
  ['DPD', 'KeepAlive'],
  ['Hostname'],
  ['Connected at'],
  ['Session'],
  ['TLS ciphersuite'],
  ['DTLS cipher'],
  ['CSTP compression', 'DTLS compression'],
];

/** Lists at the end, one item a line. */
const TEXT_LISTS = ['DNS', 'NBNS', 'Split-DNS-Domains', 'Routes', 'No-routes', 'iRoutes'];

function userDetail(user: UserStatus, now: number): string {
  const record = userRecord(user, now);
  const text = (key: string) => plainText(String(record[key]));
  const lines = TEXT_LINES.flatMap((keys) => {
    const present = keys.filter((key) => key in record);
    if (present.length === 0) return [];
    switch (keys[0]) {
      case 'Limit RX':
        return [`Limit RX: ${text('Limit RX')}   TX: ${text('Limit TX')}`];
      case 'RX':
        return [`RX: ${text('RX')} (${text('_RX')})   TX: ${text('TX')} (${text('_TX')})`];
      case 'Average RX':
        return [`Average bandwidth RX: ${text('Average RX')}  TX: ${text('Average TX')}`];
      case 'Connected at':
        return [`Connected at: ${text('Connected at')} (${String(record['_Connected at'])})`];
      default:
        return [present.map((key) => `${key}: ${text(key)}`).join('   ')];
    }
  });
  const lists = TEXT_LISTS.flatMap((key) => {
    const value = record[key];
    const items = typeof value === 'object' ? value : [String(value)];
    return items.length === 0 ? [] : [`${key}: ${items.map(plainText).join('\n\t\t')}`];
  });
  const ports = user.restrictedPorts.length === 0 ? '' : `\tRestricted to ports: ${user.restrictedPorts.map(plainText).join(', ')}`;
  const ends = [...lists, `Restricted to routes: ${text('Restricted to routes')}`];
  return `${lines.map((line) => `\t${line}\n`).join('')}\n${ends.map((line) => `\t${line}\n`).join('')}${ports}\n`;
}

function userRecord(user: UserStatus, now: number): JsonRecord {
  const { ipv4, ipv6, rates, traffic } = user;
  const seconds = Math.floor((now - user.connectedAt) / 1000);
  // Observed: no average in the first second.
  const average = (bytes: number) => bytesText(seconds <= 0 ? 0 : Math.floor(bytes / seconds), '/sec');
  const hasLimit = rates.receive !== undefined || rates.send !== undefined;
  return {
    ID: user.id,
    Username: user.user ?? NO_NAME,
    Groupname: user.group ?? NO_NAME,
    State: user.state,
    vhost: user.host,
    ...(user.device !== undefined && { Device: user.device, MTU: String(user.mtu ?? 0) }),
    'Remote IP': user.remote,
    Location: LOCATION,
    'Local Device IP': user.local,
    ...(ipv4 && { IPv4: ipv4.address, 'P-t-P IPv4': ipv4.gateway }),
    ...(ipv6 && { IPv6: ipv6.address, 'P-t-P IPv6': ipv6.gateway }),
    ...(user.userAgent !== undefined && { 'User-Agent': user.userAgent }),
    // Observed: 1.1.6 calls the second one `TX`, as it calls the traffic two lines on.
    ...(hasLimit && { 'Limit RX': bytesText(rates.receive ?? 0, '/sec'), 'Limit TX': bytesText(rates.send ?? 0, '/sec') }),
    ...(traffic && {
      RX: String(traffic.received),
      TX: String(traffic.sent),
      _RX: bytesText(traffic.received),
      _TX: bytesText(traffic.sent),
      'Average RX': average(traffic.received),
      'Average TX': average(traffic.sent),
    }),
    DPD: String(Math.round(user.dpd / 1000)),
    KeepAlive: String(Math.round(user.keepalive / 1000)),
    ...(user.hostname !== undefined && { Hostname: user.hostname }),
    'Connected at': dateText(user.connectedAt),
    '_Connected at': durationText(now - user.connectedAt),
    'Full session': user.session,
    Session: shortSession(user.session),
    ...(user.tlsCipher !== undefined && { 'TLS ciphersuite': gnutlsName(user.tlsCipher) }),
    ...(user.dtlsCipher !== undefined && { 'DTLS cipher': gnutlsName(user.dtlsCipher) }),
    ...(user.cstpCompression !== undefined && { 'CSTP compression': user.cstpCompression }),
    ...(user.dtlsCompression !== undefined && { 'DTLS compression': user.dtlsCompression }),
    DNS: user.dns,
    NBNS: user.nbns,
    'Split-DNS-Domains': user.splitDns,
    Routes: user.routes.length === 0 ? 'defaultroute' : user.routes,
    'No-routes': user.noRoutes,
    iRoutes: user.iroutes,
    'Restricted to routes': user.restrictsToRoutes ? 'True' : 'False',
    'Restricted to ports': user.restrictedPorts,
  };
}
