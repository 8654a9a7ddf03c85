/** Puts PPP frames into what carries them: one frame, one TLS record or datagram, always whole (spec "PPP", section 4.1). */
import { type LayerSink, MAX_RESERVE } from '../tunnel/layer.ts';
import type { Packet } from '../tunnel/packet.ts';
import type { FrameHeader } from '../tunnel/traffic.ts';
import type { Encapsulation } from './encapsulation.ts';
import { FULL_HEADER, type HeaderForm, PPP_PROTOCOLS, pppHeader } from './frame-header.ts';
import { FULL_ACCM, maxHdlcLength, writeHdlcFrame } from './hdlc.ts';
import type { Lcp } from './lcp.ts';

export class FrameWriter {
  readonly #encapsulation: Encapsulation;
  readonly #lcpHeader: Uint8Array;
  /** What is in force for all but LCP. */
  #form: HeaderForm = FULL_HEADER;
  #accm = FULL_ACCM;
  #ipv4Header: Uint8Array = pppHeader(PPP_PROTOCOLS.ipv4, FULL_HEADER);
  #ipv6Header: Uint8Array = pppHeader(PPP_PROTOCOLS.ipv6, FULL_HEADER);

  constructor(encapsulation: Encapsulation) {
    this.#encapsulation = encapsulation;
    const hasAddressControl = encapsulation.addressControl !== 'never';
    this.#lcpHeader = pppHeader(PPP_PROTOCOLS.lcp, { hasAddressControl, hasShortProtocol: false });
  }

  /** LCP is agreed on: frames take the forms that the peer asked for. Undefined: it no longer is. */
  apply(lcp: Lcp | undefined): void {
    const { addressControl } = this.#encapsulation;
    const isNegotiated = addressControl === 'negotiated';
    this.#form = {
      hasAddressControl: isNegotiated ? lcp?.peerTakesNoAddressControl !== true : addressControl === 'always',
      hasShortProtocol: isNegotiated && lcp?.peerTakesShortProtocol === true,
    };
    this.#accm = lcp?.peerAccm ?? FULL_ACCM;
    this.#ipv4Header = pppHeader(PPP_PROTOCOLS.ipv4, this.#form);
    this.#ipv6Header = pppHeader(PPP_PROTOCOLS.ipv6, this.#form);
  }

  /** What stands in front of each IP packet of a family. */
  dataHeader(family: 4 | 6): Uint8Array {
    return family === 4 ? this.#ipv4Header : this.#ipv6Header;
  }

  writeControl(protocol: number, payload: Uint8Array, out: LayerSink): void {
    if (protocol === PPP_PROTOCOLS.lcp) {
      this.#write(this.#lcpHeader, payload, 0, payload.length, FULL_ACCM, out);
      return;
    }
    // Peers that read records take one below eight bytes for the beginning of a frame (spec 2.5).
    const isRecord = this.#encapsulation.framing.kind === 'record';
    const form = { hasAddressControl: isRecord || this.#form.hasAddressControl, hasShortProtocol: false };
    this.#write(pppHeader(protocol, form), payload, 0, payload.length, this.#accm, out);
  }

  /** False: no frame can hold it. */
  writePacket(packet: Packet, family: 4 | 6, out: LayerSink): boolean {
    const header = this.dataHeader(family);
    if (this.#maxLength(header.length + packet.end - packet.start) > MAX_RESERVE) return false;
    this.#write(header, packet.buffer, packet.start, packet.end, this.#accm, out);
    return true;
  }

  #maxLength(length: number): number {
    const { framing } = this.#encapsulation;
    if (framing.kind === 'hdlc') return maxHdlcLength(length);
    return framing.kind === 'prefixed' ? framing.prefix.bytes.length + length : length;
  }

  #write(header: Uint8Array, bytes: Uint8Array, start: number, end: number, accm: number, out: LayerSink): void {
    const { framing } = this.#encapsulation;
    const length = header.length + end - start;
    const room = out.reserve(this.#maxLength(length));
    if (framing.kind === 'hdlc') {
      out.commit(writeHdlcFrame(room, header, bytes, start, end, accm));
      return;
    }
    const at = framing.kind === 'prefixed' ? writePrefix(room, framing.prefix, length) : 0;
    room.set(header, at);
    room.set(bytes.subarray(start, end), at + header.length);
    out.commit(at + length);
  }
}

function writePrefix(room: Uint8Array, { bytes, lengths }: FrameHeader, length: number): number {
  room.set(bytes);
  for (const { offset, width, add } of lengths) {
    for (let i = offset + width - 1, left = length + add; i >= offset; i--, left >>>= 8) room[i] = left;
  }
  return bytes.length;
}
