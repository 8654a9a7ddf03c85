/**
 * What TLS and DTLS may use: the outcome of `--pfs`, `--allow-insecure-crypto`, `--gnutls-priority` and `--openssl-ciphers`.
 *
 * Read first: spec "CLI", section 3.3.
 */
import { createSecureContext, getCiphers, type SecureContextOptions } from 'node:tls';
import { MisuseError } from '../../core/errors.ts';
import { isSha1, NORMAL, parseGnutlsPriority, type TlsPreferences } from './gnutls-priority.ts';
import type { DtlsCipher, OldDtlsCipher, TlsVersion } from './tls-suites.ts';
import { DTLS_CIPHERS, GROUPS, OLD_DTLS_CIPHERS, SIGNATURES, suiteNames, TLS_VERSIONS, TLS13_SUITES } from './tls-suites.ts';

export interface TlsPolicy {
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** Suites of TLS 1.3, best first. Empty where `maxVersion` is older. */
  readonly ciphersuites: readonly string[];
  /** OpenSSL's list for TLS 1.2 and before; it may set a security level. Empty where `minVersion` is newer. */
  readonly ciphers: string;
  /** Key exchange groups, best first; undefined: OpenSSL's choice. */
  readonly groups?: readonly string[];
  /** Signature algorithms, best first; undefined: OpenSSL's choice. */
  readonly signatures?: readonly string[];
  /** What DTLS may offer, best first; undefined: all that it has. */
  readonly dtlsCiphers?: readonly DtlsCipher[];
  /** What a gateway's DTLS may do besides, for old clients. */
  readonly oldDtlsCiphers?: readonly OldDtlsCipher[];
}

export interface TlsWishes {
  readonly pfs: boolean;
  readonly allowInsecureCrypto: boolean;
  readonly gnutlsPriority?: string;
  readonly opensslCiphers?: string;
}

/** What openconnect offers without any of the options, as far as it is safe: TLS 1.2 and 1.3. */
const DEFAULTS: TlsPreferences = { ...NORMAL, versions: ['TLSv1.2', 'TLSv1.3'], macs: ['SHA1', 'AEAD', 'SHA256'] };

/** Throws {@link MisuseError} where the wishes name something unknown or leave nothing to use. */
export function tlsPolicy(wishes: TlsWishes): TlsPolicy {
  const asked = wishes.gnutlsPriority === undefined ? undefined : parseGnutlsPriority(wishes.gnutlsPriority);
  // A priority string says exactly what it wants: the insecure option then only lowers what OpenSSL insists on.
  const versions = asked?.versions ?? (wishes.allowInsecureCrypto ? TLS_VERSIONS : DEFAULTS.versions);
  const policy = policyOf({ ...(asked ?? DEFAULTS), versions }, wishes);
  if (asked === undefined && wishes.opensslCiphers === undefined) return policy; // all of it is ours, and a context takes milliseconds
  try {
    createSecureContext(secureContextOptions(policy));
  } catch (cause) {
    const what = wishes.opensslCiphers === undefined ? 'the TLS options' : `OpenSSL cipher list ("${wishes.opensslCiphers}")`;
    throw new MisuseError(`Failed to set ${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  return policy;
}

function policyOf(preferences: TlsPreferences, wishes: TlsWishes): TlsPolicy {
  const keyExchanges = preferences.keyExchanges.filter((keyExchange) => keyExchange !== 'RSA' || !wishes.pfs);
  const hasAead = preferences.macs.includes('AEAD');
  const named = wishes.opensslCiphers?.split(':');
  const named13 = named?.filter((name) => name.startsWith('TLS_')) ?? [];
  const suites13 = named13.length > 0 ? named13 : hasAead ? preferences.ciphers.flatMap((cipher) => TLS13_SUITES[cipher] ?? []) : [];
  const suites12 = named?.filter((name) => !named13.includes(name)) ?? suiteNames(keyExchanges, preferences.ciphers, preferences.macs);

  const usable = preferences.versions.filter((version) => (version === 'TLSv1.3' ? suites13 : suites12).length > 0);
  const { minVersion, maxVersion } = range(usable);
  const { groups, signatures } = preferences;
  // OpenSSL 3 does TLS 1.0 and 1.1, SHA-1 signatures and keys under 2048 bits at its lowest level only.
  const isInsecure = wishes.allowInsecureCrypto || minVersion === 'TLSv1' || minVersion === 'TLSv1.1' || signatures.some(isSha1);
  const rules = [...(named ? ['!aNULL', '!eNULL'] : []), ...(named && wishes.pfs ? ['!kRSA'] : []), ...(isInsecure ? ['@SECLEVEL=0'] : [])];
  return {
    minVersion,
    maxVersion,
    ciphersuites: maxVersion === 'TLSv1.3' ? suites13 : [],
    ciphers: minVersion === 'TLSv1.3' ? '' : [...suites12, ...rules].join(':'),
    ...(groups.join() !== NORMAL.groups.join() && { groups: groups.map((group) => GROUPS[group]) }),
    ...(signatures.join() !== NORMAL.signatures.join() && { signatures: signatures.map((signature) => SIGNATURES[signature]) }),
    ...(wishes.gnutlsPriority !== undefined && {
      dtlsCiphers: hasAead ? preferences.ciphers.flatMap((cipher) => DTLS_CIPHERS[cipher] ?? []) : [],
      oldDtlsCiphers: preferences.macs.includes('SHA1') ? preferences.ciphers.flatMap((cipher) => OLD_DTLS_CIPHERS[cipher] ?? []) : [],
    }),
  };
}

function range(versions: readonly TlsVersion[]): { readonly minVersion: TlsVersion; readonly maxVersion: TlsVersion } {
  const [minVersion] = versions;
  const maxVersion = versions.at(-1);
  if (minVersion === undefined || maxVersion === undefined)
    throw new MisuseError('The TLS options leave no version and cipher suite to use.');
  if (TLS_VERSIONS.indexOf(maxVersion) - TLS_VERSIONS.indexOf(minVersion) !== versions.length - 1) {
    throw new MisuseError(`The TLS options leave out a version between ${minVersion} and ${maxVersion}; OpenSSL cannot do that.`);
  }
  return { minVersion, maxVersion };
}

/** For `node:tls`. */
export function secureContextOptions(policy: TlsPolicy): SecureContextOptions {
  return {
    minVersion: policy.minVersion,
    maxVersion: policy.maxVersion,
    ciphers: [...policy.ciphersuites, ...(policy.ciphers === '' ? [] : [policy.ciphers])].join(':'),
    ...(policy.groups !== undefined && { ecdhCurve: policy.groups.join(':') }),
    ...(policy.signatures !== undefined && { sigalgs: policy.signatures.join(':') }),
  };
}

/** The ciphers that `--allow-insecure-crypto` would bring back and that the TLS library does not have. */
export function missingInsecureCiphers(): readonly string[] {
  const there = getCiphers();
  return Object.entries({ '3DES': 'des-cbc3-sha', RC4: 'rc4-sha' }).flatMap(([name, suite]) => (there.includes(suite) ? [] : [name]));
}
