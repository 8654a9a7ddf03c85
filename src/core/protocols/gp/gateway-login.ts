/**
 * A gateway's side of a log-in, at the portal or the gateway: what a client posts becomes values for the dialogue, its next step becomes an answer.
 *
 * Read first: spec "GlobalProtect", sections 5.4, 6 and 7. The state of a question is the dialogue's id, in hex digits.
 */
import type { AuthDialogue, AuthStep, LoginHints } from '../../auth/dialogue.ts';
import type { AuthForm } from '../../auth/form.ts';
import type { HttpRequest, HttpResponse } from '../../http/message.ts';
import { Secret } from '../../secret.ts';
import type { GatewayConnection, Visitor } from '../gateway-protocol.ts';
import { cookieOffWire, cookieOnWire } from '../hex-cookie.ts';
import {
  answerInTurn,
  type LoginFields,
  loginHints,
  logOutcome,
  nameAndPassword,
  parseLoginForm,
  questionIn,
  replyOf,
} from '../page-login.ts';
import { certificateWanted, loginRefused, script, xml } from './gateway-answer.ts';
import { policyFor } from './gateway-portal.ts';
import { renderAdmission, renderChallenge, renderChallengeScript } from './login-answer.ts';
import { NO_COOKIE, USER_COOKIE } from './portal-policy.ts';

export type Interface = 'portal' | 'gateway';

/** What is in front of a state: one is no good at the other interface. */
const STATE_PREFIX: Readonly<Record<Interface, string>> = { portal: 'portal-', gateway: '' };

/** The fields that a portal's pass, or a browser's, comes in. */
const PASS_FIELDS = [USER_COOKIE, 'prelogin-cookie'];

export class GatewayLogin {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
  }

  async answer(request: HttpRequest, at: Interface): Promise<HttpResponse> {
    const { host } = this.#visitor;
    if (host.needsCertificate === true && this.#connection.facts.certificateChain === undefined) return certificateWanted();
    const fields = parseLoginForm(request, ['user', 'passwd']);
    const asked = await this.#asked(fields.get('inputStr') ?? '', at);
    // What a portal has asked is sent to its gateways too: a state that is not ours begins anew (spec 5.4).
    const { dialogue, step } = asked === undefined ? await this.#begin(request, fields, at) : await this.#continue(asked, fields);
    logOutcome(this.#visitor.log, step);
    switch (step.type) {
      case 'admitted':
        return this.#admitted(request, step, at);
      case 'refused':
        return loginRefused();
      case 'ask':
        return this.#isByBrowser ? loginRefused() : this.#ask(dialogue, step.form, fields.get('user') ?? '', at);
      default:
        return step satisfies never;
    }
  }

  /** Nothing counts here but what a browser has brought: its pass. */
  get #isByBrowser(): boolean {
    return this.#visitor.host.browserLogin !== undefined;
  }

  async #asked(state: string, at: Interface): Promise<AuthDialogue | undefined> {
    const prefix = STATE_PREFIX[at];
    const id = !this.#isByBrowser && state.startsWith(prefix) ? cookieOffWire(state.slice(prefix.length)) : undefined;
    return id === undefined ? undefined : this.#visitor.resume(id.reveal());
  }

  async #begin(request: HttpRequest, fields: LoginFields, at: Interface): Promise<Turn> {
    const hints = {
      ...loginHints(this.#connection.facts, request.headers),
      ...passIn(fields),
      ...(at === 'portal' && { wantsPass: true }),
    };
    const { dialogue, step } = await this.#visitor.begin(hints);
    const given = this.#isByBrowser ? [] : nameAndPassword(fields.get('user'), fields.get('passwd'));
    return { dialogue, step: await answerInTurn(dialogue, step, given) };
  }

  async #continue(dialogue: AuthDialogue, fields: LoginFields): Promise<Turn> {
    return { dialogue, step: await dialogue.next(replyOf(fields.get('passwd') ?? '')) };
  }

  #admitted(request: HttpRequest, { cookie, user }: Extract<AuthStep, { type: 'admitted' }>, at: Interface): HttpResponse {
    const { portal } = this.#visitor.host;
    if (at === 'gateway' || portal === undefined) return xml(renderAdmission({ authcookie: new Secret(cookieOnWire(cookie)), user }));
    return xml(policyFor(portal, request, this.#connection.facts, { pass: cookie, leadsBack: this.#isByBrowser }));
  }

  #ask(dialogue: AuthDialogue, form: AuthForm, user: string, at: Interface): HttpResponse {
    const field = questionIn(form);
    if (field === undefined) return loginRefused();
    const state = `${STATE_PREFIX[at]}${cookieOnWire(new Secret(dialogue.id))}`;
    const challenge = { prompt: form.message ?? field.label, state };
    const isScript = this.#visitor.host.portal?.asksBy === 'script';
    return isScript ? script(renderChallengeScript(challenge)) : xml(renderChallenge(challenge, user));
  }
}

interface Turn {
  readonly dialogue: AuthDialogue;
  readonly step: AuthStep;
}

function passIn(fields: LoginFields): Pick<LoginHints, 'pass'> {
  const pass = PASS_FIELDS.map((name) => fields.get(name) ?? '').find((value) => value !== '' && value !== NO_COOKIE);
  return pass === undefined ? {} : { pass: { pass: new Secret(pass), username: fields.get('user') ?? '' } };
}
