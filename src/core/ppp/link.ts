/**
 * A PPP link: from the first LCP request to IP packets, over whatever carries its frames. Either end.
 *
 * Read first: spec "PPP", section 7; `encapsulation.ts` for the frames, `automaton.ts` for how anything is agreed on.
 *
 *   receive ─► frames ─┬─ IP ─────────► out.packet, once the link is up
 *                      ├─ LCP ────────► automaton, echoes, rejects
 *                      ├─ IPCP, IP6CP ► automatons, once LCP is opened
 *                      └─ all others ─► Protocol-Reject
 */
import { NetworkError, SallyportError } from '../errors.ts';
import { AnswerLimit } from '../tunnel/answer-limit.ts';
import { isIpPacket } from '../tunnel/inner-packet.ts';
import { Keepalive, PEER_DEAD } from '../tunnel/keepalive.ts';
import type { Layer, LayerSink } from '../tunnel/layer.ts';
import type { CloseReason } from '../tunnel/machine.ts';
import type { Millis, Packet } from '../tunnel/packet.ts';
import { Automaton, Identifiers, type SendControl } from './automaton.ts';
import { CODES, type ControlPacket, decodeControlPacket, encodeControlPacket, isAnswered, LAST_NCP_CODE } from './control-packet.ts';
import { createDeframer } from './create-deframer.ts';
import type { PppDeframer } from './deframer.ts';
import { PPP_PROTOCOLS, pppHeaderLength, pppHeaders, pppProtocol } from './frame-header.ts';
import { FrameWriter } from './frame-writer.ts';
import { Ip6cp } from './ip6cp.ts';
import { type Ipcp, ipcpOf } from './ipcp.ts';
import { Lcp, MAGIC_LENGTH } from './lcp.ts';
import * as limits from './limits.ts';
import { endedByPeer, messageIn, NO_NETWORK, timedOut, unusable } from './link-ending.ts';
import {
  newPppCounters,
  type PppCounterStore,
  type PppCounters,
  type PppLinkOptions,
  type PppState,
  type PppTerms,
  type PppTraffic,
} from './link-options.ts';
import { NetworkControl } from './network-control.ts';
import { ProtocolRejects } from './protocol-rejects.ts';

export class PppLink implements Layer<PppState> {
  readonly #options: PppLinkOptions;
  readonly #counters: PppCounterStore = newPppCounters();
  readonly #deframer: PppDeframer;
  readonly #writer: FrameWriter;
  readonly #lcp: Lcp;
  readonly #control: Automaton;
  /** From the start on. */
  #ipcp: NetworkControl<Ipcp> | undefined;
  #ip6cp: NetworkControl<Ip6cp> | undefined;
  readonly #identifiers: Identifiers;
  readonly #answers = new AnswerLimit(limits.MAX_ANSWERS_PER_SECOND, 1000);
  readonly #messages = new AnswerLimit(limits.MAX_MESSAGES, limits.MESSAGE_PERIOD);
  readonly #restarts = new AnswerLimit(limits.MAX_RESTARTS, limits.RESTART_PERIOD);
  readonly #rejects = new ProtocolRejects();
  readonly #packet: { buffer: Uint8Array; start: number; end: number } = { buffer: new Uint8Array(0), start: 0, end: 0 };
  #state: PppState = { name: 'new' };
  /** LCP has been opened, and its network protocols were started. */
  #isLcpUp = false;
  /** From LCP's being opened on. */
  #keepalive: Keepalive | undefined;
  /** Why LCP is closing. */
  #ending: CloseReason | undefined;

  constructor(options: PppLinkOptions) {
    const { encapsulation, network, crypto, carrier } = options;
    this.#options = options;
    this.#deframer = createDeframer(encapsulation);
    this.#writer = new FrameWriter(encapsulation);
    this.#identifiers = new Identifiers();
    this.#lcp = new Lcp({
      ...(options.sendsMru !== false && { mru: options.mtu }),
      asksAccm: encapsulation.asksAccm,
      asksCompression: encapsulation.asksCompression,
      decidesMtu: network.role === 'gateway',
      randomBytes: (length) => crypto.randomBytes(length),
    });
    this.#control = new Automaton(this.#lcp, this.#identifiers, limits.TERMINATE_TRIES[carrier]);
  }

  get state(): PppState {
    return this.#state;
  }

  get counters(): PppCounters {
    return { ...this.#counters, malformed: this.#counters.malformed + this.#deframer.malformed };
  }

  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    if (this.#state.name === 'new') this.#start(now, out);
    if (this.#state.name === 'closed') return;
    try {
      this.#deframer.push(bytes);
      while (this.#deframer.next()) {
        this.#frame(now, out);
        if (this.#isOver()) return;
      }
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      // What else is in a datagram is dropped, and counted, below: the next one is another matter.
      if (this.#options.carrier === 'stream') this.#end({ kind: 'misbehaved', message: error.message, error });
    }
    if (this.#options.carrier === 'datagram') this.#deframer.endDatagram();
  }

  /** Sends one IP packet. One that cannot be sent is counted, not an error. */
  send(packet: Packet, _now: Millis, out: LayerSink): void {
    const family = (packet.buffer[packet.start] ?? 0) >>> 4 === 4 ? 4 : 6;
    const state = this.#state;
    if (state.name !== 'up' || this.#of(family)?.isOpened !== true) this.#counters.notUp++;
    else if (packet.end - packet.start > state.terms.mtu) this.#counters.tooLarge++;
    else if (!this.#writer.writePacket(packet, family, out)) this.#counters.tooLarge++;
  }

  nextTimeout(): Millis | undefined {
    const state = this.#state;
    if (state.name === 'new') return 0;
    if (state.name === 'closed') return undefined;
    const due = Math.min(
      this.#control.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#ipcp?.automaton.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#ip6cp?.automaton.nextTimeout() ?? Number.POSITIVE_INFINITY,
      (this.#isLcpUp ? this.#keepalive?.nextTimeout() : undefined) ?? Number.POSITIVE_INFINITY,
      state.name === 'establishing' ? state.since + limits.NETWORK_LIMIT : Number.POSITIVE_INFINITY,
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    const state = this.#state;
    if (state.name === 'new') this.#start(now, out);
    if (state.name === 'new' || state.name === 'closed') return;
    const send = this.#sender(out);
    this.#control.handleTimeout(now, send);
    this.#ipcp?.automaton.handleTimeout(now, send);
    this.#ip6cp?.automaton.handleTimeout(now, send);
    if (state.name === 'establishing' && now >= state.since + limits.NETWORK_LIMIT) this.#end(timedOut());
    if (this.#isLcpUp) this.#keepAlive(now, send);
    this.#settle(now, out);
  }

  /** Ends the link by a Terminate-Request; {@link state} is `closed` once it is answered, or has waited long enough. @param text for the peer's people */
  close(now: Millis, out: LayerSink, text = ''): void {
    this.#closeBecause({ kind: 'log-off', message: 'The link was closed.' }, text, now, out);
  }

  /**
   * Describes the link's data for a packet engine, with what has come of the next frame: from then on {@link receive} is given what is no data. To be
   * said again after each negotiation. Undefined: it is not up, or its frames are of a kind that no engine cuts.
   */
  handOver(): PppTraffic | undefined {
    const { framing } = this.#options.encapsulation;
    if (this.#state.name !== 'up' || framing.kind !== 'prefixed') return undefined;
    const families = this.#networks().filter(({ isOpened }) => isOpened);
    const sent = families.map(({ family }) => [family === 4 ? 'ipv4' : 'ipv6', this.#writer.dataHeader(family)] as const);
    const values = families.flatMap(({ family }) =>
      pppHeaders(family === 4 ? PPP_PROTOCOLS.ipv4 : PPP_PROTOCOLS.ipv6).map((bytes) => ({ bytes, family })),
    );
    return {
      framing: { frame: framing.prefix, sent: Object.fromEntries(sent), isData: { offset: framing.prefix.bytes.length, values } },
      received: this.#deframer.takePartial(),
    };
  }

  /** What a packet engine did with the link meanwhile. */
  carried(heardAt: Millis, sentAt: Millis): void {
    this.#keepalive?.heard(heardAt);
    this.#keepalive?.sent(sentAt);
  }

  // ---- what comes in

  #frame(now: Millis, out: LayerSink): void {
    const { bytes, start, end } = this.#deframer;
    const header = pppHeaderLength(bytes, start, end);
    if (header === 0) {
      this.#counters.malformed++;
      return;
    }
    this.#keepalive?.heard(now);
    const protocol = pppProtocol(bytes, start, header);
    if (protocol === PPP_PROTOCOLS.ipv4) this.#deliver(4, bytes, start + header, end, out);
    else if (protocol === PPP_PROTOCOLS.ipv6) this.#deliver(6, bytes, start + header, end, out);
    else this.#receiveControl(protocol, bytes.subarray(start + header, end), now, out);
  }

  #deliver(family: 4 | 6, bytes: Uint8Array, start: number, end: number, out: LayerSink): void {
    if (this.#state.name !== 'up' || this.#of(family)?.isOpened !== true) {
      this.#counters.notUp++;
      return;
    }
    const packet = this.#packet;
    packet.buffer = bytes;
    packet.start = start;
    packet.end = end;
    const isWhole = (bytes[start] ?? 0) >>> 4 === family && isIpPacket(bytes, start, end);
    if (!isWhole || this.#options.admits?.(packet) === false) {
      this.#counters.refused++;
      return;
    }
    this.#counters.packets++;
    out.packet(packet);
  }

  #receiveControl(protocol: number, payload: Uint8Array, now: Millis, out: LayerSink): void {
    const control = this.#automatonOf(protocol);
    if (control === undefined) {
      // RFC 1661 §5.7: before LCP is opened, what is unknown is dropped.
      const data = this.#isLcpUp ? this.#rejects.reject(protocol, payload, now) : undefined;
      if (data !== undefined) this.#sendLcp(CODES.protocolReject, data, out);
      return;
    }
    const packet = payload.length <= limits.MAX_CONTROL_PACKET ? decodeControlPacket(payload) : undefined;
    if (packet === undefined) {
      this.#counters.malformed++;
    } else if (isAnswered(packet.code) && !this.#answers.allows(now)) {
      this.#counters.flooded++;
    } else if (protocol === PPP_PROTOCOLS.lcp && packet.code >= CODES.codeReject) {
      this.#receiveLcpExtra(packet, payload, now, out);
    } else if (packet.code > LAST_NCP_CODE || packet.code === 0) {
      this.#rejectCode(protocol, payload, out);
    } else if (packet.code !== CODES.codeReject && (protocol === PPP_PROTOCOLS.lcp || this.#isLcpUp)) {
      if (!control.receive(packet, now, this.#sender(out))) this.#counters.malformed++;
      if (protocol === PPP_PROTOCOLS.lcp && packet.code === CODES.terminateRequest) this.#end(this.#ending ?? endedByPeer(packet.data));
    }
    this.#settle(now, out);
  }

  /** What only LCP has. */
  #receiveLcpExtra(packet: ControlPacket, payload: Uint8Array, now: Millis, out: LayerSink): void {
    const { code, id, data } = packet;
    switch (code) {
      case CODES.codeReject:
        if ((data[0] ?? 0) <= LAST_NCP_CODE) this.#end(unusable('The other side does not know the basics of PPP (Code-Reject).'));
        break;
      case CODES.protocolReject:
        this.#protocolRejected(data, now, out);
        break;
      case CODES.echoRequest:
        if (this.#isLcpUp && data.length >= MAGIC_LENGTH) {
          const answer = Uint8Array.of(...this.#lcp.magic, ...data.subarray(MAGIC_LENGTH));
          this.#sender(out)(PPP_PROTOCOLS.lcp, { code: CODES.echoReply, id, data: answer });
        }
        break;
      case CODES.echoReply:
      case CODES.discardRequest:
        break; // that it came is all it says
      case CODES.identification:
      case CODES.timeRemaining:
        if (this.#messages.allows(now)) this.#options.log.log('info', 'ppp message', { text: messageIn(packet) });
        break;
      default:
        this.#rejectCode(PPP_PROTOCOLS.lcp, payload, out);
    }
  }

  #protocolRejected(data: Uint8Array, now: Millis, out: LayerSink): void {
    const protocol = ((data[0] ?? 0) << 8) | (data[1] ?? 0);
    if (protocol === PPP_PROTOCOLS.lcp) this.#end(unusable('The other side rejects LCP.'));
    for (const control of this.#networks()) {
      const isData = protocol === (control.family === 4 ? PPP_PROTOCOLS.ipv4 : PPP_PROTOCOLS.ipv6);
      if (protocol !== control.negotiation.protocol && !isData) continue;
      if (control.turnOff('The other side does not speak it.')) this.#familyOff(control, false, now, out);
    }
  }

  // ---- what goes out

  #sender(out: LayerSink): SendControl {
    return (protocol, packet) => this.#writer.writeControl(protocol, encodeControlPacket(packet), out);
  }

  #sendLcp(code: number, data: Uint8Array, out: LayerSink): void {
    this.#sender(out)(PPP_PROTOCOLS.lcp, { code, id: this.#identifiers.next(), data });
  }

  #rejectCode(protocol: number, payload: Uint8Array, out: LayerSink): void {
    const data = payload.subarray(0, limits.MAX_REJECTED_BYTES);
    this.#sender(out)(protocol, { code: CODES.codeReject, id: this.#identifiers.next(), data });
  }

  #keepAlive(now: Millis, send: SendControl): void {
    const action = this.#keepalive?.handleTimeout(now);
    if (action === 'dead') {
      const error = new NetworkError('The other side no longer answers (LCP echo).', { code: PEER_DEAD });
      this.#end({ kind: 'path-lost', message: error.message, error });
    } else if (action === 'send-dpd') {
      send(PPP_PROTOCOLS.lcp, { code: CODES.echoRequest, id: this.#identifiers.next(), data: this.#lcp.magic });
    }
  }

  // ---- state

  #start(now: Millis, out: LayerSink): void {
    const { network } = this.#options;
    // As the peers known do it (spec 5.4): clients number each protocol for itself, gateways all together.
    const identifiers = () => (network.role === 'gateway' ? this.#identifiers : new Identifiers());
    const ipcp = ipcpOf(network);
    this.#ipcp = ipcp && new NetworkControl(4, ipcp, identifiers());
    this.#ip6cp = network.ipv6 && new NetworkControl(6, new Ip6cp(this.#options), identifiers());
    this.#state = { name: 'establishing', since: now };
    this.#control.start(now, this.#sender(out));
  }

  /** Follows the automatons after each step. */
  #settle(now: Millis, out: LayerSink): void {
    if (this.#isOver()) return;
    if (this.#control.state === 'stopped') {
      this.#end(this.#ending ?? (this.#control.why === undefined ? timedOut() : unusable(this.#control.why)));
      return;
    }
    if (this.#control.state === 'closing') return;
    const isOpened = this.#control.state === 'opened';
    if (this.#isLcpUp && !isOpened) this.#lcpDown(now);
    if (!this.#isLcpUp && isOpened) this.#lcpUp(now, out);
    for (const control of this.#networks()) if (control.settle()) this.#familyOff(control, true, now, out);
    if (this.#control.state === 'opened' && !this.#isOver()) this.#settleNetwork(now);
  }

  #lcpUp(now: Millis, out: LayerSink): void {
    const { dpd } = this.#options;
    this.#isLcpUp = true;
    this.#keepalive ??= new Keepalive(dpd === undefined ? {} : { dpd }, now);
    this.#writer.apply(this.#lcp);
    for (const control of this.#networks()) control.start(now, this.#sender(out));
  }

  #lcpDown(now: Millis): void {
    this.#isLcpUp = false;
    this.#writer.apply(undefined);
    for (const control of this.#networks()) control.automaton.reset();
    this.#networkDown(now);
  }

  #settleNetwork(now: Millis): void {
    const wanted = this.#networks().filter(({ offBecause }) => offBecause === undefined);
    const isReady = wanted.length > 0 && wanted.every(({ isOpened }) => isOpened);
    if (isReady && this.#state.name === 'establishing') this.#state = { name: 'up', terms: this.#terms() };
    else if (!isReady && this.#state.name === 'up') this.#networkDown(now);
  }

  #networkDown(now: Millis): void {
    if (this.#state.name !== 'up') return;
    this.#state = { name: 'establishing', since: now };
    if (!this.#restarts.allows(now)) this.#end({ kind: 'misbehaved', message: 'The other side begins PPP anew without end.' });
  }

  /** `isRefused`: it was spoken about, and nothing came of it. Then a client whose address is known has lost what it came for. */
  #familyOff(control: NetworkControl, isRefused: boolean, now: Millis, out: LayerSink): void {
    const { network, log } = this.#options;
    const reason = control.offBecause ?? '';
    log.log('warn', 'ppp family off', { family: control.family, reason });
    const isLost = isRefused && network.role === 'client' && control.family === 4 && network.ipv4?.address !== undefined;
    const isLast = this.#networks().every(({ offBecause }) => offBecause !== undefined);
    if (isLost || isLast) this.#closeBecause(unusable(reason), NO_NETWORK, now, out);
  }

  #closeBecause(reason: CloseReason, text: string, now: Millis, out: LayerSink): void {
    if (this.#isOver()) return;
    this.#ending = reason;
    for (const control of this.#networks()) control.automaton.reset();
    this.#control.close(text, now, this.#sender(out));
    this.#state = { name: 'closing' };
    if (this.#control.state === 'stopped') this.#end(reason);
  }

  #end(reason: CloseReason): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed', reason };
    for (const control of this.#networks()) control.automaton.reset();
  }

  #isOver(): boolean {
    return this.#state.name === 'closed';
  }

  #terms(): PppTerms {
    return {
      mtu: Math.min(this.#options.mtu, this.#lcp.peerMru ?? limits.DEFAULT_MRU),
      ...(this.#ipcp?.isOpened === true && { ipv4: this.#ipcp.negotiation.terms }),
      ...(this.#ip6cp?.isOpened === true && { ipv6: this.#ip6cp.negotiation.terms }),
    };
  }

  #networks(): NetworkControl[] {
    return [this.#ipcp, this.#ip6cp].filter((control) => control !== undefined);
  }

  #of(family: 4 | 6): NetworkControl | undefined {
    return family === 4 ? this.#ipcp : this.#ip6cp;
  }

  /** Undefined: nobody here speaks this protocol. */
  #automatonOf(protocol: number): Automaton | undefined {
    if (protocol === PPP_PROTOCOLS.lcp) return this.#control;
    const control = this.#networks().find(({ negotiation }) => negotiation.protocol === protocol);
    return control?.offBecause === undefined ? control?.automaton : undefined;
  }
}
