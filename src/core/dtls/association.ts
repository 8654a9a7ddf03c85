/**
 * One DTLS association: records in and out, and the handshake that makes their keys. Client and server differ only in the role they hand in.
 *
 * Read first: RFC 6347 §4.1; `record.ts` for the bytes; `handshake-machine.ts` for what happens before data flows; `state.ts` for the states.
 *
 * A packet's way out (`send`): state → room in the burst → {@link RecordWriter} numbers and seals straight into it → commit.
 * A packet's way in (`receive`): frame → version and epoch → replay window → open in place → mark the number → by content type: data goes to
 * `out.packet`, without a copy. A record that fails a step is counted by the step and forgotten: on UDP bad records are weather.
 *
 * Who can end it: the owner, the peer by an authentic alert, and, while it shakes hands, anyone who can send us datagrams. Once there are keys to open
 * records with, nothing in the clear is even looked at.
 *
 * With a packet engine (`handOver`) records are sealed and opened elsewhere, and content type and plaintext travel as they are:
 *
 *   without   commit: record              receive: datagram of records
 *   with      commit: [type][plaintext]   receive: [type][plaintext] of one opened record that is not data
 */
import { MisuseError, PeerRefusedError } from '../errors.ts';
import { ALERTS, type AlertName, alertName, decodeAlert, encodeAlert } from '../tls-messages/alerts.ts';
import { type Layer, type LayerSink, MAX_RESERVE } from '../tunnel/layer.ts';
import type { Millis, Packet } from '../tunnel/packet.ts';
import { REPLAY_WINDOW } from '../tunnel/replay-window.ts';
import type { PacketFraming, TrafficDescription } from '../tunnel/traffic.ts';
import { type DtlsOptions, machineOptions } from './association-options.ts';
import { DIALECTS } from './dialect.ts';
import { HandshakeMachine } from './handshake-machine.ts';
import type { HandshakeRole } from './handshake-role.ts';
import { CONTENT_TYPES, type Epoch } from './record.ts';
import { RecordReader } from './record-reader.ts';
import { RecordWriter } from './record-writer.ts';
import { type CounterStore, type DtlsCounters, type DtlsSession, type DtlsState, type MovedAssociation, newCounters } from './state.ts';
import type { SuiteRecordProtection } from './suite-protection.ts';

/** What the engine is told besides keys. */
export interface HandOverOptions {
  readonly framing: PacketFraming;
  /** Largest inner IP packet in bytes. */
  readonly tunnelMtu: number;
}

/** How far the engine got. */
export interface EngineProgress {
  /** The number of the next record to seal: one more than the highest that was used. */
  readonly nextToSeal: number;
  /** One more than the highest number of a record that was opened. What is below and did not come counts as lost. */
  readonly nextToOpen: number;
}

/** What {@link DtlsAssociation} goes on with that did not shake hands itself. */
export interface ProtectedDirections extends EngineProgress {
  readonly seal: SuiteRecordProtection;
  readonly open: SuiteRecordProtection;
}

export class DtlsAssociation implements Layer<DtlsState> {
  readonly #role: HandshakeRole;
  readonly #counters: CounterStore = newCounters();
  readonly #reader: RecordReader;
  readonly #writer: RecordWriter;
  readonly #handshake: HandshakeMachine;
  #state: DtlsState = { name: 'idle' };
  #isHandedOver = false;
  /** The largest packet that goes into one record; 0 until the association is up. */
  #maxPacket = 0;
  /** Lent to the sink for each packet. */
  readonly #packet: { buffer: Uint8Array; start: number; end: number } = { buffer: new Uint8Array(0), start: 0, end: 0 };

  constructor(role: HandshakeRole, options: DtlsOptions) {
    const dialect = DIALECTS[options.version];
    this.#role = role;
    this.#reader = new RecordReader(dialect, this.#counters);
    this.#writer = new RecordWriter(dialect.wireVersion);
    this.#handshake = new HandshakeMachine(role, dialect, this.#writer, this.#counters, machineOptions(options));
  }

  get state(): DtlsState {
    return this.#state;
  }

  get counters(): DtlsCounters {
    return this.#counters;
  }

  /** One datagram. It is opened in place: afterwards its bytes are of no use to the caller. */
  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    if (this.#isHandedOver) {
      this.#receiveOpened(bytes, now, out);
      return;
    }
    let at = 0;
    while (at < bytes.length && !this.#isOver()) {
      const end = this.#reader.endOf(bytes, at);
      if (end === undefined) return;
      if (this.#reader.open(bytes, at, end)) this.#receiveRecord(bytes, now, out);
      at = end;
    }
  }

  /** Sends one packet as one record. A packet that cannot be sent is counted, not an error. */
  send(packet: Packet, _now: Millis, out: LayerSink): void {
    const length = packet.end - packet.start;
    if (this.#state.name !== 'up' || this.#writer.isExhausted(1)) {
      this.#counters.notUp++;
    } else if (length > this.#maxPacket) {
      this.#counters.tooLarge++;
    } else {
      this.#emit(CONTENT_TYPES.applicationData, packet.buffer.subarray(packet.start, packet.end), out);
    }
  }

  nextTimeout(): Millis | undefined {
    if (this.#state.name === 'idle') return this.#role.side === 'client' ? 0 : undefined;
    return this.#state.name === 'handshaking' ? this.#handshake.nextTimeout() : undefined;
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    if (this.#state.name === 'handshaking') {
      this.#handshake.handleTimeout(now, out);
    } else if (this.#state.name === 'idle' && this.#role.side === 'client') {
      this.#handshake.start(now, out);
      this.#followHandshake(now, out);
    }
  }

  /** Says close_notify, if anything was said before. Safe to call twice. */
  close(_now: Millis, out: LayerSink): void {
    if (this.#isOver()) return;
    if (this.#state.name !== 'idle') this.#sendAlert('close_notify', out);
    this.#end({ name: 'closed', by: 'us' });
  }

  /**
   * Describes the traffic for a packet engine and hands it over: from now on the engine alone seals and opens, so that no number is used twice, and
   * this layer speaks to it in `[type][plaintext]`. Records numbered below `nextSequence` of the key to open with count as seen.
   *
   * Throws {@link MisuseError} unless the state is `up` and `confirmed`: before that the handshake may still have to be repeated, in records that
   * only this layer can number.
   */
  handOver(options: HandOverOptions): TrafficDescription {
    const { seal, open, layout } = this.#exportedKeys();
    this.#isHandedOver = true;
    return {
      ...{ record: layout, seal, open: [open] },
      replayWindow: REPLAY_WINDOW,
      framing: options.framing,
      tunnelMtu: options.tunnelMtu,
    };
  }

  /** Ends it here, without a word: it goes on where this is taken to (`moved-association.ts`). Throws {@link MisuseError} as {@link handOver} does. */
  moveAway(): MovedAssociation {
    const { session, seal, open } = this.#exportedKeys();
    this.#end({ name: 'closed', by: 'us' });
    return { session: { ...session, suite: session.suite.id }, seal, open };
  }

  #exportedKeys() {
    const state = this.#state;
    if (state.name !== 'up' || !state.confirmed) throw new MisuseError('DTLS traffic can be handed over once the peer has our Finished.');
    if (this.#isHandedOver) throw new MisuseError('The DTLS traffic has been handed over already.');
    const seal = this.#writer.protection;
    const open = this.#reader.protection;
    if (seal === undefined || open === undefined) throw new MisuseError('DTLS traffic without keys.'); // not while it is up
    const epoch: Epoch = 1;
    return {
      ...{ session: state.session, layout: seal.layout },
      seal: { id: epoch, ...seal.exportKeys(), nextSequence: this.#writer.next(epoch) },
      open: { id: epoch, ...open.exportKeys(), nextSequence: this.#reader.next },
    };
  }

  /** Goes on where the association was left that had these keys. */
  protected goOn(session: DtlsSession, keys: ProtectedDirections): void {
    this.#writer.protect(keys.seal);
    this.#writer.skipTo(1, keys.nextToSeal);
    this.#reader.protect(keys.open);
    this.#reader.moveTo(keys.nextToOpen);
    this.#goUp(session);
    this.#confirm(session);
  }

  /**
   * Takes the traffic back after the engine has stopped. Throws {@link MisuseError} if it was not handed over, or if the engine went backwards: a
   * number that was used must not be used again.
   */
  takeBack(progress: EngineProgress): void {
    if (!this.#isHandedOver) throw new MisuseError('The DTLS traffic has not been handed over.');
    if (progress.nextToSeal < this.#writer.next(1) || progress.nextToOpen < this.#reader.next) {
      throw new MisuseError('The packet engine gave DTLS traffic back with numbers lower than it got.');
    }
    this.#isHandedOver = false;
    this.#writer.skipTo(1, progress.nextToSeal);
    this.#reader.moveTo(progress.nextToOpen);
  }

  // ---- incoming

  /** The record that the reader has just opened. */
  #receiveRecord(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    const { type, epoch, sequence, start, end } = this.#reader;
    if (epoch === 1) this.#receiveAuthentic(type, bytes, start, end, now, out);
    else this.#receivePlain(type, bytes.subarray(start, end), sequence, now, out);
  }

  /** From a packet engine: one opened record that it does not take for data. */
  #receiveOpened(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    if (this.#isOver()) return;
    if (bytes.length === 0) this.#counters.malformed++;
    else this.#receiveAuthentic(bytes[0] ?? 0, bytes, 1, bytes.length, now, out);
  }

  #receiveAuthentic(type: number, bytes: Uint8Array, start: number, end: number, now: Millis, out: LayerSink): void {
    if (type === CONTENT_TYPES.applicationData) this.#receiveData(bytes, start, end, out);
    else if (type === CONTENT_TYPES.alert) this.#receiveAlert(bytes.subarray(start, end), true, out);
    else if (type === CONTENT_TYPES.handshake) this.#receiveSealedHandshake(bytes.subarray(start, end), now, out);
    else this.#counters.unexpected++;
  }

  #receiveData(bytes: Uint8Array, start: number, end: number, out: LayerSink): void {
    if (this.#state.name !== 'up') {
      this.#counters.unexpected++; // before Finished nothing says that the handshake was not tampered with
      return;
    }
    if (!this.#state.confirmed) this.#confirm(this.#state.session);
    if (start === end) return; // legal, and nothing
    const packet = this.#packet;
    packet.buffer = bytes;
    packet.start = start;
    packet.end = end;
    out.packet(packet);
  }

  #receiveSealedHandshake(plaintext: Uint8Array, now: Millis, out: LayerSink): void {
    if (this.#state.name === 'handshaking') {
      this.#handshake.receiveRecord(plaintext, 1, 0, now, out);
      this.#followHandshake(now, out);
    } else if (this.#handshake.receiveLate(plaintext, now, out)) {
      this.#sendAlert('no_renegotiation', out);
    }
  }

  /** A record in the clear, before there are keys. */
  #receivePlain(type: number, plaintext: Uint8Array, sequence: number, now: Millis, out: LayerSink): void {
    const isIdle = this.#state.name === 'idle';
    if (type === CONTENT_TYPES.handshake && !(isIdle && this.#role.side === 'client')) {
      this.#handshake.receiveRecord(plaintext, 0, sequence, now, out);
      this.#followHandshake(now, out);
    } else if (type === CONTENT_TYPES.changeCipherSpec && !isIdle) {
      this.#handshake.receiveChangeCipherSpec(plaintext, now, out);
      this.#followHandshake(now, out);
    } else if (type === CONTENT_TYPES.alert && !isIdle) {
      this.#receiveAlert(plaintext, false, out);
    } else {
      this.#counters.unexpected++;
    }
  }

  /** Alerts in the clear are believed during a handshake: a server that refuses has no other way to say so, and a forger could break it anyway. */
  #receiveAlert(bytes: Uint8Array, isAuthentic: boolean, out: LayerSink): void {
    const alert = decodeAlert(bytes);
    if (alert === undefined) {
      this.#counters.malformed++;
    } else if (alert.isFatal || (alert.description === ALERTS.close_notify && !isAuthentic)) {
      const when = this.#state.name === 'handshaking' ? 'The DTLS handshake was refused' : 'The DTLS connection was ended';
      this.#end({ name: 'failed', error: new PeerRefusedError(`${when} by the peer: ${alertName(alert.description)}.`) });
    } else if (alert.description === ALERTS.close_notify) {
      this.#sendAlert('close_notify', out); // RFC 5246 §7.2.1
      this.#end({ name: 'closed', by: 'peer' });
    } else {
      this.#counters.unexpected++; // a warning changes nothing
    }
  }

  // ---- outgoing

  #emit(type: number, plaintext: Uint8Array, out: LayerSink): void {
    if (this.#isHandedOver) {
      const room = out.reserve(1 + plaintext.length);
      room[0] = type;
      room.set(plaintext, 1);
      out.commit(1 + plaintext.length);
      return;
    }
    const epoch = this.#writer.epoch;
    if (this.#writer.isExhausted(epoch)) return;
    const room = out.reserve(plaintext.length + this.#writer.overhead(epoch));
    out.commit(this.#writer.seal(epoch, type, plaintext, room));
    this.#counters.sealed += epoch;
  }

  #sendAlert(name: AlertName, out: LayerSink): void {
    const isFatal = name !== 'close_notify' && name !== 'no_renegotiation';
    this.#emit(CONTENT_TYPES.alert, encodeAlert({ isFatal, description: ALERTS[name] }), out);
  }

  // ---- state

  /** Takes over what the handshake has come to. */
  #followHandshake(now: Millis, out: LayerSink): void {
    const { outcome, readProtection } = this.#handshake;
    if (this.#state.name === 'idle' && outcome.type !== 'waiting') this.#state = { name: 'handshaking', since: now };
    if (outcome.type === 'failed') {
      this.#sendAlert(outcome.alert, out);
      this.#end({ name: 'failed', error: outcome.error });
    } else if (readProtection !== undefined && this.#reader.protection === undefined) {
      for (const record of this.#reader.protect(readProtection)) this.receive(record, now, out);
    } else if (outcome.type === 'done' && this.#state.name === 'handshaking') {
      this.#goUp(outcome.session);
    }
  }

  #goUp(session: DtlsSession): void {
    this.#role.wipe();
    this.#maxPacket = Math.min(session.maxPlaintext, MAX_RESERVE - this.#writer.overhead(1));
    this.#state = { name: 'up', session, confirmed: false };
    // The last Finished of a full handshake is the server's, that of a resumption the client's: who gets it knows that its own has arrived.
    const hasLastWord = session.isResumed === (this.#role.side === 'client');
    if (!hasLastWord) this.#confirm(session);
  }

  #confirm(session: DtlsSession): void {
    this.#state = { name: 'up', session, confirmed: true };
    this.#handshake.dropFlight();
  }

  #end(state: Extract<DtlsState, { readonly name: 'failed' | 'closed' }>): void {
    this.#state = state;
    this.#role.wipe();
    this.#reader.protection?.wipe();
    this.#writer.protection?.wipe();
  }

  #isOver(): boolean {
    return this.#state.name === 'failed' || this.#state.name === 'closed';
  }
}
