/** Which key exchange groups the first TLS hello has keys for. */

/**
 * OpenSSL's own list would send a key of X25519MLKEM768 and one of X25519 only: gateways on GnuTLS (ocserv) take P-256 first, and each connection
 * would cost another round trip. So: keys of X25519 and P-256 (`*`); who prefers X25519MLKEM768 asks for it. Names that this OpenSSL does not have
 * are passed over (`?`).
 */
const GROUPS = '?*X25519:?*P-256:?X25519MLKEM768:?X448:?P-384:?P-521';

/** The list for `ecdhCurve` of node:tls; undefined: OpenSSL's own, where it cannot say for which groups to send keys (before 3.5). */
export function keyExchangeGroups(opensslVersion: string | undefined = process.versions.openssl): string | undefined {
  const [major = 0, minor = 0] = (opensslVersion ?? '').split('.').map(Number);
  return major > 3 || (major === 3 && minor >= 5) ? GROUPS : undefined;
}
