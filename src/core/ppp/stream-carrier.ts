/** PPP on a TLS stream, behind the vendor's request (client) or what the gateway has read of it. */
import { NetworkError } from '../errors.ts';
import { commitStream, type LayerSink } from '../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, PathStatus } from '../tunnel/machine.ts';
import type { Millis, Packet } from '../tunnel/packet.ts';
import type { StreamTraffic } from '../tunnel/traffic.ts';
import type { Cidr } from '../wire/ip-address.ts';
import type { CarrierState, PppCarrier } from './carrier.ts';
import { MAX_FRAME } from './limits.ts';
import type { PppLink } from './link.ts';
import type { StreamPrologue } from './prologue.ts';

/** How long a gateway may take to answer the request. */
const ANSWER_LIMIT: Millis = 60_000;

export interface StreamCarrierOptions {
  readonly path: Path;
  readonly facts: PathFacts;
  readonly link: PppLink;
  /** Absent: everything was said. */
  readonly prologue?: StreamPrologue;
  /** Where the peer's packets may come from. Default: from anywhere. */
  readonly innerSources?: readonly Cidr[];
}

export class StreamCarrier implements PppCarrier {
  readonly path: Path;
  readonly #link: PppLink;
  readonly #facts: PathFacts;
  readonly #innerSources: readonly Cidr[] | undefined;
  #prologue: StreamPrologue | undefined;
  #state: CarrierState = { name: 'opening' };
  #hasStarted = false;
  #answerDueAt: Millis = Number.POSITIVE_INFINITY;

  constructor({ path, facts, link, prologue, innerSources }: StreamCarrierOptions) {
    this.path = path;
    this.#link = link;
    this.#facts = facts;
    this.#innerSources = innerSources;
    this.#prologue = prologue;
  }

  get state(): CarrierState {
    return this.#state;
  }

  get status(): PathStatus {
    const { tls } = this.#facts;
    return { state: 'connected', ...(tls !== undefined && { cipherSuite: tls.cipherSuite }) };
  }

  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    const result = this.#prologue?.receive(bytes);
    switch (result?.type) {
      case 'waiting':
        return;
      case 'denied':
        this.#end(result.reason);
        return;
      case 'begun':
        this.#prologue = undefined;
        this.#state = { name: 'linking' };
        this.#link.receive(result.rest, now, out);
        break;
      case undefined:
        this.#link.receive(bytes, now, out);
        break;
      default:
        result satisfies never;
    }
    this.#follow();
  }

  send(packet: Packet, now: Millis, out: LayerSink): void {
    this.#link.send(packet, now, out);
  }

  notice(notice: PathNotice): void {
    if (notice.type === 'carried') this.#link.carried(notice.heardAt, notice.sentAt);
  }

  nextTimeout(): Millis | undefined {
    if (!this.#hasStarted) return 0;
    return this.#mayLink ? this.#link.nextTimeout() : this.#answerDueAt;
  }

  /** At first the request leaves, and where it may, PPP behind it. */
  handleTimeout(now: Millis, out: LayerSink): void {
    if (!this.#hasStarted) this.#start(now, out);
    if (this.#mayLink) this.#link.handleTimeout(now, out);
    else if (now >= this.#answerDueAt) this.#end(unanswered());
    this.#follow();
  }

  close(now: Millis, out: LayerSink, text?: string): void {
    this.#link.close(now, out, text);
    this.#follow();
  }

  handOver(): StreamTraffic | undefined {
    const state = this.#state;
    const traffic = this.#facts.engine && state.name === 'up' ? this.#link.handOver() : undefined;
    if (traffic === undefined || state.name !== 'up') return undefined;
    return {
      record: { kind: 'tls-stream' },
      ...{ framing: traffic.framing, received: traffic.received, maxPayload: MAX_FRAME, tunnelMtu: state.terms.mtu },
      ...(this.#innerSources !== undefined && { innerSources: this.#innerSources }),
    };
  }

  #start(now: Millis, out: LayerSink): void {
    this.#hasStarted = true;
    this.#answerDueAt = now + ANSWER_LIMIT;
    if (this.#prologue === undefined) this.#state = { name: 'linking' };
    else commitStream(out, this.#prologue.request);
  }

  /** Nothing of the vendor's is waited for. */
  get #mayLink(): boolean {
    return this.#prologue?.startsAtOnce !== false;
  }

  #end(reason: CloseReason): void {
    this.#state = { name: 'over', reason };
  }

  #follow(): void {
    const link = this.#link.state;
    if (this.#state.name === 'over') return;
    if (link.name === 'closed') this.#end(link.reason);
    else if (link.name === 'up' && (this.#state.name !== 'up' || this.#state.terms !== link.terms))
      this.#state = { name: 'up', terms: link.terms };
    else if (link.name !== 'up' && this.#prologue === undefined) this.#state = { name: 'linking' };
  }
}

function unanswered(): CloseReason {
  const error = new NetworkError(`The gateway did not answer the request for a tunnel within ${ANSWER_LIMIT / 1000} seconds.`);
  return { kind: 'path-lost', message: error.message, error };
}
