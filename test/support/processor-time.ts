import type { Millis } from '../../src/core/tunnel/packet.ts';

/** How long this process has had a processor so far: between two of these there is nothing of what else a busy machine did meanwhile. */
export function processorTime(): Millis {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
