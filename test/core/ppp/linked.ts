/** Two PPP links that are up, one at each end of a perfect stream, for tests. */
import assert from 'node:assert/strict';
import { silentLogger } from '../../../src/core/log.ts';
import type { Encapsulation, PppRole } from '../../../src/core/ppp/encapsulation.ts';
import { PppLink } from '../../../src/core/ppp/link.ts';
import type { ClientNetwork, GatewayNetwork, PppLinkOptions } from '../../../src/core/ppp/link-options.ts';
import { type IpAddress, parseIp } from '../../../src/core/wire/ip-address.ts';
import { LayerPair } from '../../support/layer-pair.ts';
import { LossyLink } from '../../support/lossy-link.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';

export function ipOf(text: string): IpAddress {
  return parseIp(text) ?? assert.fail(`${text} is no address`);
}

export const CLIENT: ClientNetwork = { role: 'client', ipv4: { asksServers: false }, ipv6: {} };
export const GATEWAY: GatewayNetwork = {
  role: 'gateway',
  ipv4: { own: ipOf('10.0.0.1'), peer: ipOf('10.0.0.2'), dns: [], nbns: [] },
  ipv6: { peer: ipOf('fd00::2') },
};

type More = Partial<PppLinkOptions>;

/** The client is on the left. */
export function linkPair(
  encapsulation: (role: PppRole) => Encapsulation,
  client: More = {},
  gateway: More = {},
): LayerPair<PppLink, PppLink> {
  const link = (role: PppRole, more: More) =>
    new PppLink({
      encapsulation: encapsulation(role),
      carrier: 'stream',
      crypto: new SeededCrypto(role === 'client' ? 1 : 2),
      log: silentLogger,
      mtu: 1400,
      network: role === 'client' ? CLIENT : GATEWAY,
      ...more,
    });
  return new LayerPair(link('client', client), link('gateway', gateway), new LossyLink({ delay: 5 }, 1));
}

export function pairUp(
  encapsulation: (role: PppRole) => Encapsulation,
  client: More = {},
  gateway: More = {},
): LayerPair<PppLink, PppLink> {
  const pair = linkPair(encapsulation, client, gateway);
  assert.ok(
    pair.run(() => pair.left.state.name === 'up' && pair.right.state.name === 'up', 1000),
    `${pair.left.state.name}, ${pair.right.state.name}`,
  );
  pair.settle(pair.now + 100);
  return pair;
}
