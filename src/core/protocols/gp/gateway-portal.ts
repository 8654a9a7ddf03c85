/**
 * The portal at the gateway: which gateways a client is told of, and where it is taken to be.
 *
 * Read first: spec "GlobalProtect", sections 5.2 and 5.5.
 */
import type { HttpRequest } from '../../http/message.ts';
import { type IpAddress, isInNetwork } from '../../wire/ip-address.ts';
import type { ClientFacts, ListedGateway, PortalPage } from '../gateway-protocol.ts';
import { ownAddress } from './gateway-browser.ts';
import { type PolicyOffer, renderPolicy } from './portal-policy.ts';

/** By its address; undefined: nobody has said. */
export function regionOf({ regions }: PortalPage, remote: IpAddress): string | undefined {
  return regions.find(({ networks }) => networks.some((network) => isInNetwork(remote, network)))?.name;
}

/** For who has logged in. `leadsBack`: as that of the policy. */
export function policyFor(
  portal: PortalPage,
  request: HttpRequest,
  facts: ClientFacts,
  offer: Pick<PolicyOffer, 'pass' | 'leadsBack'>,
): string {
  const region = regionOf(portal, facts.remote.address);
  const priorityOf = ({ priority, regions }: ListedGateway) => regions.find(([where]) => where === region)?.[1] ?? priority;
  // What it has called us is what it reaches us by: nobody but itself is told.
  const own: ListedGateway = { address: ownAddress(request, facts), label: portal.name, priority: 1, regions: [] };
  const gateways = portal.gateways.length === 0 ? [own] : portal.gateways.toSorted((a, b) => priorityOf(a) - priorityOf(b));
  return renderPolicy({ name: portal.name, gateways, region, reportInterval: portal.reportInterval, ...offer });
}
