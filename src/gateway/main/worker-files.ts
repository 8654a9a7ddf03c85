/** The files that workers need and may not read: main reads them, and hands over what is in them. */
import { readFile } from 'node:fs/promises';
import { SallyportError } from '../../core/errors.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { GatewayConfig, HostConfig } from '../config/gateway-config.ts';

/** Rejects with the first that cannot be read. */
export async function filesOfWorkers({ hosts }: GatewayConfig): Promise<ReadonlyMap<string, Uint8Array>> {
  const paths = new Set(hosts.flatMap(pathsOf));
  return new Map(await Promise.all([...paths].map(async (path) => [path, await contentOf(path)] as const)));
}

function pathsOf({ tls, login }: HostConfig): string[] {
  const { certificates, clientAuthority, revocationList, ocspResponse } = tls;
  const others = [clientAuthority, revocationList, ocspResponse, login.profile].filter((path) => path !== undefined);
  return [
    ...certificates.flatMap(({ certificate, key, pinFile }) => [certificate, key, ...(pinFile === undefined ? [] : [pinFile])]),
    ...others,
  ];
}

async function contentOf(path: string): Promise<Uint8Array> {
  try {
    return Uint8Array.from(await readFile(path));
  } catch (cause) {
    throw new SallyportError('ERR_CONFIG', `The file ${path} could not be read: ${systemErrorText(cause)}.`, { cause });
  }
}
