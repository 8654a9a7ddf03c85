/**
 * A gateway's side of a log-in: what a client posts becomes values for the dialogue, its next step becomes an answer.
 *
 * Read first: spec "GlobalProtect", sections 6 and 7. The state of a question is the dialogue's id, in hex digits.
 */
import { type AuthDialogue, type AuthStep, LOGIN_FIELDS } from '../../auth/dialogue.ts';
import type { AuthForm } from '../../auth/form.ts';
import type { HttpRequest, HttpResponse } from '../../http/message.ts';
import { Secret } from '../../secret.ts';
import type { GatewayConnection, Visitor } from '../gateway-protocol.ts';
import { cookieOffWire, cookieOnWire } from '../hex-cookie.ts';
import { answerInTurn, type LoginFields, loginHints, logOutcome, parseLoginForm, questionIn, replyOf } from '../page-login.ts';
import { certificateWanted, loginRefused, xml } from './gateway-answer.ts';
import { renderAdmission, renderChallenge } from './login-answer.ts';

/** Of a question: what breaks the other syntax is nobody's loss. */
const UNSAFE = /["\r\n]+/g;

export class GatewayLogin {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
  }

  async answer(request: HttpRequest): Promise<HttpResponse> {
    const { host } = this.#visitor;
    if (host.needsCertificate === true && this.#connection.facts.certificateChain === undefined) return certificateWanted();
    const fields = parseLoginForm(request, ['user', 'passwd']);
    const id = cookieOffWire(fields.get('inputStr') ?? '');
    const dialogue = id === undefined ? undefined : await this.#visitor.resume(id.reveal());
    // What a portal has asked is sent to its gateways too: a state that is not ours begins anew (spec 5.4).
    return dialogue === undefined ? this.#begin(request, fields) : this.#continue(dialogue, fields);
  }

  async #begin(request: HttpRequest, fields: LoginFields): Promise<HttpResponse> {
    const { dialogue, step: first } = await this.#visitor.begin(loginHints(this.#connection.facts, request.headers));
    const given = [
      { [LOGIN_FIELDS.username]: fields.get('user') ?? '' },
      { [LOGIN_FIELDS.password]: new Secret(fields.get('passwd') ?? '') },
    ];
    return this.#show(dialogue, await answerInTurn(dialogue, first, given), fields);
  }

  async #continue(dialogue: AuthDialogue, fields: LoginFields): Promise<HttpResponse> {
    return this.#show(dialogue, await dialogue.next(replyOf(fields.get('passwd') ?? '')), fields);
  }

  #show(dialogue: AuthDialogue, step: AuthStep, fields: LoginFields): HttpResponse {
    logOutcome(this.#visitor.log, step);
    switch (step.type) {
      case 'admitted':
        return xml(renderAdmission({ authcookie: new Secret(cookieOnWire(step.cookie)), user: step.user }));
      case 'refused':
        return loginRefused();
      case 'ask':
        return ask(dialogue, step.form, fields.get('user') ?? '');
      default:
        return step satisfies never;
    }
  }
}

function ask(dialogue: AuthDialogue, form: AuthForm, user: string): HttpResponse {
  const field = questionIn(form);
  if (field === undefined) return loginRefused();
  const prompt = (form.message ?? field.label).replace(UNSAFE, ' ');
  return xml(renderChallenge({ prompt, state: cookieOnWire(new Secret(dialogue.id)) }, user));
}
