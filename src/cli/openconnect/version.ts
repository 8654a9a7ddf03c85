/**
 * What `--version` prints (spec "CLI", section 4). Packagers and wrappers read it: the first four lines keep openconnect's shape, the fifth says who we are.
 */
import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { PROTOCOLS } from './not-built.ts';

/** The release that we are a stand-in for: tools compare the number. */
export const OPENCONNECT_VERSION = 'v9.01';

/** openconnect's words for what a build can do, in its order; only what we have. */
const FEATURES = ['HOTP software token', 'TOTP software token', 'DTLS', 'ESP'];

export interface VersionFacts {
  /** Of OpenSSL. */
  readonly openssl: string;
  readonly defaultScript: string;
  /** Of this package. */
  readonly ownVersion: string;
}

export function versionLines(facts: VersionFacts): string[] {
  const protocols = PROTOCOLS.filter((protocol) => protocol.isBuilt).map(({ name }, i) => (i === 0 ? `${name} (default)` : name));
  return [
    `OpenConnect version ${OPENCONNECT_VERSION}`,
    libraryLine(facts.openssl),
    `Supported protocols: ${protocols.join(', ')}`,
    `Default vpnc-script (override with --script): ${facts.defaultScript}`,
    `Sallyport ${facts.ownVersion} in the place of OpenConnect`,
  ];
}

export function libraryLine(openssl: string): string {
  return `Using OpenSSL ${openssl}. Features present: ${FEATURES.join(', ')}`;
}

/** The version in package.json, which is not equally far away from the sources, from what is built of them, and from a bundle. */
export function ownVersion(): string {
  const manifestFile = findPackageJSON(import.meta.url);
  const manifest: unknown = manifestFile === undefined ? undefined : JSON.parse(readFileSync(manifestFile, 'utf8'));
  const hasVersion = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
  return hasVersion ? String(manifest.version) : 'unknown';
}
