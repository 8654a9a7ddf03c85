/**
 * Packets for a tunnel that does not hold them: cut where they may be, else answered, so many a second. A gateway is the router in front of a link with an
 * MTU of its own (RFC 1191 §4, RFC 4443 §3.2).
 */
import { tooBig } from '../ip/too-big.ts';
import { AnswerLimit } from './answer-limit.ts';
import type { LayerSink } from './layer.ts';
import { type Millis, type Packet, packetBytes, packetOf } from './packet.ts';

/** Senders that are told of the tunnel's MTU, a second. */
const MAX_ERRORS = 100;

export class TooBigPackets {
  readonly #errors = new AnswerLimit(MAX_ERRORS, 1000);

  /** `send`: for what the packet is cut into. */
  handle(packet: Packet, mtu: number, now: Millis, out: LayerSink, send: (fragment: Packet) => void): void {
    const verdict = tooBig(packetBytes(packet), mtu);
    if (verdict.type === 'fragments') for (const fragment of verdict.packets) send(packetOf(fragment));
    else if (verdict.type === 'answer' && this.#errors.allows(now)) out.packet(packetOf(verdict.packet));
  }
}
