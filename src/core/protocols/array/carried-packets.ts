/**
 * What the packet engine is told of the tunnel's packets, which have nothing around them: IP's own lengths cut a stream, and protocol 255 is for control
 * packets, which are the machine's.
 *
 * Read first: spec "Array", sections 5.1, 5.2 and 6.3; `tunnel/traffic.ts`.
 */
import { MAX_RESERVE } from '../../tunnel/layer.ts';
import type { PacketFraming, StreamTraffic } from '../../tunnel/traffic.ts';
import { copyOf } from '../../wire/copy.ts';
import { TUNNEL_MTU } from './configuration.ts';
import { PROTOCOL, PROTOCOL_OFFSET } from './control-packet.ts';

const NOTHING = new Uint8Array(0);

const BARE = {
  frame: { bytes: NOTHING, lengths: [] },
  sent: { ipv4: NOTHING, ipv6: NOTHING },
  exceptions: [{ family: 4, bytes: [{ offset: PROTOCOL_OFFSET, value: Uint8Array.of(PROTOCOL) }] }],
} as const;

/** Of records: what is no packet is the client's id, or the gateway's word that it is known. */
export const RECORD_FRAMING: PacketFraming = {
  ...BARE,
  isData: {
    offset: 0,
    values: [
      { bytes: NOTHING, family: 4 },
      { bytes: NOTHING, family: 6 },
    ],
  },
};

/** @param received what has come of a packet that is not whole yet */
export function streamTraffic(received: Uint8Array): StreamTraffic {
  return {
    record: { kind: 'tls-stream' },
    framing: { ...BARE, isData: { offset: 0, values: [{ bytes: NOTHING }] } },
    maxPayload: MAX_RESERVE,
    tunnelMtu: TUNNEL_MTU,
    received: copyOf(received),
  };
}
