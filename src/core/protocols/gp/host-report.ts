/**
 * The report on this machine that a gateway may want (HIP), as far as it is made here: what is true, and no more. Of what nobody has looked at it says that
 * there is nothing in the list.
 *
 * Read first: spec "GlobalProtect", section 12.
 */
import type { HostFacts, HostInterface } from '../../auth/login-io.ts';
import { renderXmlDocument, type XmlElement, xmlElement } from '../../markup/xml.ts';
import { toXmlText } from '../../markup/xml-names.ts';
import { formatIp, type IpAddress } from '../../wire/ip-address.ts';

export interface ReportSubject {
  /** By which the gateway knows the report again. */
  readonly label: string;
  readonly user: string;
  readonly domain: string;
  readonly hostname: string;
  /** As in the configuration's request. */
  readonly clientVersion: string;
  /** In the tunnel. */
  readonly addresses: readonly IpAddress[];
  /** In milliseconds since 1970. */
  readonly now: number;
}

const REPORT_VERSION = '4';
/** Of a client on Linux, besides `host-info`. */
const CATEGORIES = ['anti-malware', 'disk-backup', 'disk-encryption', 'firewall', 'patch-management', 'data-loss-prevention'];

export function renderHostReport(subject: ReportSubject, facts: HostFacts): string {
  const { label, user, domain, hostname, addresses, now } = subject;
  const address = (family: 4 | 6) => addresses.find((other) => other.family === family);
  return renderXmlDocument(
    xmlElement('hip-report', { name: 'hip-report' }, [
      ...[text('md5-sum', label), text('user-name', user), text('domain', domain), text('host-name', hostname), text('host-id')],
      ...[text('ip-address', textOfIp(address(4))), text('ipv6-address', textOfIp(address(6)))],
      ...[text('generate-time', timeText(now)), text('hip-report-version', REPORT_VERSION)],
      xmlElement('categories', {}, [hostInfo(subject, facts), ...CATEGORIES.map((name) => entry(name, [listOf()]))]),
    ]),
  );
}

function hostInfo({ clientVersion, domain, hostname }: ReportSubject, { os, osVendor, interfaces }: HostFacts): XmlElement {
  return entry('host-info', [
    ...[text('client-version', clientVersion), text('os', os), text('os-vendor', osVendor), text('domain', domain)],
    ...[text('host-name', hostname), text('host-id')],
    xmlElement('network-interface', {}, interfaces.map(interfaceEntry)),
  ]);
}

function interfaceEntry({ name, mac, addresses }: HostInterface): XmlElement {
  const list = (kind: string, family: 4 | 6) => {
    const own = addresses.filter((address) => address.family === family);
    return own.length === 0
      ? []
      : [
          xmlElement(
            kind,
            {},
            own.map(formatIp).map((address) => entry(address)),
          ),
        ];
  };
  return entry(name, [
    text('description', name),
    text('mac-address', mac.replaceAll(':', '-')),
    ...list('ip-address', 4),
    ...list('ipv6-address', 6),
  ]);
}

function entry(name: string, children: readonly XmlElement[] = []): XmlElement {
  return xmlElement('entry', { name: toXmlText(name) }, children);
}

function listOf(): XmlElement {
  return xmlElement('list');
}

function text(name: string, value = ''): XmlElement {
  return xmlElement(name, {}, [toXmlText(value)]);
}

function textOfIp(address: IpAddress | undefined): string {
  return address === undefined ? '' : formatIp(address);
}

/** `MM/DD/YYYY HH:MM:SS`, in UTC. */
function timeText(now: number): string {
  const [, year = '', month = '', day = '', time = ''] = /^(\d+)-(\d\d)-(\d\d)T(\d\d:\d\d:\d\d)/.exec(new Date(now).toISOString()) ?? [];
  return `${month}/${day}/${year} ${time}`;
}
