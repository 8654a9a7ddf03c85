/**
 * Leads a client's exchange over a connection of a log-in's: bytes go to and fro, questions are handed on, and TLS for EAP-TTLS is the world's.
 *
 * Read first: spec "Pulse", section 7.
 */
import type { InnerTls } from '../../auth/inner-tls.ts';
import type { LoginIo, Target, UpgradedConnection } from '../../auth/login-io.ts';
import { PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
import type { Avp } from './avp.ts';
import type { ClientExchange, ExchangeSend } from './client-exchange.ts';
import type { Question } from './question.ts';

/** Spec 6.4: a gateway may say "wrong" for ever. */
const MAX_QUESTIONS = 64;
/** Empty messages of EAP-TTLS one after the other, each answered by an empty one: a gateway that waits for a certificate. */
const MAX_EMPTY_MESSAGES = 8;

const NO_CERTIFICATE = 'The gateway asks for a client certificate (EAP-TTLS), and there is none: name it with --certificate.';
const NOT_GOING_ON = 'The gateway does not go on inside EAP-TTLS: it may want another client certificate.';

export class ClientConversation {
  readonly #io: LoginIo;
  readonly #target: Target;
  readonly #stream: UpgradedConnection;
  readonly #exchange: ClientExchange;
  #tls: InnerTls | undefined;
  #isOpen = false;
  /** TLS came, and the gateway waits for what TLS says to that. */
  #owesTls = false;
  #emptyMessages = 0;

  constructor(io: LoginIo, target: Target, stream: UpgradedConnection, exchange: ClientExchange) {
    this.#io = io;
    this.#target = target;
    this.#stream = stream;
    this.#exchange = exchange;
  }

  /** The gateway has asked for EAP-TTLS. */
  get hasUsedTls(): boolean {
    return this.#tls !== undefined;
  }

  /** Until the log-in is done: the cookie. What follows is still the exchange's. */
  async run(answer: (question: Question) => Promise<readonly Avp[]>): Promise<string> {
    try {
      return await this.#run(answer);
    } finally {
      this.#tls?.close();
    }
  }

  async #run(answer: (question: Question) => Promise<readonly Avp[]>): Promise<string> {
    this.#stream.write(this.#exchange.start());
    for (let questions = 0; questions < MAX_QUESTIONS; ) {
      const step = this.#exchange.next();
      switch (step.type) {
        case 'waiting':
          if (this.#owesTls) await this.#answerTls();
          else this.#exchange.push(await this.#stream.read());
          break;
        case 'send':
          this.#say(step);
          break;
        case 'tls':
          await this.#receiveTls(step.records);
          break;
        case 'question':
          questions++;
          this.#say(this.#exchange.answer(await answer(step.question)));
          break;
        case 'tls-wanted':
          throw new UnsupportedError('The gateway goes on by EAP-TTLS, for which there is no TLS here.');
        case 'logged-in':
          return step.cookie;
        case 'esp-offered':
        case 'configured':
          throw new PeerMisbehavedError('The gateway sent its configuration before the log-in was done.');
        default:
          step satisfies never;
      }
    }
    throw new PeerRefusedError(`The gateway asked more than ${MAX_QUESTIONS} questions.`);
  }

  #say({ bytes, isInside }: ExchangeSend): void {
    if (isInside) this.#tls?.write(bytes);
    else this.#stream.write(bytes);
  }

  async #receiveTls(records: Uint8Array): Promise<void> {
    this.#tls ??= this.#io.innerTls?.(this.#target);
    const tls = this.#tls;
    this.#owesTls = true;
    this.#emptyMessages = records.length === 0 ? this.#emptyMessages + 1 : 0;
    if (this.#emptyMessages > MAX_EMPTY_MESSAGES) throw new PeerRefusedError(this.#io.hasClientCertificate ? NOT_GOING_ON : NO_CERTIFICATE);
    if (tls === undefined) return;
    tls.receive(records);
    await tls.settle();
    if (tls.isOpen && !this.#isOpen) {
      this.#isOpen = true;
      this.#say(this.#exchange.openInside());
    }
    this.#exchange.pushInside(tls.takeReceived());
  }

  async #answerTls(): Promise<void> {
    await this.#tls?.settle();
    this.#owesTls = false;
    this.#stream.write(this.#exchange.tlsAnswer(this.#tls?.takeRecords() ?? new Uint8Array(0)));
  }
}
