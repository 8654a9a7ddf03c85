/**
 * Whether the gateway wants a report on this machine, and the report (HIP). One that does not come is no reason to end anything: the gateway decides.
 *
 * Read first: spec "GlobalProtect", section 12.
 */
import type { LoginIo } from '../../auth/login-io.ts';
import { PeerMisbehavedError, type SallyportError } from '../../errors.ts';
import { encodeForm } from '../../http/form-urlencoded.ts';
import type { HttpResponse } from '../../http/message.ts';
import { parseXml } from '../../markup/xml.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import { formatIp } from '../../wire/ip-address.ts';
import { fromUtf8, printable, toHex, utf8 } from '../../wire/text.ts';
import type { ClientIdentification } from '../client-protocol.ts';
import { type GpHttp, platformOf } from './client-http.ts';
import { renderHostReport } from './host-report.ts';
import { PATHS } from './paths.ts';
import { childText, XML_LIMITS } from './prelogin.ts';
import { COOKIE_FIELDS, type CookieField, type CookieFields, renderSessionCookie } from './session-cookie.ts';

export interface HostReportParts {
  readonly io: LoginIo;
  readonly http: GpHttp;
  readonly client: ClientIdentification;
  readonly clientVersion: string;
  readonly cookie: CookieFields;
  readonly config: Pick<TunnelConfig, 'ipv4' | 'ipv6'>;
}

/** Whether one was wanted; it was sent then, or why not was said. Rejects where the question is not answered. */
export async function reportHost(parts: HostReportParts): Promise<boolean> {
  const { http, io } = parts;
  const label = toHex(io.crypto.hash('md5', utf8(renderSessionCookie(labelled(parts.cookie)).reveal())));
  const answer = await http.post(PATHS.reportCheck, bodyOf(parts, ['md5', label]), '…');
  if (answer.status !== 200) throw new PeerMisbehavedError(`The gateway answered the question for a host report with ${said(answer)}.`);
  if (childText(parseXml(answer.body, XML_LIMITS), 'hip-report-needed') !== 'yes') return false;
  const report = await write(parts, label);
  if (report === undefined) {
    io.log.log('warn', 'the gateway wants a host report (HIP), and gets none: it may restrict what you reach');
    return true;
  }
  const fault = faultOf(await http.post(PATHS.report, bodyOf(parts, ['report', report]), '…'));
  if (fault === undefined) io.log.log('debug', 'host report sent', { bytes: report.length });
  else io.log.log('warn', 'the gateway does not take the host report (HIP): it may restrict what you reach', { reason: fault });
  return true;
}

function bodyOf({ cookie, config }: HostReportParts, last: readonly [string, string]): string {
  return encodeForm([
    ['client-role', 'global-protect-full'],
    ...cookie,
    ...(config.ipv4 === undefined ? [] : [['client-ip', formatIp(config.ipv4.address)] as const]),
    ...(config.ipv6 === undefined ? [] : [['client-ipv6', formatIp(config.ipv6.address)] as const]),
    last,
  ]);
}

async function write({ io, client, clientVersion, cookie, config }: HostReportParts, label: string): Promise<string | undefined> {
  const { ipv4, ipv6 } = config;
  const report = await io.reportHost?.({
    arguments: [
      // Observed: openconnect shows the whole cookie to everybody who lists processes. Programs read the names in it.
      ...['--cookie', renderSessionCookie(withoutSecret(cookie)).reveal()],
      ...(ipv4 === undefined ? [] : ['--client-ip', formatIp(ipv4.address)]),
      ...(ipv6 === undefined ? [] : ['--client-ipv6', formatIp(ipv6.address)]),
      ...['--md5', label, '--client-os', platformOf(client).clientos],
    ],
    environment: { APP_VERSION: clientVersion },
  });
  if (report === undefined) return undefined;
  if (report.kind === 'written') return fromUtf8(report.bytes);
  const subject = {
    ...{ label, clientVersion, hostname: client.localHostname, now: io.now() },
    ...{ user: cookie.get('user') ?? '', domain: cookie.get('domain') ?? '' },
    addresses: [ipv4, ipv6].flatMap((own) => own?.address ?? []),
  };
  return renderHostReport(subject, report.facts);
}

function faultOf(answer: HttpResponse): string | undefined {
  if (answer.status !== 200) return said(answer);
  try {
    return childText(parseXml(answer.body, XML_LIMITS), 'error');
  } catch (error) {
    return (error as SallyportError).message; // a parser throws nothing else
  }
}

function said({ status, reason }: HttpResponse): string {
  return `${status} ${printable(reason)}`;
}

/** Of the label: what stays the same for a user, a host and a gateway. */
function labelled(cookie: CookieFields): CookieFields {
  return only(cookie, (name) => name !== 'authcookie' && !name.startsWith('preferred-'));
}

function withoutSecret(cookie: CookieFields): CookieFields {
  return only(cookie, (name) => name !== 'authcookie');
}

function only(cookie: CookieFields, isKept: (name: CookieField) => boolean): CookieFields {
  return new Map(COOKIE_FIELDS.filter((name) => cookie.has(name) && isKept(name)).map((name) => [name, cookie.get(name) ?? '']));
}
