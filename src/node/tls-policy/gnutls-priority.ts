/**
 * GnuTLS priority strings, as `--gnutls-priority` takes them, translated to what OpenSSL can be told. What has no translation is refused by name:
 * the result never allows more than the string asks for.
 *
 * Read first: GnuTLS manual, "Priority strings".
 *
 *   NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-256-GCM:%COMPAT
 *   keyword, then in order: `+` appends an algorithm, `-` and `!` remove one, `%` sets a flag. Case matters for flags only.
 *
 * What GnuTLS's keywords still include but is unsafe counts only where the string names it: TLS 1.0 and 1.1 (also if it leaves nothing newer) and
 * signatures with SHA-1.
 */
import { MisuseError } from '../../core/errors.ts';
import type { Cipher, Group, KeyExchange, Mac, Signature, TlsVersion } from './tls-suites.ts';
import { CIPHERS, GROUPS, KEY_EXCHANGES, MACS, SIGNATURES, TLS_VERSIONS } from './tls-suites.ts';

/** Each list best first. */
export interface TlsPreferences {
  readonly versions: readonly TlsVersion[];
  readonly keyExchanges: readonly KeyExchange[];
  readonly ciphers: readonly Cipher[];
  readonly macs: readonly Mac[];
  readonly groups: readonly Group[];
  readonly signatures: readonly Signature[];
}

const ALL_GROUPS = Object.keys(GROUPS) as readonly Group[];
const ALL_SIGNATURES = Object.keys(SIGNATURES) as readonly Signature[];

export const NORMAL: TlsPreferences = {
  versions: TLS_VERSIONS,
  keyExchanges: KEY_EXCHANGES,
  ciphers: CIPHERS,
  macs: ['SHA1', 'AEAD'],
  groups: ALL_GROUPS,
  signatures: ALL_SIGNATURES.filter((name) => !isSha1(name)),
};

/** Observed: the ClientHello of GnuTLS 3.7.9 for each keyword, without what Node's OpenSSL does not have. */
const KEYWORDS: Readonly<Record<string, TlsPreferences>> = {
  NORMAL,
  LEGACY: NORMAL,
  PERFORMANCE: {
    ...NORMAL,
    keyExchanges: ['RSA', 'ECDHE-ECDSA', 'ECDHE-RSA', 'DHE-RSA'],
    ciphers: ['AES-128-GCM', 'AES-256-GCM', 'CHACHA20-POLY1305', 'AES-128-CBC', 'AES-256-CBC'],
  },
  PFS: { ...NORMAL, keyExchanges: ['ECDHE-ECDSA', 'ECDHE-RSA', 'DHE-RSA'] },
  SECURE128: NORMAL,
  SECURE192: secure192(),
  SECURE256: secure192(),
  NONE: { versions: [], keyExchanges: [], ciphers: [], macs: [], groups: [], signatures: [] },
};

export function isSha1(signature: Signature): boolean {
  return signature.endsWith('-SHA1');
}

function secure192(): TlsPreferences {
  return {
    ...NORMAL,
    ciphers: ['AES-256-GCM', 'CHACHA20-POLY1305', 'AES-256-CBC'],
    macs: ['AEAD'],
    groups: ['SECP384R1', 'SECP521R1', 'FFDHE8192'],
    signatures: ALL_SIGNATURES.filter((name) => /SHA(384|512)$|ED448$/.test(name)),
  };
}

/** What OpenSSL does anyway, or what concerns servers and packet shapes only. None of them makes anything weaker. */
const HARMLESS_FLAGS = ['%COMPAT', '%SERVER_PRECEDENCE', '%SAFE_RENEGOTIATION', '%PARTIAL_RENEGOTIATION'];

/** Words that change nothing when they are added: it is always there. DTLS versions too: what DTLS may use follows from the ciphers (observed). */
const ALWAYS_THERE = /^(COMP-(NULL|ALL)|CTYPE-(X509|X\.509|ALL)|VERS-DTLS(1\.0|1\.2|-ALL))$/;

/** Words that change nothing when they are removed: we never have it. */
const NEVER_THERE = [
  /^(3DES-CBC|ARCFOUR-(40|128)|RC2-40|DES-CBC|NULL|CAMELLIA-(128|192|256)-(CBC|GCM)|AES-(128|256)-CCM(-8)?|AES-192-(CBC|GCM))$/,
  /^(PSK|DHE-PSK|ECDHE-PSK|RSA-PSK|SRP(-RSA|-DSS)?|ANON-(DH|ECDH)|DHE-DSS|MD5)$/,
  /^(VERS-SSL3\.0|VERS-DTLS(1\.0|1\.2|-ALL)|COMP-(ALL|DEFLATE)|CTYPE-(ALL|OPENPGP|RAWPK)|(GROUP|CURVE)-SECP(192|224)R1)$/,
  /^SIGN-(DSA-SHA(1|224|256|384|512)|RSA-MD5|(RSA|ECDSA)-SHA224|(RSA|ECDSA|DSA)-SHA3-(224|256|384|512))$/,
];

/** Throws {@link MisuseError} with the word that it does not know or cannot do. */
export function parseGnutlsPriority(text: string): TlsPreferences {
  const [keyword = '', ...words] = text.split(':');
  let preferences = KEYWORDS[keyword.toUpperCase()];
  if (preferences === undefined) throw refused(text, keyword);
  for (const word of words) {
    if (HARMLESS_FLAGS.includes(word)) continue;
    const name = word.slice(1).toUpperCase();
    const change = CHANGES.get(name);
    if (word.startsWith('+')) {
      if (change !== undefined) preferences = change.add(preferences);
      else if (!ALWAYS_THERE.test(name)) throw refused(text, word);
    } else if (word.startsWith('-') || word.startsWith('!')) {
      if (change !== undefined) preferences = change.remove(preferences);
      else if (!NEVER_THERE.some((names) => names.test(name))) throw refused(text, word);
    } else {
      throw refused(text, word);
    }
  }
  preferences = { ...preferences, versions: wantedVersions(preferences.versions, words) };
  const { versions, ciphers, macs, groups, signatures } = preferences;
  // Observed: without TLS 1.3 GnuTLS does not take these for what OpenSSL would: the same signature on any curve.
  const curveOnly = versions.includes('TLSv1.3') ? undefined : words.find((word) => /^\+SIGN-ECDSA-SECP\d+R1-/i.test(word));
  if (curveOnly !== undefined) throw refused(text, curveOnly);
  if ([versions, ciphers, macs, groups, signatures].some((list) => list.length === 0)) {
    throw new MisuseError(`Failed to set GnuTLS priority string ("${text}"): No or insufficient priorities were set.`);
  }
  return preferences;
}

function refused(text: string, word: string): MisuseError {
  return new MisuseError(`Failed to set GnuTLS priority string ("${text}"): '${word}' is unknown, or cannot be done with OpenSSL.`);
}

function wantedVersions(there: readonly TlsVersion[], words: readonly string[]): readonly TlsVersion[] {
  const isNew = (version: TlsVersion) => version === 'TLSv1.2' || version === 'TLSv1.3';
  const namesOld = words.some((word) => /^\+VERS-TLS1\.[01]$/i.test(word));
  return TLS_VERSIONS.filter((version) => there.includes(version) && (isNew(version) || namesOld || !there.some(isNew)));
}

interface Change {
  add(preferences: TlsPreferences): TlsPreferences;
  remove(preferences: TlsPreferences): TlsPreferences;
}

/** What a word does once `+` or `-` has been said. */
function change<List extends keyof TlsPreferences>(list: List, members: readonly TlsPreferences[List][number][]): Change {
  return {
    add: (preferences) => ({ ...preferences, [list]: [...new Set([...preferences[list], ...members])] }),
    remove: (preferences) => ({ ...preferences, [list]: preferences[list].filter((member) => !members.some((gone) => gone === member)) }),
  };
}

const CHANGES: ReadonlyMap<string, Change> = new Map<string, Change>([
  ...CIPHERS.map((cipher) => [cipher, change('ciphers', [cipher])] as const),
  ['CIPHER-ALL', change('ciphers', CIPHERS)],
  ...KEY_EXCHANGES.map((keyExchange) => [keyExchange, change('keyExchanges', [keyExchange])] as const),
  ['KX-ALL', change('keyExchanges', KEY_EXCHANGES)],
  ...MACS.map((mac) => [mac, change('macs', [mac])] as const),
  ['MAC-ALL', { add: change('macs', NORMAL.macs).add, remove: change('macs', MACS).remove }],
  ...TLS_VERSIONS.map((version, minor) => [`VERS-TLS1.${minor}`, change('versions', [version])] as const),
  ...['VERS-ALL', 'VERS-TLS-ALL'].map((name) => [name, change('versions', TLS_VERSIONS)] as const),
  ...ALL_GROUPS.flatMap((group) => ['GROUP', 'CURVE'].map((kind) => [`${kind}-${group}`, change('groups', [group])] as const)),
  ...['GROUP-ALL', 'CURVE-ALL'].map((name) => [name, change('groups', ALL_GROUPS)] as const),
  ...ALL_SIGNATURES.flatMap((signature) =>
    signatureNames(signature).map((name) => [`SIGN-${name}`, change('signatures', [signature])] as const),
  ),
  ['SIGN-ALL', { add: change('signatures', NORMAL.signatures).add, remove: change('signatures', ALL_SIGNATURES).remove }],
]);

/** ECDSA has a second name with its curve, which TLS 1.3 means and OpenSSL writes. */
function signatureNames(signature: Signature): string[] {
  const curve = { 'ECDSA-SHA256': 'SECP256R1', 'ECDSA-SHA384': 'SECP384R1', 'ECDSA-SHA512': 'SECP521R1' }[signature as string];
  return curve === undefined ? [signature] : [signature, signature.replace('ECDSA-', `ECDSA-${curve}-`)];
}
