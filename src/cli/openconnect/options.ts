/**
 * The options of the drop-in command: one table, from which parser, help, manual page, completion and configuration file are made.
 *
 * Read first: spec "CLI", section 3. A record says what an option is (`option-spec.ts`), `apply-option.ts` says what it does.
 */
import type { OptionSyntax } from '../getopt-long.ts';
import type { OptionSpec } from './option-spec.ts';
import { LOGIN_OPTIONS } from './options-login.ts';
import { TUNNEL_OPTIONS } from './options-tunnel.ts';

export type OptionName = (typeof LOGIN_OPTIONS)[number]['name'] | (typeof TUNNEL_OPTIONS)[number]['name'];

/** In the order of help and manual. */
export const OPTIONS: readonly OptionSpec<OptionName>[] = [...LOGIN_OPTIONS, ...TUNNEL_OPTIONS];

/** The options that exist on a platform, in the order of help and manual. */
export function optionsFor(platform: NodeJS.Platform): readonly OptionSpec<OptionName>[] {
  return OPTIONS.filter((option) => option.platforms !== 'unix' || platform !== 'win32');
}

/** What the parser needs of a platform's options, in the order in which openconnect names them in messages and completions. */
export function optionSyntax(platform: NodeJS.Platform): readonly OptionSyntax<OptionName>[] {
  const rank = ({ name, exactOnly }: OptionSyntax) => (exactOnly === true ? DECLARED.length : DECLARED.indexOf(name));
  return optionsFor(platform)
    .map(({ name, short, argument }) => ({
      name,
      takesArgument: argument !== undefined,
      exactOnly: !DECLARED.includes(name),
      ...(short !== undefined && { short }),
    }))
    .toSorted((a, b) => rank(a) - rank(b));
}

/** Observed: `openconnect --=` names all its options, in this order. What it does not have is no match for its prefixes. */
const DECLARED: readonly string[] = `
  background pid-file setuid script-tun syslog csd-user csd-wrapper external-browser pfs allow-insecure-crypto certificate sslkey cookie
  compression deflate juniper no-deflate cert-expire-warning usergroup help http-auth interface mtu base-mtu script timestamp passtos
  key-password proxy proxy-auth user verbose version cafile config no-dtls authenticate cookieonly printcookie quiet queue-len xmlconfig
  cookie-on-stdin passwd-on-stdin no-passwd reconnect-timeout dtls-ciphers dtls12-ciphers authgroup servercert resolve
  key-password-from-fsid useragent version-string local-hostname disable-ipv6 no-proxy libproxy no-http-keepalive no-cert-check force-dpd
  force-trojan non-inter dtls-local-port token-mode token-secret os no-xmlpost dump-http-traffic no-system-trust protocol form-entry
  gnutls-debug gnutls-priority server mca-certificate mca-key mca-key-password
`
  .trim()
  .split(/\s+/);
