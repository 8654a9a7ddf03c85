/**
 * Packets in KMP messages in oNCP records, as the packet engine is told of them.
 *
 * Read first: {@link StreamTraffic}; spec "Juniper NC", sections 5.2 and 6.6.
 */
import type { StreamTraffic } from '../../tunnel/traffic.ts';
import { CONSTANT_OFFSET, KMP_HEADER_LENGTH, KMP_TYPES, type KmpSide, LENGTH_OFFSET, TYPE_OFFSET, writeKmpHeader } from './kmp-message.ts';
import { RECORD_HEADER_LENGTH } from './oncp-record.ts';

/** Of a record: more than one message of one packet, as appliances send them. */
const MAX_PAYLOAD = 16_384;

const NOTHING = new Uint8Array(0);
const DATA = Uint8Array.of(KMP_TYPES.data >>> 8, KMP_TYPES.data & 0xff);

/** @param received the beginning of a record that has come */
export function streamTraffic(side: KmpSide, tunnelMtu: number, received: Uint8Array): StreamTraffic {
  const bytes = new Uint8Array(RECORD_HEADER_LENGTH + KMP_HEADER_LENGTH);
  writeKmpHeader(bytes, RECORD_HEADER_LENGTH, side, KMP_TYPES.data, 0);
  return {
    record: { kind: 'tls-stream' },
    framing: {
      frame: {
        bytes,
        lengths: [
          { offset: 0, width: 2, add: KMP_HEADER_LENGTH, isLittleEndian: true },
          { offset: RECORD_HEADER_LENGTH + LENGTH_OFFSET, width: 2, add: 0 },
        ],
        unread: [{ offset: RECORD_HEADER_LENGTH + CONSTANT_OFFSET, length: LENGTH_OFFSET - CONSTANT_OFFSET }],
      },
      sent: { ipv4: NOTHING },
      isData: { offset: RECORD_HEADER_LENGTH + TYPE_OFFSET, values: [{ bytes: DATA, family: 4 }] },
      repeatedFrom: RECORD_HEADER_LENGTH,
      holdsSeveral: true,
    },
    maxPayload: MAX_PAYLOAD,
    tunnelMtu,
    received,
  };
}
