/**
 * A client's side of what is said before a tunnel: it answers all that it can by itself, and hands on what somebody must be asked.
 *
 * Read first: spec "Pulse", sections 4, 6 and 8.
 *
 *   version ─► information ─► identity ─► user agent [cookie] ─► questions … ─► cookie ─► success ─► configuration ─► end
 */
import { PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
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
import { decodeEspOffer } from './esp-configuration.ts';
import { decodeFatalError } from './fatal-error.ts';
import { IFT_KINDS, IftDeframer, IftWriter } from './ift-packet.ts';
import { type Question, questionOf } from './question.ts';
import { cookieValue, isCookieValue } from './session-cookie.ts';

/** Packets that are answered without asking anybody: three or four open a connection, and a gateway that wants ever more never reads them. */
const MAX_OWN_ANSWERS = 32;

export type ExchangeStep =
  | { readonly type: 'waiting' }
  | { readonly type: 'send'; readonly bytes: Uint8Array }
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
    while (this.#deframer.next()) {
      const step = this.#take(this.#deframer.kind, this.#deframer.payload);
      if (step?.type === 'send' && ++this.#ownAnswers > MAX_OWN_ANSWERS) {
        throw new PeerMisbehavedError(`The gateway wanted more than ${MAX_OWN_ANSWERS} answers before a tunnel.`);
      }
      if (step !== undefined) return step;
    }
    return { type: 'waiting' };
  }

  answer(avps: readonly Avp[]): Uint8Array {
    return this.#respond({ code: EAP_CODES.response, id: this.#id, method: EAP_METHODS.conversation, data: encodeAvps(avps) });
  }

  /** Undefined: nothing follows of it. */
  #take(kind: number, payload: Uint8Array): ExchangeStep | undefined {
    switch (kind) {
      case IFT_KINDS.versionResponse:
        checkVersionResponse(payload);
        return send(this.writer.packet(IFT_KINDS.clientInformation, renderClientInformation(this.#options.information)));
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

  #challenged(packet: EapPacket | undefined): ExchangeStep {
    if (packet === undefined) return send(this.#respond({ code: EAP_CODES.response, id: 1, method: EAP_METHODS.identity, data: IDENTITY }));
    if (packet.code === EAP_CODES.failure) throw new PeerRefusedError('The gateway refused the log-in.');
    if (packet.code !== EAP_CODES.request) throw new PeerMisbehavedError('EAP: expected a request');
    if (packet.method === EAP_METHODS.ttls) {
      throw new UnsupportedError('The gateway asks for a client certificate by EAP-TTLS, which Sallyport does not speak yet.');
    }
    if (packet.method !== EAP_METHODS.conversation) throw new PeerMisbehavedError('EAP: expected the vendor’s own method');
    this.#id = packet.id;
    if (!this.#hasSaidWho) return this.#sayWho();
    const avps = decodeAvps(copyOf(packet.data));
    const cookie = avps.find(({ code }) => code === AVP_CODES.cookie);
    if (cookie === undefined) return { type: 'question', question: questionOf(avps) };
    this.#cookie = textOf(cookie);
    if (!isCookieValue(cookieValue(this.#cookie))) throw new PeerMisbehavedError('The gateway gave a cookie that is none.');
    return send(this.answer([]));
  }

  #sayWho(): ExchangeStep {
    const { userAgent, cookie } = this.#options;
    this.#hasSaidWho = true;
    const known = cookie === undefined ? [] : [textAvp(AVP_CODES.cookie, cookie.reveal())];
    return send(this.answer([textAvp(AVP_CODES.userAgent, userAgent), ...known]));
  }

  #respond(packet: EapPacket): Uint8Array {
    return this.writer.packet(IFT_KINDS.authResponse, encodeAuth(packet));
  }
}

function send(bytes: Uint8Array): ExchangeStep {
  return { type: 'send', bytes };
}
