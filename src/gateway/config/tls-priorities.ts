/**
 * `tls-priorities`: a GnuTLS priority string as a gateway's TLS policy. What OpenSSL cannot do is refused by name, so the result is never weaker.
 *
 * The translation is the drop-in client's, `node/tls-policy`. What differs on a gateway: the order of preference, and what a flag demands of clients.
 */
import { MisuseError } from '../../core/errors.ts';
import { secureContextOptions, tlsPolicy } from '../../node/tls-policy/tls-policy.ts';
import type { TlsPolicyConfig } from './gateway-config.ts';

/** Longer than any string that people write. */
const MAX_LENGTH = 1000;

/** Throws {@link MisuseError} with the word that it does not know or cannot do. */
export function parseTlsPriorities(text: string): TlsPolicyConfig {
  if (text.length > MAX_LENGTH) throw new MisuseError(`The TLS priority string is longer than ${MAX_LENGTH} characters.`);
  const words = text.split(':');
  // GnuTLS manual, "Priority strings": the server refuses clients without RFC 5746 then. An OpenSSL server serves them, without renegotiation.
  if (words.includes('%SAFE_RENEGOTIATION')) {
    throw new MisuseError(
      "'%SAFE_RENEGOTIATION' cannot be done with OpenSSL on a gateway: leave it out; there is no unsafe renegotiation anyway.",
    );
  }
  const policy = tlsPolicy({ pfs: false, allowInsecureCrypto: false, gnutlsPriority: text });
  const { dtlsCiphers, oldDtlsCiphers = [] } = policy;
  const { ciphers, ecdhCurve, sigalgs } = secureContextOptions(policy);
  return {
    minVersion: policy.minVersion,
    maxVersion: policy.maxVersion,
    ...(ciphers !== undefined && { ciphers }),
    ...(ecdhCurve !== undefined && { groups: ecdhCurve }),
    ...(sigalgs !== undefined && { signatures: sigalgs }),
    ...(dtlsCiphers !== undefined && { dtlsCiphers: [...dtlsCiphers, ...oldDtlsCiphers] }),
    prefersServerOrder: words.includes('%SERVER_PRECEDENCE'),
  };
}
