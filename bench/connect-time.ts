/** How long a client takes from its start until packets pass. */
import type { BenchLab } from './bench-lab.ts';
import type { Figure, Transport } from './figures.ts';
import { measureInTurns } from './rounds.ts';
import { SIDES, type Side } from './statistics.ts';

export async function measureConnectTime(bench: BenchLab, { rounds }: { rounds: number }): Promise<Figure[]> {
  const connect = (client: Side, transport: Transport) =>
    bench.withTunnel(client, transport, async ({ connectTime }) => ({ 'start to tunnel up': connectTime }));
  for (const client of SIDES) await connect(client, 'dtls'); // its files may come from the disk; this one does not count
  return await measureInTurns('connect', rounds, { 'start to tunnel up': 'ms' }, connect);
}
