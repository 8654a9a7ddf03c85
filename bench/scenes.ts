/** How each measurement is made: in full, or quickly to show that it works. */
import type { BenchLab } from './bench-lab.ts';
import { measureConnectTime } from './connect-time.ts';
import type { Figure, Measurement } from './figures.ts';
import { measureGatewayMemory, measureIdleMemory } from './idle-memory.ts';
import { measureSessions } from './load/many-sessions.ts';
import { measurePairPing, measurePing, type PingSize } from './ping-time.ts';
import {
  measureGatewayThroughput,
  measurePackets,
  measurePair,
  measurePairProxy,
  measurePortable,
  measurePortableProxy,
  measureProxy,
  measureThroughput,
  measureVendor,
  type ThroughputSize,
} from './throughput.ts';

interface Sizes {
  readonly connect: Parameters<typeof measureConnectTime>[1];
  readonly memory: Parameters<typeof measureIdleMemory>[1];
  readonly ping: PingSize;
  readonly throughput: ThroughputSize;
  readonly pairPing: Parameters<typeof measurePairPing>[1];
  readonly sessions: Parameters<typeof measureSessions>[0];
}

const FULL: Sizes = {
  connect: { rounds: 15 },
  memory: { rounds: 3 },
  ping: {
    rounds: 5,
    series: [
      { interval: 20, count: 150 },
      { interval: 200, count: 25 },
    ],
  },
  throughput: { rounds: 5, seconds: 4 },
  pairPing: {
    rounds: 5,
    seconds: 4,
    series: [
      { interval: 20, count: 100 },
      { interval: 200, count: 15 },
    ],
  },
  sessions: { rounds: 5, seconds: 3, sessions: 1_000, active: [1, 10, 100] },
};

/** Two rounds where order matters: one in each. */
const QUICK: Sizes = {
  connect: { rounds: 2 },
  memory: { rounds: 1 },
  ping: {
    rounds: 2,
    series: [
      { interval: 20, count: 50 },
      { interval: 200, count: 10 },
    ],
  },
  throughput: { rounds: 2, seconds: 1 },
  pairPing: { rounds: 1, seconds: 2, series: [{ interval: 20, count: 50 }] },
  sessions: { rounds: 1, seconds: 1, sessions: 100, active: [1, 10] },
};

export function scenes(bench: BenchLab, isQuick: boolean): Readonly<Record<Measurement, () => Promise<Figure[]>>> {
  const sizes = isQuick ? QUICK : FULL;
  /** The clients are compared on ocserv; the others start gateways themselves. */
  const onOcserv = (measure: () => Promise<Figure[]>) => async () => {
    await bench.useGateway('reference');
    return await measure();
  };
  return {
    connect: onOcserv(() => measureConnectTime(bench, sizes.connect)),
    ping: onOcserv(() => measurePing(bench, sizes.ping)),
    memory: onOcserv(() => measureIdleMemory(bench, sizes.memory)),
    throughput: onOcserv(() => measureThroughput(bench, sizes.throughput)),
    portable: onOcserv(() => measurePortable(bench, sizes.throughput)),
    proxy: onOcserv(() => measureProxy(bench, sizes.throughput)),
    'portable-proxy': onOcserv(() => measurePortableProxy(bench, sizes.throughput)),
    'gateway-memory': () => measureGatewayMemory(bench, sizes.memory),
    'gateway-throughput': () => measureGatewayThroughput(bench, sizes.throughput),
    pair: () => measurePair(bench, sizes.throughput),
    'pair-ping': () => measurePairPing(bench, sizes.pairPing),
    'pair-proxy': () => measurePairProxy(bench, sizes.throughput),
    fortinet: () => measureVendor(bench, sizes.throughput, 'fortinet'),
    f5: () => measureVendor(bench, sizes.throughput, 'f5'),
    gp: () => measureVendor(bench, sizes.throughput, 'gp'),
    nc: () => measureVendor(bench, sizes.throughput, 'nc'),
    pulse: () => measureVendor(bench, sizes.throughput, 'pulse'),
    array: () => measureVendor(bench, sizes.throughput, 'array'),
    packets: () => measurePackets(bench, sizes.throughput),
    sessions: () => measureSessions(sizes.sessions),
  };
}
