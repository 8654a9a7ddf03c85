/** The files that workers need and may not read: main reads them, and hands over what is in them. */
import { readFile } from 'node:fs/promises';
import { MisuseError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { GatewayConfig, HostConfig } from '../config/gateway-config.ts';
import { keyPasswordIn } from '../config/key-password.ts';
import type { WorkerMaterial } from '../processes/worker-contract.ts';
import type { HostMaterial } from '../worker/host-material.ts';

/** Rejects with MisuseError, which names the first file that cannot be read. */
export async function workerMaterial({ hosts }: GatewayConfig): Promise<WorkerMaterial> {
  const paths = [...new Set(hosts.flatMap(({ login }) => login.profile ?? []))];
  return {
    hosts: await Promise.all(hosts.map(readHostMaterial)),
    profiles: await Promise.all(paths.map(async (path) => ({ path, bytes: await read(path) }))),
  };
}

/** Reads a host's files. Rejects with MisuseError, which names the file that cannot be read. */
export async function readHostMaterial({ name, tls }: HostConfig): Promise<HostMaterial> {
  const { clientAuthority, revocationList, ocspResponse, policy, clientCertificates } = tls;
  const certificates = await Promise.all(
    tls.certificates.map(async (pair) => {
      const [certificate, key, pin] = [
        await readText(pair.certificate),
        new Secret(await readText(pair.key)),
        pair.pin ?? (await pinIn(pair.pinFile)),
      ];
      return { certificate, key, ...(pin !== undefined && { pin }) };
    }),
  );
  return {
    ...{ certificates, policy, clientCertificates },
    ...(name !== undefined && { name }),
    ...(clientAuthority !== undefined && { clientAuthority: await readText(clientAuthority) }),
    ...(revocationList !== undefined && { revocationList: await readText(revocationList) }),
    ...(ocspResponse !== undefined && (await ocspResponseIn(ocspResponse))),
  };
}

/** Observed: ocserv goes on without one that is not there yet. The look at the configuration's files has warned of it. */
async function ocspResponseIn(file: string): Promise<{ readonly ocspResponse?: Uint8Array }> {
  try {
    return { ocspResponse: await read(file) };
  } catch (error) {
    if (error instanceof MisuseError) return {};
    throw error;
  }
}

async function pinIn(file: string | undefined): Promise<Secret | undefined> {
  return file === undefined ? undefined : keyPasswordIn(await readText(file));
}

async function readText(file: string): Promise<string> {
  return Buffer.from(await read(file)).toString('utf8');
}

async function read(file: string): Promise<Uint8Array> {
  try {
    return Uint8Array.from(await readFile(file));
  } catch (cause) {
    throw new MisuseError(`Cannot read ${file}: ${systemErrorText(cause)}.`, { cause });
  }
}
