/** The files that workers need and may not read: main reads them, and hands over what is in them. */
import { readFile } from 'node:fs/promises';
import { SallyportError } from '../../core/errors.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { GatewayConfig } from '../config/gateway-config.ts';
import type { WorkerMaterial } from '../processes/worker-contract.ts';
import { readHostMaterial } from '../worker/host-material.ts';

/** Rejects with the first file that cannot be read, by its name. */
export async function workerMaterial({ hosts }: GatewayConfig): Promise<WorkerMaterial> {
  const paths = [...new Set(hosts.flatMap(({ login }) => login.profile ?? []))];
  return {
    hosts: await Promise.all(hosts.map(readHostMaterial)),
    profiles: await Promise.all(paths.map(async (path) => ({ path, bytes: await contentOf(path) }))),
  };
}

async function contentOf(path: string): Promise<Uint8Array> {
  try {
    return Uint8Array.from(await readFile(path));
  } catch (cause) {
    throw new SallyportError('ERR_CONFIG', `The file ${path} could not be read: ${systemErrorText(cause)}.`, { cause });
  }
}
