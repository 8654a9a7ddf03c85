/** Which vendors' clients a host serves: the words of both configuration files. */
import { PROTOCOL_IDS, type ProtocolId } from '../../core/auth/protocol-id.ts';

/** The first decides where nobody can tell whose client has come. */
export type HostProtocols = readonly [ProtocolId, ...ProtocolId[]];

export const DEFAULT_PROTOCOLS: HostProtocols = ['anyconnect'];

/** The vendors of these words, each once; a text: what is wrong with them. */
export function parseProtocols(words: readonly string[]): HostProtocols | string {
  const names = words.map((word) => word.toLowerCase());
  const [first, ...others] = [...new Set(names)].flatMap((name) => PROTOCOL_IDS.find((known) => known === name) ?? []);
  const unknown = names.find((name) => !PROTOCOL_IDS.some((known) => known === name));
  if (unknown !== undefined) return `'${unknown}' is not one of ${PROTOCOL_IDS.join(', ')}`;
  return first === undefined ? `one of ${PROTOCOL_IDS.join(', ')} is needed` : [first, ...others];
}
