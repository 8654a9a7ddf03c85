/**
 * How fast one TCP stream goes through the tunnel, up and down, and what the client's or the gateway's work for it costs; how many small packets pass.
 *
 * iperf3 makes the traffic, not the lab's own stream program: that one hashes every byte in JavaScript, on the cores that client and gateway need.
 */
import type { BenchLab, Client, Tunnel } from './bench-lab.ts';
import type { Figure, Measurement, Transport } from './figures.ts';
import { type Direction, iperfPort, runIperf } from './iperf.ts';
import { cpuSeconds, treeCpuSeconds } from './process-usage.ts';
import { type Measured, measureInTurns } from './rounds.ts';
import type { Side } from './statistics.ts';

const RATES = { up: 'Mbit/s', down: 'Mbit/s' } as const;

const UNITS = { ...RATES, 'CPU up': 'CPU-s/GB', 'CPU down': 'CPU-s/GB' } as const;

const PAIR_UNITS = {
  ...RATES,
  'client CPU up': 'CPU-s/GB',
  'client CPU down': 'CPU-s/GB',
  'gateway CPU up': 'CPU-s/GB',
  'gateway CPU down': 'CPU-s/GB',
} as const;

export interface ThroughputSize {
  readonly rounds: number;
  /** Of each transfer. */
  readonly seconds: number;
}

export function measureThroughput(bench: BenchLab, size: ThroughputSize): Promise<Figure[]> {
  return measureClient(bench, size, 'throughput', 'sallyport');
}

export function measurePortable(bench: BenchLab, size: ThroughputSize): Promise<Figure[]> {
  return measureClient(bench, size, 'portable', 'portable');
}

/** Beside openconnect on the gateway that runs. */
function measureClient(bench: BenchLab, { rounds, seconds }: ThroughputSize, measurement: Measurement, ours: Client): Promise<Figure[]> {
  return measureInTurns(measurement, rounds, UNITS, (side, transport) =>
    bench.withTunnel(side === 'sallyport' ? ours : side, transport, (tunnel) => transfersOfOne(bench, seconds, clientCpu(tunnel))),
  );
}

/** The same client on both gateways; all processes of the gateway count. */
export function measureGatewayThroughput(bench: BenchLab, { rounds, seconds }: ThroughputSize): Promise<Figure[]> {
  return measureInTurns('gateway-throughput', rounds, UNITS, async (gateway, transport) => {
    await bench.useGateway(gateway);
    return await bench.withTunnel('reference', transport, (tunnel) => transfersOfOne(bench, seconds, gatewayCpu(tunnel)));
  });
}

/** Both ends ours, beside both ends of the other. */
export function measurePair(bench: BenchLab, { rounds, seconds }: ThroughputSize): Promise<Figure[]> {
  return measureInTurns('pair', rounds, PAIR_UNITS, async (side, transport) => {
    await bench.useGateway(side);
    return await bench.withTunnel(side, transport, async (tunnel) => {
      const { up, down } = await transfers(bench, seconds, { client: clientCpu(tunnel), gateway: gatewayCpu(tunnel) });
      return {
        ...{ up: up.rate, 'client CPU up': up.cpu.client, 'gateway CPU up': up.cpu.gateway },
        ...{ down: down.rate, 'client CPU down': down.cpu.client, 'gateway CPU down': down.cpu.gateway },
      };
    });
  });
}

interface Vendor {
  /** How its packets go. */
  readonly transports: readonly Transport[];
  /** Of both clients, besides the protocol's name. */
  readonly args?: readonly string[];
}

const VENDORS = {
  fortinet: { transports: ['dtls', 'tls'] },
  f5: { transports: ['dtls', 'tls'] },
  gp: { transports: ['esp', 'tls'] },
  nc: { transports: ['esp', 'tls'] },
  pulse: { transports: ['esp', 'tls'] },
  array: { transports: ['dtls', 'tls'], args: ['--form-entry=form:method='] },
} as const satisfies Partial<Record<Measurement, Vendor>>;

/** The clients in another vendor's words, on our gateway: for these protocols there is no other. */
export async function measureVendor(bench: BenchLab, { rounds, seconds }: ThroughputSize, vendor: keyof typeof VENDORS): Promise<Figure[]> {
  // DTLS 1.0 is one of the transports.
  await bench.useGateway('sallyport', { 'vpn-protocols': vendor, 'dtls-legacy': true });
  const { transports, args = [] }: Vendor = VENDORS[vendor];
  const transfer = (side: Side, transport: Transport) =>
    bench.withTunnel(side, transport, (tunnel) => transfersOfOne(bench, seconds, clientCpu(tunnel)), [`--protocol=${vendor}`, ...args]);
  return await measureInTurns(vendor, rounds, UNITS, transfer, transports);
}

/** Clients without an interface: a forwarded port of each, on the gateway that runs. */
export function measureProxy(bench: BenchLab, size: ThroughputSize): Promise<Figure[]> {
  return measureInTurns('proxy', size.rounds, UNITS, (side, transport) => transfersThroughProxy(bench, size, side, transport));
}

/** The same with ours as it is without koffi: nothing of the system's but sockets. */
export function measurePortableProxy(bench: BenchLab, size: ThroughputSize): Promise<Figure[]> {
  return measureInTurns('portable-proxy', size.rounds, UNITS, (side, transport) =>
    transfersThroughProxy(bench, size, side === 'sallyport' ? 'portable' : side, transport),
  );
}

/** The same with each side's own gateway. */
export function measurePairProxy(bench: BenchLab, size: ThroughputSize): Promise<Figure[]> {
  return measureInTurns('pair-proxy', size.rounds, UNITS, async (side, transport) => {
    await bench.useGateway(side);
    return await transfersThroughProxy(bench, size, side, transport);
  });
}

async function transfersThroughProxy(
  bench: BenchLab,
  { seconds }: ThroughputSize,
  client: Client,
  transport: Transport,
): Promise<Measured<keyof typeof UNITS>> {
  const ports = { up: iperfPort(), down: iperfPort() };
  return await bench.withProxy(client, transport, Object.values(ports), async (program) => {
    const one = () => treeCpuSeconds(program.pid);
    const run = async (direction: Direction) => {
      const target = { host: '127.0.0.1', port: ports[direction] };
      const { bytes, bitsPerSecond, cpu } = await runIperf(bench.lab, { direction, seconds, target, cpu: { one } });
      return { rate: bitsPerSecond / 1e6, cpu: cpu.one / (bytes / 1e9) };
    };
    const [up, down] = [await run('up'), await run('down')];
    return { up: up.rate, down: down.rate, 'CPU up': up.cpu, 'CPU down': down.cpu };
  });
}

/** Payload of each UDP datagram. */
const SMALL = 64;

/** Both ends ours, beside both ends of the other; what arrived counts. */
export function measurePackets(bench: BenchLab, { rounds, seconds }: ThroughputSize): Promise<Figure[]> {
  return measureInTurns('packets', rounds, { up: 'packets/s', down: 'packets/s' }, async (side, transport) => {
    await bench.useGateway(side);
    return await bench.withTunnel(side, transport, async () => {
      const args = ['--udp', '--length', String(SMALL), '--bitrate', '0'];
      const rate = async (direction: Direction) =>
        (await runIperf(bench.lab, { direction, seconds, args, cpu: {} })).bitsPerSecond / (8 * SMALL);
      return { up: await rate('up'), down: await rate('down') };
    });
  });
}

interface Transfer<Watched extends string> {
  /** Mbit/s */
  readonly rate: number;
  /** CPU-s/GB */
  readonly cpu: Readonly<Record<Watched, number>>;
}

/** Up, then down. */
async function transfers<Watched extends string>(
  { lab }: BenchLab,
  seconds: number,
  cpu: Readonly<Record<Watched, () => number>>,
): Promise<Record<Direction, Transfer<Watched>>> {
  const transfer = async (direction: Direction) => {
    const { bytes, bitsPerSecond, cpu: used } = await runIperf(lab, { direction, seconds, cpu });
    const costs = Object.entries<number>(used).map(([name, spent]) => [name, spent / (bytes / 1e9)]);
    return { rate: bitsPerSecond / 1e6, cpu: Object.fromEntries(costs) as Record<Watched, number> };
  };
  return { up: await transfer('up'), down: await transfer('down') };
}

async function transfersOfOne(bench: BenchLab, seconds: number, one: () => number): Promise<Measured<keyof typeof UNITS>> {
  const { up, down } = await transfers(bench, seconds, { one });
  return { up: up.rate, down: down.rate, 'CPU up': up.cpu.one, 'CPU down': down.cpu.one };
}

function clientCpu({ program }: Tunnel): () => number {
  return () => cpuSeconds(program.pid);
}

function gatewayCpu({ gateway }: Tunnel): () => number {
  return () => treeCpuSeconds(gateway.pid);
}
