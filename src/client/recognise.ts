/** What a gateway speaks, for who wants to know before logging in. */

import { parseServer } from '../core/http/url.ts';
import { silentLogger } from '../core/log.ts';
import type { Evidence, Recognition } from '../core/protocols/recognition.ts';
import { checkedOnCertificate } from './called-back.ts';
import { checkOptions } from './check-options.ts';
import { clientSettings } from './client-settings.ts';
import type { LoginOptions } from './connect-options.ts';
import { VpnClient } from './vpn-client.ts';

export type { Evidence, Recognition };

/**
 * Asks a gateway a few questions that any stranger may ask, and says what its answers prove. Nothing of the user's is sent. Rejects as a log-in does that
 * does not get so far: NetworkError, CertificateNotTrustedError, MisuseError.
 */
export async function recognise(url: string, options: LoginOptions = {}): Promise<Recognition> {
  checkOptions(url, options);
  parseServer(url); // its complaint is better than what would follow
  const { signal = new AbortController().signal, log = silentLogger, onCertificate } = options;
  const client = await VpnClient.create(await clientSettings(url, { ...options, protocol: 'auto' }), {
    log,
    answerer: () => () => Promise.resolve({ type: 'cancel' }),
    ...(onCertificate !== undefined && { confirmCertificate: checkedOnCertificate(onCertificate) }),
    checkHost: () => Promise.resolve(),
  });
  return client.recognise(signal);
}
