/** Writes the segments of one connection: a template with all that does not change, and the rest by hand. */
import type { Endpoint } from '../../wire/ip-address.ts';
import { putU16, putU32 } from '../byte-order.ts';
import { checksumOf, fold, sumPseudoHeader, sumWords } from '../checksum.ts';
import { addressesOffset, ipHeaderLength, writeIpHeader } from '../ip-header.ts';
import { PROTOCOL } from '../ip-packet.ts';
import type { Sequence } from './sequence.ts';
import { TCP_HEADER } from './tcp-segment.ts';

export class SegmentWriter {
  readonly ipHeader: 20 | 40;
  readonly #template: Uint8Array;
  /** Of the template's IPv4 header without length and checksum. */
  readonly #headerSum: number;
  /** Of the pseudo-header without the length. */
  readonly #pseudoSum: number;

  constructor(local: Endpoint, remote: Endpoint) {
    const { family } = local.address;
    this.ipHeader = ipHeaderLength(family);
    const template = new Uint8Array(this.ipHeader + TCP_HEADER);
    writeIpHeader(template, 0, family, local.address.bytes, remote.address.bytes, PROTOCOL.tcp, 0);
    putU16(template, this.ipHeader, local.port);
    putU16(template, this.ipHeader + 2, remote.port);
    if (family === 4) {
      putU16(template, 2, 0);
      putU16(template, 10, 0);
    }
    this.#template = template;
    this.#headerSum = family === 4 ? sumWords(template, 0, 20) : 0;
    this.#pseudoSum = sumPseudoHeader(template, addressesOffset(family), local.address.bytes.length, PROTOCOL.tcp, 0);
  }

  /** The TCP header's place in a packet at `at`. */
  tcpAt(at: number): number {
    return at + this.ipHeader;
  }

  /**
   * Writes everything but options and data, which are in their places already, and the checksum over all.
   *
   * @param optionLength a multiple of 4
   * @param isUnfinished the checksum is left at the pseudo-header's sum, for the device to finish
   */
  write(
    buffer: Uint8Array,
    at: number,
    sequence: Sequence,
    acknowledgement: Sequence,
    flags: number,
    window: number,
    optionLength: number,
    dataLength: number,
    isUnfinished: boolean,
  ): void {
    const template = this.#template;
    for (let i = 0; i < template.length; i++) buffer[at + i] = template[i] as number;
    const tcpLength = TCP_HEADER + optionLength + dataLength;
    if (this.ipHeader === 20) {
      putU16(buffer, at + 2, 20 + tcpLength);
      putU16(buffer, at + 10, checksumOf(this.#headerSum + 20 + tcpLength));
    } else {
      putU16(buffer, at + 4, tcpLength);
    }
    const tcp = at + this.ipHeader;
    putU32(buffer, tcp + 4, sequence);
    putU32(buffer, tcp + 8, acknowledgement);
    buffer[tcp + 12] = ((TCP_HEADER + optionLength) / 4) << 4;
    buffer[tcp + 13] = flags;
    putU16(buffer, tcp + 14, window);
    putU32(buffer, tcp + 16, 0);
    const pseudo = this.#pseudoSum + tcpLength;
    putU16(buffer, tcp + 16, isUnfinished ? fold(pseudo) : checksumOf(sumWords(buffer, tcp, tcp + tcpLength, pseudo)));
  }
}
