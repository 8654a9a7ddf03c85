/**
 * What is said of the tunnel by UDP, the "speed tunnel": by TLS that there is to be one, and in its association whose it is.
 *
 * Read first: spec "Array", sections 6.1 and 6.3.
 *
 *   TLS    control packet 4 ‖ client id ─►           ◄─ control packet 4 of 37 bytes: 00 00 ‖ port ‖ "DTLS SPEED TUNNEL"
 *   DTLS   client id ‖ "13" ─►                       ◄─ "200 OK"
 */
import { u16 } from '../../ip/byte-order.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { isClientId } from './client-id.ts';
import { CONTROL_TYPES, renderControl } from './control-packet.ts';

/** Observed: appliances break on the first packet that they have to send where this is missing (spec 6.3). */
const HELLO_END = '13';

const HELLO_LENGTH = 36 + HELLO_END.length;

const PORT_OFFSET = 18;
const KIND_OFFSET = 20;
/** The one kind that is spoken: the others have ciphers that protect nothing (spec 6.1). */
const KIND = utf8('DTLS SPEED TUNNEL');
const ANSWER_LENGTH = KIND_OFFSET + KIND.length;

const ACCEPTED = utf8('200 OK');

export function renderRequest(clientId: string): Uint8Array {
  return renderControl(CONTROL_TYPES.datagram, utf8(clientId));
}

export function renderAnswer(port: number): Uint8Array {
  return renderControl(CONTROL_TYPES.datagram, new ByteWriter().u16(0).u16(port).bytes(KIND).finish());
}

/** The UDP port; undefined: there is no tunnel by UDP, or none that is spoken. @param packet a whole control packet */
export function parseAnswer(packet: Uint8Array): number | undefined {
  const isDtls = packet.length === ANSWER_LENGTH && KIND.every((byte, i) => packet[KIND_OFFSET + i] === byte);
  const port = u16(packet, PORT_OFFSET);
  return isDtls && port > 0 ? port : undefined;
}

export function renderHello(clientId: string): Uint8Array {
  return utf8(clientId + HELLO_END);
}

/** The client's id; undefined: the record says something else. */
export function parseHello(record: Uint8Array): string | undefined {
  if (record.length !== HELLO_LENGTH) return undefined;
  const text = fromUtf8(record);
  const clientId = text.slice(0, -HELLO_END.length);
  return text.endsWith(HELLO_END) && isClientId(clientId) ? clientId : undefined;
}

export function renderAccept(): Uint8Array {
  return ACCEPTED.slice();
}

/** Whatever follows. */
export function isAccept(record: Uint8Array): boolean {
  return record.length >= ACCEPTED.length && ACCEPTED.every((byte, i) => record[i] === byte);
}
