/** Whether this process may change the network at all: asked before anything else, as a log-in is for nothing where it may not. */
import { readFileSync } from 'node:fs';

/** capabilities(7): bit of CAP_NET_ADMIN. */
const CAP_NET_ADMIN = 12n;

export function mayConfigureNetwork(): boolean {
  return hasCapability(CAP_NET_ADMIN) ?? process.geteuid?.() === 0;
}

/** undefined where the system does not tell. */
function hasCapability(bit: bigint): boolean | undefined {
  let status: string;
  try {
    status = readFileSync('/proc/self/status', 'latin1');
  } catch {
    return undefined; // not Linux
  }
  const [, effective] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  return effective === undefined ? undefined : ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
}
