/**
 * The probe of Juniper's protocols: one zero byte, in which a client asks and a gateway answers.
 *
 * Read first: spec "ESP", section 5.1.
 */
import type { EspPayload, EspProbe } from './channel.ts';
import { NEXT_HEADER } from './packet.ts';

/** Of a client, at once in the beginning. Observed: openconnect's. */
export const FIRST_ZERO_PROBES = 2;

/** @param family of the UDP flow */
export function zeroProbe(role: 'client' | 'gateway', family: 4 | 6): EspProbe {
  const zero: EspPayload = { bytes: Uint8Array.of(0), nextHeader: family === 4 ? NEXT_HEADER.ipv4 : NEXT_HEADER.ipv6 };
  const meaning = role === 'client' ? 'answer' : { answer: zero };
  return {
    request: () => zero,
    read: ({ bytes }) => (bytes.length === 1 && bytes[0] === 0 ? meaning : 'data'),
  };
}
