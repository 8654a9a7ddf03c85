/**
 * What a portal says to who has logged in: its gateways, and cookies for them.
 *
 * Read first: spec "GlobalProtect", sections 5.2, 5.3 and 5.5.
 */
import type { Target } from '../../auth/login-io.ts';
import { MisuseError, PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
import { hostHeader, parseServer } from '../../http/url.ts';
import { attribute, child, childrenNamed, textOf, type XmlElement } from '../../markup/xml.ts';
import { Secret } from '../../secret.ts';
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
}

const COOKIES = ['portal-userauthcookie', 'portal-prelogonuserauthcookie'];
/** In place of none. */
const NO_COOKIE = 'empty';
const MAX_COOKIE = 4096;
const MAX_GATEWAYS = 256;
const LOWEST = 1_000_000;

/** Throws {@link PeerRefusedError} for a user without a policy, {@link PeerMisbehavedError} for a document without gateways. */
export function readPolicy(root: XmlElement, region: string | undefined): PortalPolicy {
  if (root.name === 'config-criteria')
    throw new UnsupportedError('The portal wants to check this machine, in a way that nobody here knows.');
  if (root.name !== 'policy') throw new PeerMisbehavedError('The portal answered the log-in with something else than its policy.');
  if (childText(root, 'has-config') === 'no') throw new PeerRefusedError('The portal has no configuration for this user and system.');
  const list = ['gateways', 'external', 'list'].reduce<XmlElement | undefined>((at, name) => at && child(at, name), root);
  const entries = list === undefined ? [] : childrenNamed(list, 'entry').slice(0, MAX_GATEWAYS);
  const gateways = entries.flatMap((entry) => {
    const target = targetOf(attribute(entry, 'name') ?? '');
    if (target === undefined) return [];
    return [{ target, label: childText(entry, 'description') ?? target.host, priority: priorityOf(entry, region) }];
  });
  if (gateways.length === 0) throw new PeerMisbehavedError('The portal names no gateway.');
  return {
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

/** A plain `host` or `host:port`: whatever else it is, no password goes there (spec 17). */
function targetOf(name: string): Target | undefined {
  if (!/^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?$/.test(name)) return undefined;
  try {
    return parseServer(name);
  } catch (error) {
    if (!(error instanceof MisuseError)) throw error;
    return undefined; // a port that there is not: the other gateways are as good as before
  }
}

/** Spec 5.5: by the rules for where we are or anywhere, else its own. */
function priorityOf(entry: XmlElement, region: string | undefined): number {
  const rules = child(entry, 'priority-rule');
  const matching = (rules === undefined ? [] : childrenNamed(rules, 'entry')).filter((rule) =>
    [region, 'Any'].includes(attribute(rule, 'name')),
  );
  const numbers = (matching.length > 0 ? matching : [entry]).map((element) => {
    const text = childText(element, 'priority') ?? '';
    return /^\d{1,5}$/.test(text) ? Number(text) : LOWEST;
  });
  return Math.min(...numbers);
}
