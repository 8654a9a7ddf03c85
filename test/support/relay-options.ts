/** What the UDP and the TCP relay have in common: where they listen, where they lead, how their links are. */
import { type LinkConditions, LinkModel, PERFECT_LINK } from './link-model.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Up: from the client to the target. */
export interface RelayConditions {
  readonly up: LinkConditions;
  readonly down: LinkConditions;
}

export interface RelayOptions {
  readonly listen: HostPort;
  readonly target: HostPort;
  readonly random: SeededRandom;
}

export const PERFECT_CONDITIONS: RelayConditions = { up: PERFECT_LINK, down: PERFECT_LINK };

/** The two links of the nth flow, each with its own luck. */
export function linksOf(
  flow: number,
  random: SeededRandom,
  conditions: RelayConditions,
): { readonly up: LinkModel; readonly down: LinkModel } {
  return { up: new LinkModel(random.fork(2 * flow), conditions.up), down: new LinkModel(random.fork(2 * flow + 1), conditions.down) };
}
