/** The packet engine of a session: started first of all, as it takes as long as a log-in. */
import { PacketEngine } from '../node/engine/packet-engine.ts';

/** A rejection is told by whoever waits for the engine: without koffi there is no device. */
export function startEngine(): Promise<PacketEngine> {
  const engine = PacketEngine.start();
  engine.catch(() => undefined);
  return engine;
}
