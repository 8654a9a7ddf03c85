/** What a client, or a gateway with one client, holds in memory once the tunnel is up and nothing happens. */
import { setTimeout } from 'node:timers/promises';
import type { Millis } from '../src/core/tunnel/packet.ts';
import type { BenchLab } from './bench-lab.ts';
import type { Figure } from './figures.ts';
import { memoryOf, treeMemory } from './process-usage.ts';
import { measureInTurns } from './rounds.ts';

/** Long enough for what a start leaves behind. */
const IDLE: Millis = 5_000;

const UNITS = { resident: 'MiB', proportional: 'MiB' } as const;

export function measureIdleMemory(bench: BenchLab, { rounds }: { rounds: number }): Promise<Figure[]> {
  return measureInTurns('memory', rounds, UNITS, (client, transport) =>
    bench.withTunnel(client, transport, async ({ program }) => {
      await setTimeout(IDLE);
      return memoryOf(program.pid);
    }),
  );
}

/** Each round has a gateway that has just been started. */
export function measureGatewayMemory(bench: BenchLab, { rounds }: { rounds: number }): Promise<Figure[]> {
  return measureInTurns('gateway-memory', rounds, UNITS, async (gateway, transport) => {
    await bench.useGateway(gateway);
    return await bench.withTunnel('reference', transport, async (tunnel) => {
      await setTimeout(IDLE);
      return treeMemory(tunnel.gateway.pid);
    });
  });
}
