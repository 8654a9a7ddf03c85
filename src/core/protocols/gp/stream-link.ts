/**
 * The tunnel over TLS once it has begun, at either end: frames, and signs of life.
 *
 * Read first: spec "GlobalProtect", sections 9.4 and 9.5.
 *
 * Simple clients never answer a keepalive, so anything that comes counts; and who answers none of its own has nobody to answer for ever.
 */
import { NetworkError, SallyportError } from '../../errors.ts';
import { AnswerLimit } from '../../tunnel/answer-limit.ts';
import { isIpPacket } from '../../tunnel/inner-packet.ts';
import { Keepalive, PEER_DEAD } from '../../tunnel/keepalive.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import type { CloseReason, PathNotice } from '../../tunnel/machine.ts';
import { type Millis, type Packet, packetBytes } from '../../tunnel/packet.ts';
import { SourceFilter } from '../../tunnel/source-filter.ts';
import type { StreamTraffic } from '../../tunnel/traffic.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { FrameReader, MAX_PAYLOAD, streamTraffic, writeFrame, writeKeepalive } from './frame.ts';

/** Keepalives that are answered a second: who sends more than that need not read what comes back. */
const MAX_ANSWERS = 10;

export interface StreamLinkOptions {
  readonly dpd: Millis;
  /** Where the peer's packets may come from. Default: from anywhere. */
  readonly innerSources?: readonly Cidr[];
}

export class StreamLink {
  /** Why it is over. */
  ended: CloseReason | undefined;
  readonly #reader = new FrameReader();
  readonly #keepalive: Keepalive;
  readonly #innerSources: readonly Cidr[] | undefined;
  readonly #filter: SourceFilter | undefined;
  readonly #answers = new AnswerLimit(MAX_ANSWERS, 1000);
  /** When we have asked: whatever comes next answers. */
  #askedAt: Millis | undefined;

  constructor({ dpd, innerSources }: StreamLinkOptions, now: Millis) {
    this.#keepalive = new Keepalive({ dpd }, now);
    this.#innerSources = innerSources;
    this.#filter = innerSources && new SourceFilter(innerSources);
  }

  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    if (bytes.length === 0) return;
    this.#keepalive.heard(now);
    for (const payload of this.#cut(bytes)) {
      if (payload.length > 0) this.#deliver(payload, out);
      else if (this.#askedAt === undefined && this.#answers.allows(now)) writeKeepalive(out);
      this.#askedAt = undefined;
    }
  }

  /** Gives the stream to the packet engine: frames without a packet still come to {@link receive}. */
  handOver(tunnelMtu: number): StreamTraffic {
    const innerSources = this.#innerSources;
    return { ...streamTraffic(tunnelMtu, this.#reader.takePartial()), ...(innerSources !== undefined && { innerSources }) };
  }

  notice(notice: PathNotice): void {
    if (notice.type !== 'carried') return;
    const { heardAt, sentAt } = notice;
    this.#keepalive.heard(heardAt);
    this.#keepalive.sent(sentAt);
    if (this.#askedAt !== undefined && heardAt >= this.#askedAt) this.#askedAt = undefined;
  }

  send(packet: Packet, now: Millis, out: LayerSink): void {
    if (packet.end - packet.start > MAX_PAYLOAD) return;
    this.#keepalive.sent(now);
    writeFrame(packetBytes(packet), out);
  }

  nextTimeout(): Millis | undefined {
    return this.#keepalive.nextTimeout();
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    const due = this.nextTimeout();
    if (due === undefined || now < due) return;
    const action = this.#keepalive.handleTimeout(now);
    if (action === 'dead') {
      const error = new NetworkError('The other side no longer answers.', { code: PEER_DEAD });
      this.ended = { kind: 'path-lost', message: error.message, error };
    } else if (action === 'send-dpd') {
      this.#askedAt = now;
      writeKeepalive(out);
    }
  }

  #cut(bytes: Uint8Array): readonly Uint8Array[] {
    try {
      return this.#reader.push(bytes);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.ended = { kind: 'misbehaved', message: error.message, error };
      return [];
    }
  }

  #deliver(payload: Uint8Array, out: LayerSink): void {
    const packet: Packet = { buffer: payload, start: 0, end: payload.length };
    if (isIpPacket(payload, 0, payload.length) && this.#filter?.allows(packet) !== false) out.packet(packet);
  }
}
