/**
 * What the hosts' TLS is made of, read from the files that the configuration names: by a process that may read them, for one that may not.
 *
 * Read first: spec "Gateway contract", section 2.2.
 */
import { readFile } from 'node:fs/promises';
import { MisuseError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { HostConfig, TlsPolicyConfig } from '../config/gateway-config.ts';

export interface HostMaterial {
  /** The virtual host; undefined: the default host. */
  readonly name?: string;
  readonly certificates: readonly CertificateMaterial[];
  /** PEM. */
  readonly clientAuthority?: string;
  readonly revocationList?: string;
  /** DER. */
  readonly ocspResponse?: Uint8Array;
  readonly policy: TlsPolicyConfig;
  readonly clientCertificates: 'no' | 'optional' | 'required';
}

export interface CertificateMaterial {
  /** PEM: the certificate and its issuers. */
  readonly certificate: string;
  readonly key: Secret;
  /** Opens the key. */
  readonly pin?: Secret;
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
    ...(ocspResponse !== undefined && { ocspResponse: new Uint8Array(await read(ocspResponse)) }),
  };
}

/** As ocserv takes it: the first line of the file. */
async function pinIn(file: string | undefined): Promise<Secret | undefined> {
  return file === undefined ? undefined : new Secret((await readText(file)).split(/\r?\n/, 1)[0] ?? '');
}

/** Whether two readings are the same: nothing is to be set up anew. */
export function isSameMaterial(a: readonly HostMaterial[], b: readonly HostMaterial[]): boolean {
  return revealed(a) === revealed(b);
}

/** For comparison only. */
function revealed(materials: readonly HostMaterial[]): string {
  return JSON.stringify(
    materials.map(({ certificates, ocspResponse, ...others }) => ({
      ...others,
      certificates: certificates.map(({ certificate, key, pin }) => [certificate, key.reveal(), pin?.reveal()]),
      ocspResponse: ocspResponse && [...ocspResponse],
    })),
  );
}

async function readText(file: string): Promise<string> {
  return (await read(file)).toString('utf8');
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new MisuseError(`Cannot read ${file}: ${systemErrorText(error)}.`, { cause: error });
  }
}
