/** Host names that clients of a proxy send: checked once, before anybody looks them up or logs them. */
import { PeerMisbehavedError } from '../errors.ts';
import { parseIp } from '../wire/ip-address.ts';

/** RFC 1035 §2.3.4, as text: without the length of the root, with room for its dot. */
export const MAX_HOST_NAME = 254;

/** What names consist of in practice: letters, digits, hyphens and (in services' names) underscores, in labels of at most 63. */
const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*\\.?$`, 'i');

/** Reads a name, or an address that is written where a name is expected. Throws {@link PeerMisbehavedError}. */
export function hostName(bytes: Uint8Array): string {
  const text = String.fromCharCode(...bytes.subarray(0, MAX_HOST_NAME + 1));
  if (!isHostName(text)) throw new PeerMisbehavedError('name: what is there can be no host name');
  return text;
}

/** Whether a text is a host name (in ASCII), or an address without brackets. */
export function isHostName(text: string): boolean {
  return (text.length <= MAX_HOST_NAME && NAME.test(text)) || parseIp(text) !== undefined;
}
