/** What `--authenticate` and `--cookieonly` print on standard output (spec "CLI", sections 5.2 and 5.3): shell assignments, meant for `eval`. */
import type { Credential } from '../../core/auth/login-io.ts';
import { formatUrl, hostInUrl } from '../../core/http/url.ts';
import { formatIp } from '../../core/wire/ip-address.ts';

/** The lines end in line feeds, except that `RESOLVE=` without a value has none, as openconnect has it. */
export function authenticateText(credential: Pick<Credential, 'cookie' | 'gateway' | 'address' | 'pin'>): string {
  const { gateway, address } = credential;
  const resolve = address === undefined ? 'RESOLVE=' : `RESOLVE=${shellQuoted(`${hostInUrl(gateway.host)}:${formatIp(address)}`)}\n`;
  return [
    `COOKIE=${shellQuoted(credential.cookie.reveal())}\n`,
    `HOST=${shellQuoted(hostInUrl(address === undefined ? gateway.host : formatIp(address)))}\n`,
    `CONNECT_URL=${shellQuoted(formatUrl(gateway))}\n`,
    `FINGERPRINT=${shellQuoted(credential.pin)}\n`,
    resolve,
  ].join('');
}

/** The cookie by itself. */
export function cookieText(credential: Pick<Credential, 'cookie'>): string {
  return `${credential.cookie.reveal()}\n`;
}

/** One word for any POSIX shell, whatever the text: a gateway's cookie must not become a command. */
export function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
