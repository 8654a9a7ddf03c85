/** The answer to a segment that belongs to no connection (RFC 9293 §3.5.2, §3.10.7.1). */
import { putU16, putU32 } from '../byte-order.ts';
import { checksumOf, sumPseudoHeader, sumWords } from '../checksum.ts';
import { addressesOffset, ipHeaderLength, writeIpHeader } from '../ip-header.ts';
import { type IpPacket, PROTOCOL } from '../ip-packet.ts';
import { FLAG, TCP_HEADER, type TcpSegment } from './tcp-segment.ts';

/** A whole packet. The segment is no reset itself. */
export function resetFor(packet: IpPacket, segment: TcpSegment): Uint8Array {
  const { family } = packet;
  const header = ipHeaderLength(family);
  const bytes = new Uint8Array(header + TCP_HEADER);
  writeIpHeader(bytes, 0, family, packet.destination, packet.source, PROTOCOL.tcp, TCP_HEADER);
  putU16(bytes, header, segment.destinationPort);
  putU16(bytes, header + 2, segment.sourcePort);
  // It fits what it answers: the number that the peer expects, or none.
  const hasAck = segment.has(FLAG.ack);
  putU32(bytes, header + 4, hasAck ? segment.acknowledgement : 0);
  putU32(bytes, header + 8, hasAck ? 0 : segment.sequence + segment.length);
  bytes[header + 12] = (TCP_HEADER / 4) << 4;
  bytes[header + 13] = hasAck ? FLAG.rst : FLAG.rst | FLAG.ack;
  const pseudo = sumPseudoHeader(bytes, addressesOffset(family), packet.addressLength, PROTOCOL.tcp, TCP_HEADER);
  putU16(bytes, header + 16, checksumOf(sumWords(bytes, header, header + TCP_HEADER, pseudo)));
  return bytes;
}
