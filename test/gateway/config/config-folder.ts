/** A folder with everything that the configuration files in test/vectors/ocserv-conf name. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { makeAuthority, makeServerCertificate } from '../../support/throwaway-certificates.ts';

export const VECTORS: string = path.resolve(import.meta.dirname, '../../vectors/ocserv-conf');

/** Without their ending. */
export const VECTOR_NAMES: readonly string[] = readdirSync(VECTORS)
  .filter((name) => name.endsWith('.conf'))
  .map((name) => path.basename(name, '.conf'));

export class ConfigFolder {
  readonly path: string;

  private constructor(folder: string) {
    this.path = folder;
  }

  static async make(): Promise<ConfigFolder> {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'sallyport-config-'));
    const inFolder = (name: string) => path.join(folder, name);
    const authority = await makeAuthority(folder);
    const server = await makeServerCertificate(folder, authority, ['vpn.example']);
    renameSync(server.certificate, inFolder('server-cert.pem'));
    renameSync(server.key, inFolder('server-key.pem'));
    renameSync(authority.certificate, inFolder('ca.pem'));
    for (const name of ['ocpasswd', 'users.otp', 'radiusclient.conf', 'profile.xml', 'defaults-user.conf', 'defaults-group.conf']) {
      writeFileSync(inFolder(name), '');
    }
    writeFileSync(inFolder('script'), '#!/bin/sh\n', { mode: 0o755 });
    for (const name of ['users', 'groups']) mkdirSync(inFolder(name));
    return new ConfigFolder(folder);
  }

  /** Writes a file and returns its path; `@FOLDER@` in it becomes this folder. */
  write(name: string, text: string): string {
    const file = path.join(this.path, name);
    writeFileSync(file, text.replaceAll('@FOLDER@', this.path));
    return file;
  }

  /** The path of a file of the vectors, filled in. */
  vector(name: string): string {
    return this.write(`${name}.conf`, readFileSync(path.join(VECTORS, `${name}.conf`), 'utf8'));
  }

  /** The text of such a file for another folder with the same files. */
  vectorText(name: string, folder: string): string {
    return readFileSync(path.join(VECTORS, `${name}.conf`), 'utf8').replaceAll('@FOLDER@', folder);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
