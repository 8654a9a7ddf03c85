/** The packet engine of a session: started first of all, as it takes as long as a log-in. */
import type { Logger } from '../core/log.ts';
import { PacketEngine } from '../node/engine/packet-engine.ts';
import type { ConnectOptions } from './connect-options.ts';
import { isOwnDevice } from './own-device.ts';

/** A rejection is told by whoever waits for the engine: without koffi there is no device. */
export function startEngine(): Promise<PacketEngine> {
  const engine = PacketEngine.start();
  engine.catch(() => undefined);
  return engine;
}

/** For a connection that needs no interface: where the engine cannot be, packets go the portable way. */
function startOptionalEngine(log: Logger): Promise<PacketEngine | undefined> {
  return PacketEngine.start().catch((error: Error) => {
    log.log('debug', 'no packet engine', { reason: error.message });
    return undefined;
  });
}

/** What carries packets; undefined: nothing of ours has to. */
export function engineFor(device: NonNullable<ConnectOptions['device']>, log: Logger): Promise<PacketEngine | undefined> | undefined {
  if (isOwnDevice(device)) return undefined;
  return device === 'userspace' ? startOptionalEngine(log) : startEngine();
}
