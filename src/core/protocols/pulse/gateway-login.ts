/**
 * A gateway's side of a log-in: what a back end asks becomes questions of the conversation, their answers values for the back end.
 *
 * Read first: spec "Pulse", sections 6.3 to 6.9.
 *
 *   [EAP-TTLS: a certificate is wanted, if only as one way of several, and the connection has shown none ─►]
 *   information ─┬─ a cookie that is good ──────────────────────────────────────────────► session
 *                └─ notice ─► realm ─► name and password ─► code, or another question ─┬─► session
 *                                        └──────── wrong ────────┘                     └─► failure
 */
import { type AuthDialogue, type AuthStep, LOGIN_FIELDS } from '../../auth/dialogue.ts';
import type { AuthField, AuthForm, ChoiceField, FormValues } from '../../auth/form.ts';
import { PeerMisbehavedError } from '../../errors.ts';
import { checkHttpLimit } from '../../http/limits.ts';
import { Secret } from '../../secret.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { cookieOffWire, cookieOnWire } from '../base64url-cookie.ts';
import type { ClientFacts, GatewayConnection, GatewaySession, Visitor } from '../gateway-protocol.ts';
import { answerInTurn, asksFor, loginHints, logOutcome, replyOf } from '../page-login.ts';
import { AVP_CODES, type Avp, eapAvp, numberAvp, numberOf, textAvp, textOf } from './avp.ts';
import { decodeEap, EAP_CODES, EAP_METHODS } from './eap.ts';
import type { GatewayConversation } from './gateway-conversation.ts';
import { decodePasswordResponse, encodePasswordRequest, type PasswordRequest } from './password-method.ts';
import { cookieValue, MAX_COOKIE_LENGTH } from './session-cookie.ts';

/** Questions of one log-in: wrong passwords have limits of their own, at the back end. */
const MAX_QUESTIONS = 32;

/** Bytes of a name or a code: longer ones are nobody's. */
const MAX_ANSWER_BYTES = 1024;
/** Bytes of the User-Agent that are kept. */
const MAX_USER_AGENT_LENGTH = 255;
/** Bytes of a question, or of why there is a "no". */
const MAX_TEXT_BYTES = 1024;

/** Spec 6.9. */
export const FAILURES = { certificateWanted: 0x0e } as const;
/** Spec 6.5: a password without a name. */
const PASSWORD_ONLY = 3;
const FEATURE_LEVEL = 4;

export interface Admission {
  readonly session: GatewaySession;
  /** As it goes on the wire. */
  readonly cookie: string;
  readonly userAgent: string;
}

export interface LoginParts {
  readonly connection: GatewayConnection;
  readonly visitor: Visitor;
  readonly conversation: GatewayConversation;
  /** The sign-in policy of the URL: a group. */
  readonly group: string;
}

interface Credentials {
  readonly username: string;
  readonly password: Secret;
}

type Turn = { readonly dialogue: AuthDialogue; readonly step: AuthStep };

export class GatewayLogin {
  readonly #parts: LoginParts;
  /** With the certificate, wherever it was shown. */
  #facts: ClientFacts;
  #group: string;
  #userAgent = '';
  #username = '';
  #innerId = 0;

  constructor(parts: LoginParts) {
    this.#parts = parts;
    this.#facts = parts.connection.facts;
    this.#group = parts.group;
  }

  /** Undefined: the client was told that there is nothing for it. */
  async run(): Promise<Admission | undefined> {
    const { conversation, visitor } = this.#parts;
    const { host } = visitor;
    await this.#askForCertificate();
    const information = await conversation.ask([
      numberAvp(AVP_CODES.featureLevel, FEATURE_LEVEL),
      numberAvp(AVP_CODES.serverInformation, 1),
      textAvp(AVP_CODES.serverId, 'Sallyport'),
    ]);
    this.#userAgent = (textAt(information, AVP_CODES.userAgent) ?? '').slice(0, MAX_USER_AGENT_LENGTH);
    const known = await this.#known(textAt(information, AVP_CODES.cookie));
    if (known !== undefined) return known;
    if (this.#lacksCertificate) {
      visitor.log.log('info', 'log-in refused', { reason: 'no certificate' });
      await conversation.tell([numberAvp(AVP_CODES.failure, FAILURES.certificateWanted)]);
      return undefined;
    }
    if (host.preLoginBanner !== undefined && !(await this.#acceptsNotice(host.preLoginBanner))) return undefined;
    return this.#lead(await this.#begin());
  }

  get #lacksCertificate(): boolean {
    return this.#parts.visitor.host.needsCertificate === true && this.#facts.certificateChain === undefined;
  }

  /**
   * By EAP-TTLS: of clients that do not show theirs in the connection's own TLS. Whose cookie is good needs none, but says so only inside. Observed:
   * openconnect 9.01 goes on inside without one, as it does with one.
   */
  async #askForCertificate(): Promise<void> {
    const { connection, conversation, visitor } = this.#parts;
    const { needsCertificate, takesCertificate } = visitor.host;
    const isWanted = (needsCertificate === true || takesCertificate === true) && this.#facts.certificateChain === undefined;
    if (!isWanted || connection.innerTls === undefined) return;
    const { clientChain, clientCertificateFault: reason } = await conversation.openInside(connection.innerTls());
    if (reason !== undefined) visitor.log.log('info', 'client certificate refused', { reason });
    if (clientChain !== undefined) this.#facts = { ...this.#facts, certificateChain: clientChain };
  }

  async #known(given: string | undefined): Promise<Admission | undefined> {
    const cookie = cookieValue(given ?? '');
    if (cookie === '' || cookie.length > MAX_COOKIE_LENGTH) return undefined;
    const session = await this.#parts.visitor.session(cookieOffWire(cookie));
    return session && { session, cookie, userAgent: this.#userAgent };
  }

  async #acceptsNotice(text: string): Promise<boolean> {
    const answer = await this.#parts.conversation.ask([textAvp(AVP_CODES.notice, text)]);
    const accepted = answer.find(({ code }) => code === AVP_CODES.noticeAccepted);
    return accepted !== undefined && numberOf(accepted) === 1;
  }

  #begin(): Promise<Turn> {
    return this.#parts.visitor.begin(loginHints(this.#facts, [['User-Agent', this.#userAgent]], this.#group));
  }

  async #lead(first: Turn): Promise<Admission | undefined> {
    const { visitor, conversation } = this.#parts;
    let turn: Turn | undefined = first;
    for (let questions = 0; turn !== undefined && questions < MAX_QUESTIONS; questions++) {
      const { dialogue, step }: Turn = turn;
      logOutcome(visitor.log, step);
      switch (step.type) {
        case 'admitted': {
          const session = await visitor.session(step.cookie);
          return session && { session, cookie: cookieOnWire(step.cookie), userAgent: this.#userAgent };
        }
        case 'refused':
          await conversation.tell([this.#passwordAvp({ type: 'failed', text: step.message })]);
          return undefined;
        case 'ask':
          turn = await this.#answer(dialogue, step.form);
          break;
        default:
          return step satisfies never;
      }
    }
    conversation.fail();
    return undefined;
  }

  /** Undefined: a question that has no place in this protocol. */
  async #answer(dialogue: AuthDialogue, form: AuthForm): Promise<Turn | undefined> {
    const fields = form.fields.filter(({ kind }) => kind !== 'hidden');
    const group = fields.find((field): field is ChoiceField => field.kind === 'choice' && field.isGroup === true);
    const [field, ...others] = fields.filter((other) => other !== group);
    if (others.length > 0 || field?.kind === 'choice') {
      this.#parts.visitor.log.log('warn', 'question that Pulse cannot ask', { form: form.id });
      return undefined;
    }
    const realm = group === undefined ? {} : { [group.name]: await this.#realm(group) };
    if (field === undefined) return { dialogue, step: await dialogue.next(realm) };
    if (field.name === LOGIN_FIELDS.username) {
      const isAgain = form.error !== undefined;
      return this.#give(dialogue, realm, await this.#credentials(isAgain ? 'again' : 'ask'));
    }
    // The same password once more: the client says the name with it, and it may be another one.
    if (field.name === LOGIN_FIELDS.password && form.error !== undefined && field.kind === 'password') {
      const credentials = await this.#credentials('again');
      if (credentials.username === this.#username) return { dialogue, step: await dialogue.next({ [field.name]: credentials.password }) };
      const anew = await this.#begin();
      const { step } = anew;
      return asksFor(step, { [LOGIN_FIELDS.username]: '' }) ? this.#give(anew.dialogue, {}, credentials) : anew;
    }
    const reply = await (field.kind === 'otp' ? this.#code(form, field) : this.#secondary(form, field));
    return { dialogue, step: await dialogue.next(replyOf(reply)) };
  }

  /** A name and a password at once, which back ends ask one after the other. */
  async #give(dialogue: AuthDialogue, realm: FormValues, { username, password }: Credentials): Promise<Turn> {
    this.#username = username;
    const step = await dialogue.next({ ...realm, [LOGIN_FIELDS.username]: username });
    return { dialogue, step: await answerInTurn(dialogue, step, [{ [LOGIN_FIELDS.password]: password }]) };
  }

  /** The value of the group: asked for where there are several, and the URL has named none. */
  async #realm({ choices, initial }: ChoiceField): Promise<string> {
    const [only] = choices;
    if (initial !== undefined && this.#group !== '') return initial;
    if (choices.length <= 1) return only?.value ?? '';
    const answer = await this.#parts.conversation.ask(choices.map(({ label }) => textAvp(AVP_CODES.realmOffered, label)));
    const name = textAt(answer, AVP_CODES.realm) ?? '';
    const chosen = choices.find(({ label, value }) => label === name || value === name);
    if (chosen === undefined) throw new PeerMisbehavedError('The client chose a realm that it was not offered.');
    this.#group = chosen.value;
    return chosen.value;
  }

  async #credentials(type: 'ask' | 'again'): Promise<Credentials> {
    const answer = await this.#parts.conversation.ask([this.#passwordAvp({ type })]);
    return { username: checked(textAt(answer, AVP_CODES.username) ?? this.#username), password: new Secret(passwordIn(answer)) };
  }

  async #secondary(form: AuthForm, field: AuthField): Promise<string> {
    const answer = await this.#parts.conversation.ask([
      numberAvp(AVP_CODES.secondaryMode, PASSWORD_ONLY),
      textAvp(AVP_CODES.secondPasswordLabel, questionOf(form, field)),
      this.#passwordAvp({ type: 'ask' }),
    ]);
    return passwordIn(answer);
  }

  async #code(form: AuthForm, field: AuthField): Promise<string> {
    const prompt = { code: EAP_CODES.request, id: this.#nextInnerId(), method: EAP_METHODS.tokenCard, data: utf8(questionOf(form, field)) };
    const answer = await this.#parts.conversation.ask([eapAvp(prompt)]);
    return checked(fromUtf8(innerData(answer, EAP_METHODS.tokenCard)));
  }

  #passwordAvp(request: PasswordRequest): Avp {
    const { request: code } = EAP_CODES;
    return eapAvp({ code, id: this.#nextInnerId(), method: EAP_METHODS.password, data: encodePasswordRequest(request) });
  }

  #nextInnerId(): number {
    this.#innerId = (this.#innerId + 1) % 256;
    return this.#innerId;
  }
}

function questionOf({ message }: AuthForm, { label }: AuthField): string {
  return fromUtf8(utf8(message ?? label).subarray(0, MAX_TEXT_BYTES));
}

function textAt(avps: readonly Avp[], code: number): string | undefined {
  const avp = avps.find((other) => other.code === code);
  return avp && textOf(avp);
}

function passwordIn(answer: readonly Avp[]): string {
  return decodePasswordResponse(innerData(answer, EAP_METHODS.password)).password;
}

function innerData(answer: readonly Avp[], method: number): Uint8Array {
  const message = answer.find(({ code }) => code === AVP_CODES.eapMessage);
  const inner = message && decodeEap(message.data);
  if (inner?.code !== EAP_CODES.response || inner.method !== method)
    throw new PeerMisbehavedError('EAP: expected an answer by the method asked for');
  return inner.data;
}

function checked(text: string): string {
  checkHttpLimit(utf8(text).length, MAX_ANSWER_BYTES, 'bytes of an answer');
  return text;
}
