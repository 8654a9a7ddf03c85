/**
 * Cipher suites as ocserv's administrators know them: in GnuTLS's words.
 *
 *   DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384               (DTLS1.2)-(PSK)-(AES-256-GCM)
 *   TLSv1.3-TLS_AES_256_GCM_SHA384                     (TLS1.3)-(AES-256-GCM)
 *   TLSv1.2-TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA         (TLS1.2)-(ECDHE-RSA)-(AES-128-CBC)-(SHA1)
 *
 * Which group and which signature a TLS connection has agreed on, OpenSSL does not tell Node on a server's side: they are left out.
 */

const NAME = /^(D?TLS)v(\d\.\d)-(?:TLS_)?(?:(\w+)_WITH_)?(AES_\d+_GCM|AES_\d+_CBC|CHACHA20_POLY1305)_(SHA\d*)$/;

/** A name of no such form stays as it is. */
export function gnutlsName(suite: string): string {
  const [, protocol, version, keyExchange, cipher = '', hash = ''] = NAME.exec(suite) ?? [];
  if (protocol === undefined) return suite;
  const parts = [
    `${protocol}${version}`,
    ...(keyExchange === undefined ? [] : [keyExchange.replaceAll('_', '-')]),
    cipher.replaceAll('_', '-'),
    ...(cipher.endsWith('CBC') ? [hash === 'SHA' ? 'SHA1' : hash] : []), // of an AEAD the hash is not its own
  ];
  return parts.map((part) => `(${part})`).join('-');
}
