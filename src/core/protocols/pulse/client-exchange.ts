/**
 * A client's side of what is said before a tunnel: it answers all that it can by itself, and hands on what somebody must be asked.
 *
 * Read first: spec "Pulse", sections 4, 6 and 8.
 *
 *   version ─► information ─► identity ─► user agent [cookie] ─► questions … ─► cookie ─► success ─► configuration ─► end
 */
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import type { KeyBlock } from '../../esp/key-block.ts';
import type { Secret } from '../../secret.ts';
import { copyOf } from '../../wire/copy.ts';
import {
  type ClientInformation,
  checkVersionResponse,
  decodeAuth,
  encodeAuth,
  IDENTITY,
  renderClientInformation,
  VERSION_REQUEST,
} from './auth-payload.ts';
import { AVP_CODES, type Avp, decodeAvps, encodeAvps, textAvp, textOf } from './avp.ts';
import { type EspTerms, type PulseConfiguration, parseConfiguration } from './configuration.ts';
import { configurationKind } from './container.ts';
import { EAP_CODES, EAP_METHODS, type EapPacket } from './eap.ts';
import { encodeInner, InnerPackets, TtlsMessages } from './eap-ttls.ts';
import { decodeEspOffer } from './esp-configuration.ts';
import { decodeFatalError } from './fatal-error.ts';
import { IFT_KINDS, IftDeframer, IftWriter } from './ift-packet.ts';
import { type Question, questionOf } from './question.ts';
import { cookieValue, isCookieValue } from './session-cookie.ts';

/** Packets that are answered without asking anybody: three or four open a connection, and a gateway that wants ever more never reads them. */
const MAX_OWN_ANSWERS = 32;

export interface ExchangeSend {
  readonly type: 'send';
  readonly bytes: Uint8Array;
  /** It goes inside the TLS of EAP-TTLS. */
  readonly isInside: boolean;
}

export type ExchangeStep =
  | { readonly type: 'waiting' }
  | ExchangeSend
  /** TLS of an EAP-TTLS conversation has come, or is to begin: its answer, if only an empty one, is {@link ClientExchange.tlsAnswer}. */
  | { readonly type: 'tls'; readonly records: Uint8Array }
  /** The gateway goes on by EAP-TTLS, and whoever drives this has no TLS for it: nothing follows. */
  | { readonly type: 'tls-wanted' }
  /** To be answered by {@link ClientExchange.answer}. */
  | { readonly type: 'question'; readonly question: Question }
  | { readonly type: 'logged-in'; readonly cookie: string }
  /** Keys for ESP, to be answered if it is wanted. */
  | { readonly type: 'esp-offered'; readonly terms: EspTerms; readonly offer: KeyBlock }
  | { readonly type: 'configured'; readonly configuration: PulseConfiguration; readonly rest: Uint8Array };

export interface ExchangeOptions {
  readonly userAgent: string;
  readonly information: ClientInformation;
  /** Of a session that there is. */
  readonly cookie?: Secret;
  /** Whoever drives it has TLS for EAP-TTLS. Default: there is none. */
  readonly hasInnerTls?: boolean;
}

/** Every method throws what a parser throws, and {@link PeerRefusedError} for a gateway's "no". */
export class ClientExchange {
  readonly writer: IftWriter = new IftWriter();
  readonly #options: ExchangeOptions;
  readonly #deframer = new IftDeframer();
  #id = 0;
  #hasSaidWho = false;
  #ownAnswers = 0;
  #cookie = '';
  #configuration: PulseConfiguration | undefined;
  #ttlsId = 0;
  #isInside = false;
  /** What was last answered is but a part of a message: those have a limit of their own. */
  #isFragment = false;
  readonly #messages = new TtlsMessages();
  readonly #inner = new InnerPackets();

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  start(): Uint8Array {
    return this.writer.packet(IFT_KINDS.versionRequest, VERSION_REQUEST);
  }

  push(bytes: Uint8Array): void {
    this.#deframer.push(bytes);
  }

  next(): ExchangeStep {
    const packet = this.#inner.next();
    if (packet !== undefined) return this.#counted(this.#challenged(packet, true));
    while (this.#deframer.next()) {
      const step = this.#take(this.#deframer.kind, this.#deframer.payload);
      if (step !== undefined) return this.#counted(step);
    }
    return { type: 'waiting' };
  }

  answer(avps: readonly Avp[]): ExchangeSend {
    return this.#respond({ code: EAP_CODES.response, id: this.#id, method: EAP_METHODS.conversation, data: encodeAvps(avps) });
  }

  /** The TLS of EAP-TTLS is up: everything is said inside from now on, until the log-in is done (spec 7.3). */
  openInside(): ExchangeSend {
    this.#isInside = true;
    return this.#respond(IDENTITY_RESPONSE);
  }

  /** What came inside. */
  pushInside(bytes: Uint8Array): void {
    this.#inner.push(bytes);
  }

  /** @param records all that TLS has to say now, if anything */
  tlsAnswer(records: Uint8Array): Uint8Array {
    return this.#ttls(this.#messages.send(records));
  }

  #counted(step: ExchangeStep): ExchangeStep {
    if (step.type === 'send' && !this.#isFragment && ++this.#ownAnswers > MAX_OWN_ANSWERS) {
      throw new PeerMisbehavedError(`The gateway wanted more than ${MAX_OWN_ANSWERS} answers before a tunnel.`);
    }
    return step;
  }

  /** Undefined: nothing follows of it. */
  #take(kind: number, payload: Uint8Array): ExchangeStep | undefined {
    switch (kind) {
      case IFT_KINDS.versionResponse:
        checkVersionResponse(payload);
        return outside(this.writer.packet(IFT_KINDS.clientInformation, renderClientInformation(this.#options.information)));
      case IFT_KINDS.authChallenge:
        return this.#challenged(decodeAuth(payload));
      case IFT_KINDS.authSuccess:
        if (this.#cookie === '') throw new PeerMisbehavedError('The gateway ended the log-in without a cookie.');
        return { type: 'logged-in', cookie: this.#cookie };
      case IFT_KINDS.configuration:
        return this.#configured(copyOf(payload));
      case IFT_KINDS.endOfConfiguration:
        if (this.#configuration === undefined) throw new PeerMisbehavedError('The gateway sent no configuration.');
        return { type: 'configured', configuration: this.#configuration, rest: this.#deframer.takePartial() };
      case IFT_KINDS.fatalError:
        throw new PeerRefusedError(`The gateway ended the session: ${decodeFatalError(payload).text}`);
      default:
        return undefined; // spec 3.1: passed over
    }
  }

  /** Spec 8.4: keys for ESP are of use behind the configuration that says how to use them. */
  #configured(payload: Uint8Array): ExchangeStep | undefined {
    const kind = configurationKind(payload);
    if (kind === 'main') this.#configuration = parseConfiguration(payload);
    const terms = this.#configuration?.esp;
    return kind === 'esp' && terms !== undefined ? { type: 'esp-offered', terms, offer: decodeEspOffer(payload) } : undefined;
  }

  #challenged(packet: EapPacket | undefined, isInner = false): ExchangeStep {
    this.#isFragment = false;
    if (packet === undefined) return this.#respond(IDENTITY_RESPONSE);
    if (packet.code === EAP_CODES.failure) throw new PeerRefusedError('The gateway refused the log-in.');
    if (packet.code !== EAP_CODES.request) throw new PeerMisbehavedError('EAP: expected a request');
    if (packet.method === EAP_METHODS.ttls && !isInner) return this.#tunneled(packet);
    if (packet.method !== EAP_METHODS.conversation) throw new PeerMisbehavedError('EAP: expected the vendor’s own method');
    this.#id = packet.id;
    if (!this.#hasSaidWho) return this.#sayWho();
    const avps = decodeAvps(copyOf(packet.data));
    const cookie = avps.find(({ code }) => code === AVP_CODES.cookie);
    if (cookie === undefined) return { type: 'question', question: questionOf(avps) };
    this.#cookie = textOf(cookie);
    if (!isCookieValue(cookieValue(this.#cookie))) throw new PeerMisbehavedError('The gateway gave a cookie that is none.');
    return this.answer([]);
  }

  #sayWho(): ExchangeStep {
    const { userAgent, cookie } = this.#options;
    this.#hasSaidWho = true;
    const known = cookie === undefined ? [] : [textAvp(AVP_CODES.cookie, cookie.reveal())];
    return this.answer([textAvp(AVP_CODES.userAgent, userAgent), ...known]);
  }

  #tunneled({ id, data }: EapPacket): ExchangeStep {
    if (this.#options.hasInnerTls !== true) return { type: 'tls-wanted' };
    this.#ttlsId = id;
    const turn = this.#messages.receive(data);
    this.#isFragment = turn.type === 'answer';
    if (turn.type === 'answer') return outside(this.#ttls(turn.data));
    return { type: 'tls', records: turn.type === 'start' ? new Uint8Array(0) : turn.bytes };
  }

  #ttls(data: Uint8Array): Uint8Array {
    const packet = { code: EAP_CODES.response, id: this.#ttlsId, method: EAP_METHODS.ttls, data };
    return this.writer.packet(IFT_KINDS.authResponse, encodeAuth(packet));
  }

  #respond(packet: EapPacket): ExchangeSend {
    if (this.#isInside) return { type: 'send', bytes: encodeInner(packet), isInside: true };
    return outside(this.writer.packet(IFT_KINDS.authResponse, encodeAuth(packet)));
  }
}

const IDENTITY_RESPONSE: EapPacket = { code: EAP_CODES.response, id: 1, method: EAP_METHODS.identity, data: IDENTITY };

function outside(bytes: Uint8Array): ExchangeSend {
  return { type: 'send', bytes, isInside: false };
}
