/** What both configuration files say of a portal, and what it has where they say nothing. */
import { plainServer } from '../../core/http/url.ts';
import type { ListedGateway } from '../../core/protocols/gateway-protocol.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { PortalConfig } from './gateway-config.ts';

export const DEFAULT_PORTAL: PortalConfig = {
  ...{ name: 'sallyport', gateways: [], regions: [], reportInterval: 3_600_000, asksBy: 'xml', passTime: 300_000 },
};

/** A pass is as good as a password: not for longer than a day. */
export const MAX_PASS_TIME: Millis = 86_400_000;

/** Clients open a tunnel anew for each report. */
export const MIN_REPORT_INTERVAL: Millis = 120_000;

/** Of what people and clients can do something with. */
export const MAX_LISTED_GATEWAYS = 64;
export const MAX_PRIORITY = 1000;
const MAX_LABEL = 80;

/** The next of a list, where its priority is its place; a text: what is wrong. */
export function listedGateway(before: readonly ListedGateway[], { address, label = address }: WrittenGateway): ListedGateway | string {
  if (plainServer(address) === undefined) return `'${address}' is no host or host:port`;
  if (label.length > MAX_LABEL) return `a label has ${MAX_LABEL} characters at most`;
  if (before.some((other) => other.label === label)) return `there are two gateways called '${label}', and people choose by that`;
  return { address, label, priority: before.length + 1, regions: [] };
}

export interface WrittenGateway {
  readonly address: string;
  /** What people choose it by. Default: the address. */
  readonly label?: string;
}
