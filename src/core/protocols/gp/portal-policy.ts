/**
 * What a portal says to who has logged in: its gateways, and cookies for them. Both ways.
 *
 * Read first: spec "GlobalProtect", sections 5.2, 5.3 and 5.5.
 */
import type { Target } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
import { hostHeader, plainServer } from '../../http/url.ts';
import { attribute, child, childrenNamed, renderXml, textOf, type XmlElement, xmlElement } from '../../markup/xml.ts';
import { toXmlText } from '../../markup/xml-names.ts';
import { Secret } from '../../secret.ts';
import type { Millis } from '../../tunnel/packet.ts';
import type { ListedGateway } from '../gateway-protocol.ts';
import { childText } from './prelogin.ts';

export interface PortalGateway {
  readonly target: Target;
  /** What people know it by. */
  readonly label: string;
}

export interface PortalPolicy {
  /** The best first. */
  readonly gateways: readonly PortalGateway[];
  /** For a gateway's log-in, by the names of its fields. */
  readonly cookies: readonly (readonly [name: string, value: Secret])[];
  /** How often a gateway is to be asked whether it wants a report on this machine; undefined: the portal says nothing of use. */
  readonly reportInterval?: Millis;
  /** At its gateways too a log-in may be by the system's own browser (spec 4.4). */
  readonly leadsBack: boolean;
}

export const USER_COOKIE = 'portal-userauthcookie';
const PRELOGON_COOKIE = 'portal-prelogonuserauthcookie';
const COOKIES = [USER_COOKIE, PRELOGON_COOKIE];
/** In place of none. */
export const NO_COOKIE = 'empty';
const DEFAULT_BROWSER = 'default-browser';
const MAX_COOKIE = 4096;
const MAX_GATEWAYS = 256;
const LOWEST = 1_000_000;

/** Each report is a new tunnel, a minute before: not more often than a tunnel is of use, and at least once a day, however much a portal has written. */
const MIN_REPORT_INTERVAL: Millis = 120_000;
const MAX_REPORT_INTERVAL: Millis = 86_400_000;

/** Throws {@link PeerRefusedError} for a user without a policy, {@link PeerMisbehavedError} for a document without gateways. */
export function readPolicy(root: XmlElement, region: string | undefined): PortalPolicy {
  if (root.name === 'config-criteria')
    throw new UnsupportedError('The portal wants to check this machine, in a way that nobody here knows.');
  if (root.name !== 'policy') throw new PeerMisbehavedError('The portal answered the log-in with something else than its policy.');
  if (childText(root, 'has-config') === 'no') throw new PeerRefusedError('The portal has no configuration for this user and system.');
  const list = ['gateways', 'external', 'list'].reduce<XmlElement | undefined>((at, name) => at && child(at, name), root);
  const entries = list === undefined ? [] : childrenNamed(list, 'entry').slice(0, MAX_GATEWAYS);
  const gateways = entries.flatMap((entry) => {
    const target = plainServer(attribute(entry, 'name') ?? ''); // to whatever else it is no password goes (spec 17)
    if (target === undefined) return [];
    return [{ target, label: childText(entry, 'description') ?? target.host, priority: priorityOf(entry, region) }];
  });
  if (gateways.length === 0) throw new PeerMisbehavedError('The portal names no gateway.');
  const reports = child(root, 'hip-collection');
  const interval = /^\d{1,9}$/.exec((reports && childText(reports, 'hip-report-interval')) ?? '')?.[0];
  return {
    ...(Number(interval) > 0 && { reportInterval: Math.min(Math.max(Number(interval) * 1000, MIN_REPORT_INTERVAL), MAX_REPORT_INTERVAL) }),
    leadsBack: [child(root, 'agent-config'), root].some((at) => at !== undefined && childText(at, DEFAULT_BROWSER) === 'yes'),
    gateways: distinct(gateways.sort((a, b) => a.priority - b.priority)),
    cookies: COOKIES.flatMap((name) => {
      const element = child(root, name);
      const value = element === undefined ? '' : textOf(element).trim();
      return value === '' || value === NO_COOKIE || value.length > MAX_COOKIE ? [] : [[name, new Secret(value)] as const];
    }),
  };
}

/** Portals may call two by one name: the best keeps it, and people can tell the others. */
function distinct(gateways: readonly PortalGateway[]): PortalGateway[] {
  const taken = new Set<string>();
  return gateways.map(({ target, label }) => {
    const own = taken.has(label) ? `${label} (${hostHeader(target)})` : label;
    taken.add(label);
    return { target, label: own };
  });
}

/** Spec 5.5: by the rules for where we are or anywhere, else its own. */
function priorityOf(entry: XmlElement, region: string | undefined): number {
  const rules = child(entry, 'priority-rule');
  const matching = (rules === undefined ? [] : childrenNamed(rules, 'entry')).filter((rule) =>
    [region, ANYWHERE].includes(attribute(rule, 'name')),
  );
  const numbers = (matching.length > 0 ? matching : [entry]).map((element) => {
    const text = childText(element, 'priority') ?? '';
    return /^\d{1,5}$/.test(text) ? Number(text) : LOWEST;
  });
  return Math.min(...numbers);
}

/** The region of a rule that is for everybody. */
const ANYWHERE = 'Any';

export interface PolicyOffer {
  readonly name: string;
  /** Clients that know no priorities take the first. */
  readonly gateways: readonly ListedGateway[];
  readonly region: string | undefined;
  readonly reportInterval: Millis;
  /** For a gateway's log-in; undefined: people are asked again there. */
  readonly pass: Secret | undefined;
  /** As {@link PortalPolicy.leadsBack}. */
  readonly leadsBack: boolean;
}

export function renderPolicy({ name, gateways, region, reportInterval, pass, leadsBack }: PolicyOffer): string {
  const text = (element: string, value: string) => xmlElement(element, {}, [toXmlText(value)]);
  const rule = ([where, priority]: readonly [string, number]) =>
    xmlElement('entry', { name: toXmlText(where) }, [text('priority', String(priority))]);
  const entry = ({ address, label, priority, regions }: ListedGateway) => {
    // A client takes the better one of the rule for its region and that for everybody: the region's is to count alone.
    const hasOwn = regions.some(([where]) => where === region);
    const rules = [...regions, ...(hasOwn ? [] : [[ANYWHERE, priority] as const])];
    return xmlElement('entry', { name: address }, [
      ...[text('priority', String(priority)), xmlElement('priority-rule', {}, rules.map(rule)), text('description', label)],
    ]);
  };
  const list = xmlElement('gateways', {}, [xmlElement('external', {}, [xmlElement('list', {}, gateways.map(entry))])]);
  const reports = xmlElement('hip-collection', {}, [text('hip-report-interval', String(Math.max(1, Math.round(reportInterval / 1000))))]);
  return renderXml(
    xmlElement('policy', {}, [
      ...[text('portal-name', name), list, reports, xmlElement('agent-config', {}, [text(DEFAULT_BROWSER, leadsBack ? 'yes' : 'no')])],
      ...[text(USER_COOKIE, pass?.reveal() ?? NO_COOKIE), text(PRELOGON_COOKIE, NO_COOKIE)],
    ]),
  );
}
