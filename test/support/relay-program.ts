/** The relay as a program: run in a namespace by relay.ts. Arguments: the seed, and listening and target host and port. */

import type { RelayConditions } from './relay-options.ts';
import { serveCalls } from './remote-calls.ts';
import { SeededRandom } from './seeded-random.ts';
import { TcpRelay } from './tcp-relay.ts';
import { UdpRelay } from './udp-relay.ts';

const [seed, host = '', port, targetHost = '', targetPort] = process.argv.slice(2);
const random = new SeededRandom(Number(seed));
const ends = { listen: { host, port: Number(port) }, target: { host: targetHost, port: Number(targetPort) } };
const udp = await UdpRelay.open({ ...ends, random: random.fork(0) });
const tcp = await TcpRelay.open({ ...ends, random: random.fork(1) });

const calls = {
  change(conditions: { readonly udp: RelayConditions; readonly tcp: RelayConditions }): void {
    udp.conditions = conditions.udp;
    tcp.conditions = conditions.tcp;
  },
  statistics: () => ({ udp: udp.statistics, tcp: tcp.statistics }),
  rebindUdp: () => udp.rebind(),
  resetTcp: () => tcp.reset(),
};

export type RelayCalls = typeof calls;

serveCalls(calls);
console.log('relaying');
