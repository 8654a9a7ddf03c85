/** How the TCP connections of tunnels are, at both ends. */

/**
 * RFC 9293 §3.8.4, in milliseconds: silence after which TCP asks whether the peer is there. Protocols with signs of life of their own never wait so
 * long; of those without, a peer that is gone is found out by this alone (spec "Pulse", section 9). Less than routers on the way keep a silent connection.
 */
const KEEP_ALIVE_MS = 240_000;

export const TCP_OPTIONS: { readonly noDelay: true; readonly keepAlive: true; readonly keepAliveInitialDelay: number } = {
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: KEEP_ALIVE_MS,
};
