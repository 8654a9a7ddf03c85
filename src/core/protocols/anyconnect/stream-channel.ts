/**
 * The stream channel of an AnyConnect tunnel: CSTP frames on the TLS connection that answered CONNECT.
 *
 * Read first: spec "AnyConnect", sections 5 and 9.
 *
 *   receive ─► frames ─┬─ data, compressed ─► out.packet
 *                      ├─ DPD request ──────► DPD response, with the request's payload
 *                      └─ disconnect, terminate, not a frame ─► `ended`
 */
import type { PacketCompressor } from '../../compress/compressor.ts';
import { SallyportError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { isIpPacket } from '../../tunnel/inner-packet.ts';
import type { Keepalive } from '../../tunnel/keepalive.ts';
import { type LayerSink, MAX_RESERVE } from '../../tunnel/layer.ts';
import type { CloseReason } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { packetBytes } from '../../tunnel/packet.ts';
import type { StreamTraffic } from '../../tunnel/traffic.ts';
import { copyOf } from '../../wire/copy.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import {
  BYE_REASON_CODE,
  CSTP_HEADER_LENGTH,
  CSTP_LENGTH_FIELD,
  CSTP_TYPE_OFFSET,
  CSTP_TYPES,
  CstpDeframer,
  MAX_CSTP_PAYLOAD,
  sendCstpFrame,
  writeCstpHeader,
} from './cstp-frame.ts';

export interface StreamChannelOptions {
  readonly keepalive: Keepalive;
  readonly compressor: PacketCompressor | undefined;
  readonly log: Logger;
  /** Which of the peer's packets come up. Default: all. */
  readonly admits?: (packet: Packet) => boolean;
  /** What the peer means by a frame of type disconnect or terminate; undefined: nothing. Default: what a gateway means by it. */
  readonly meaningOfEnd?: (type: number, payload: Uint8Array) => CloseReason | undefined;
}

const NO_BYTES = new Uint8Array(0);

/** What fits into one frame that is one TLS record. */
const MAX_SENT_PAYLOAD = MAX_RESERVE - CSTP_HEADER_LENGTH;

/** Characters of a gateway's reason that are shown. */
const MAX_REASON_LENGTH = 1000;

export class StreamChannel {
  readonly keepalive: Keepalive;
  readonly compressor: PacketCompressor | undefined;
  readonly #log: Logger;
  readonly #admits: (packet: Packet) => boolean;
  readonly #meaningOfEnd: (type: number, payload: Uint8Array) => CloseReason | undefined;
  #packets = 0;
  readonly #deframer = new CstpDeframer();
  readonly #packet: { buffer: Uint8Array; start: number; end: number } = { buffer: NO_BYTES, start: 0, end: 0 };
  #ended: CloseReason | undefined;
  /** Frames that held no IP packet or did not decompress, and packets that no frame can hold. */
  dropped = 0;

  constructor(options: StreamChannelOptions) {
    this.keepalive = options.keepalive;
    this.compressor = options.compressor;
    this.#log = options.log;
    this.#admits = options.admits ?? (() => true);
    this.#meaningOfEnd = options.meaningOfEnd ?? ((type, payload) => endedByGateway(type, payload, options.log));
  }

  /** Packets that came, admitted or not. */
  get packets(): number {
    return this.#packets;
  }

  /** Why the peer, or its bytes, ended the session; undefined while it goes on. */
  get ended(): CloseReason | undefined {
    return this.#ended;
  }

  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    if (this.#ended !== undefined || bytes.length === 0) return;
    this.keepalive.heard(now);
    try {
      this.#deframer.push(bytes);
      while (this.#ended === undefined && this.#deframer.next()) this.#frame(now, out);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#ended = { kind: 'misbehaved', message: 'Unknown packet received', error };
    }
  }

  send(packet: Packet, now: Millis, out: LayerSink): void {
    const length = packet.end - packet.start;
    if (length > MAX_SENT_PAYLOAD) {
      this.dropped++;
      return;
    }
    const compressed = this.compressor?.compress(packetBytes(packet));
    if (compressed === undefined) {
      const room = out.reserve(CSTP_HEADER_LENGTH + length);
      writeCstpHeader(room, 0, CSTP_TYPES.data, length);
      room.set(packetBytes(packet), CSTP_HEADER_LENGTH);
      out.commit(CSTP_HEADER_LENGTH + length);
    } else {
      sendCstpFrame(out, CSTP_TYPES.compressed, compressed);
    }
    this.keepalive.sent(now);
  }

  /** What the packet engine did meanwhile. */
  carried(heardAt: Millis, sentAt: Millis): void {
    this.keepalive.heard(heardAt);
    this.keepalive.sent(sentAt);
  }

  /** Gives the stream to the packet engine: frames that are not data still come to {@link receive}. @param innerSources as in {@link StreamTraffic} */
  handOver(innerSources: readonly Cidr[]): StreamTraffic {
    return { ...streamTraffic(this.#deframer.takePartial()), innerSources };
  }

  /** Sends a probe or a sign of life, as {@link Keepalive} says; the other actions are the owner's. */
  sendKeepalive(action: 'send-dpd' | 'send-keepalive', out: LayerSink): void {
    sendCstpFrame(out, action === 'send-dpd' ? CSTP_TYPES.dpdRequest : CSTP_TYPES.keepalive, NO_BYTES);
  }

  /** Ends the session at the gateway, which lets the cookie die. */
  sayGoodbye(reason: string, out: LayerSink): void {
    sendCstpFrame(out, CSTP_TYPES.disconnect, Uint8Array.of(BYE_REASON_CODE, ...utf8(reason)));
  }

  #frame(now: Millis, out: LayerSink): void {
    const { type, bytes, start, end } = this.#deframer;
    switch (type) {
      case CSTP_TYPES.data:
        this.#deliver(bytes, start, end, out);
        break;
      case CSTP_TYPES.compressed:
        this.#decompress(bytes.subarray(start, end), out);
        break;
      case CSTP_TYPES.dpdRequest:
        this.#answerDpd(bytes.subarray(start, end), out);
        this.keepalive.sent(now);
        break;
      case CSTP_TYPES.dpdResponse:
      case CSTP_TYPES.keepalive:
        break; // that it came is all it says
      case CSTP_TYPES.disconnect:
      case CSTP_TYPES.terminate:
        this.#ended = this.#meaningOfEnd(type, bytes.subarray(start, end));
        break;
      default:
        this.#log.log('debug', 'cstp frame of unknown type', { type });
    }
  }

  /** With the request's payload; empty, as openconnect answers, where one record cannot hold that. */
  #answerDpd(payload: Uint8Array, out: LayerSink): void {
    sendCstpFrame(out, CSTP_TYPES.dpdResponse, payload.length <= MAX_SENT_PAYLOAD ? payload : NO_BYTES);
  }

  #deliver(bytes: Uint8Array, start: number, end: number, out: LayerSink): void {
    if (!isIpPacket(bytes, start, end)) {
      this.dropped++;
      return;
    }
    this.#packet.buffer = bytes;
    this.#packet.start = start;
    this.#packet.end = end;
    this.#pass(this.#packet, out);
  }

  #decompress(compressed: Uint8Array, out: LayerSink): void {
    const packet = this.compressor?.decompress(compressed);
    if (packet === undefined || !isIpPacket(packet.buffer, packet.start, packet.end)) {
      this.dropped++;
      return;
    }
    this.#pass(packet, out);
  }

  #pass(packet: Packet, out: LayerSink): void {
    this.#packets++;
    if (this.#admits(packet)) out.packet(packet);
    else this.dropped++;
  }
}

/** For the packet engine: frames of data without compression. @param received what has come of the frames */
export function streamTraffic(received: Uint8Array): StreamTraffic {
  const bytes = new Uint8Array(CSTP_HEADER_LENGTH);
  writeCstpHeader(bytes, 0, CSTP_TYPES.data, 0);
  return {
    record: { kind: 'tls-stream' },
    framing: {
      frame: { bytes, lengths: [{ ...CSTP_LENGTH_FIELD, add: 0 }] },
      sent: { ipv4: NO_BYTES, ipv6: NO_BYTES },
      isData: { offset: CSTP_TYPE_OFFSET, values: [{ bytes: Uint8Array.of(CSTP_TYPES.data) }] },
    },
    maxPayload: MAX_CSTP_PAYLOAD,
    tunnelMtu: MAX_SENT_PAYLOAD,
    received: copyOf(received),
  };
}

function endedByGateway(type: number, payload: Uint8Array, log: Logger): CloseReason {
  const isDisconnect = type === CSTP_TYPES.disconnect;
  const reason = isDisconnect ? reasonIn(payload) : '';
  log.log('warn', isDisconnect ? 'disconnected by gateway' : 'terminated by gateway', {
    reason,
    ...(reason !== '' && { code: payload[0] }),
  });
  return { kind: 'ended-by-peer', message: reason === '' ? 'The gateway ended the session.' : `The gateway ended the session: ${reason}` };
}

/** Spec 5.4: the first byte is a code, the rest a text, in which a dot stands for what does not print. */
function reasonIn(disconnect: Uint8Array): string {
  const text = fromUtf8(disconnect.subarray(1)).slice(0, MAX_REASON_LENGTH);
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '.');
}
