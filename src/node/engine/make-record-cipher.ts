/** The cipher that a layout wants: by OpenSSL by address, or by node:crypto where its symbols are missing. */
import type { RecordLayout, TrafficKey } from '../../core/tunnel/traffic.ts';
import type { Arena } from '../ffi/arena.ts';
import { type OpenSsl, OpenSslRecordCipher } from '../ffi/openssl.ts';
import type { CbcLanes } from './cbc-lanes.ts';
import { makeCbcMac } from './cbc-mac.ts';
import { CbcRoom } from './cbc-room.ts';
import { DtlsCbcCipher } from './dtls-cbc-cipher.ts';
import { EspCipher } from './esp-cipher.ts';
import { NodeRecordCipher } from './node-record-cipher.ts';
import type { RecordCipher } from './record-cipher.ts';

/** @param openssl undefined: node:crypto does it @param lanes where records of CBC may wait to be sealed together */
export function makeRecordCipher(
  openssl: OpenSsl | undefined,
  arena: Arena,
  layout: RecordLayout,
  direction: 'seal' | 'open',
  key: TrafficKey,
  lanes?: CbcLanes,
): RecordCipher {
  if (layout.kind === 'dtls-aead') {
    const { cipher } = layout;
    return openssl === undefined ? new NodeRecordCipher(arena, cipher, key) : new OpenSslRecordCipher(openssl, cipher, direction, key);
  }
  const { cipher, mac: hash } = layout;
  const cbcMac = makeCbcMac(openssl, arena, direction, { cipher, key: key.key, hash, mac: key.mac ?? new Uint8Array(0) });
  const room = CbcRoom.of(arena);
  const together = openssl?.cbcMac !== undefined && direction === 'seal' ? lanes : undefined;
  return layout.kind === 'esp'
    ? new EspCipher(arena, cbcMac, room, layout.mac, together)
    : new DtlsCbcCipher(arena, cbcMac, room, layout.mac, together);
}
