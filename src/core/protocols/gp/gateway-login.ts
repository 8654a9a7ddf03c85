/**
 * A gateway's side of a log-in: what a client posts becomes values for the dialogue, its next step becomes an answer.
 *
 * Read first: spec "GlobalProtect", sections 6 and 7. The state of a question is the dialogue's id, in hex digits.
 */
import { type AuthDialogue, type AuthStep, LOGIN_FIELDS } from '../../auth/dialogue.ts';
import type { AuthForm, FormValues } from '../../auth/form.ts';
import type { HttpRequest, HttpResponse } from '../../http/message.ts';
import { Secret } from '../../secret.ts';
import type { GatewayConnection, Visitor } from '../gateway-protocol.ts';
import { asksFor, type LoginFields, loginHints, parseLoginForm } from '../page-login.ts';
import { certificateWanted, loginRefused, xml } from './gateway-answer.ts';
import { renderAdmission, renderChallenge } from './login-answer.ts';
import { authcookieOf, cookieOfAuthcookie } from './session-cookie.ts';

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
    const id = cookieOfAuthcookie(fields.get('inputStr') ?? '');
    const dialogue = id === undefined ? undefined : await this.#visitor.resume(id.reveal());
    // What a portal has asked is sent to its gateways too: a state that is not ours begins anew (spec 5.4).
    return dialogue === undefined ? this.#begin(request, fields) : this.#continue(dialogue, fields);
  }

  async #begin(request: HttpRequest, fields: LoginFields): Promise<HttpResponse> {
    const { dialogue, step: first } = await this.#visitor.begin(loginHints(this.#connection.facts, request.headers));
    let step = first;
    const given: readonly FormValues[] = [
      { [LOGIN_FIELDS.username]: fields.get('user') ?? '' },
      { [LOGIN_FIELDS.password]: new Secret(fields.get('passwd') ?? '') },
    ];
    for (const values of given) if (asksFor(step, values)) step = await dialogue.next(values);
    return this.#show(dialogue, step, fields);
  }

  async #continue(dialogue: AuthDialogue, fields: LoginFields): Promise<HttpResponse> {
    const secret = new Secret(fields.get('passwd') ?? '');
    const step = await dialogue.next({ [LOGIN_FIELDS.password]: secret, [LOGIN_FIELDS.secondPassword]: secret });
    return this.#show(dialogue, step, fields);
  }

  #show(dialogue: AuthDialogue, step: AuthStep, fields: LoginFields): HttpResponse {
    const { log } = this.#visitor;
    switch (step.type) {
      case 'admitted':
        log.log('info', 'logged in', { user: step.user, group: step.group });
        return xml(renderAdmission({ authcookie: new Secret(authcookieOf(step.cookie)), user: step.user }));
      case 'refused':
        log.log('info', 'log-in refused', { reason: step.message });
        return loginRefused();
      case 'ask':
        return ask(dialogue, step.form, fields.get('user') ?? '');
      default:
        return step satisfies never;
    }
  }
}

function ask(dialogue: AuthDialogue, form: AuthForm, user: string): HttpResponse {
  const [field, ...others] = form.fields.filter(({ kind }) => kind !== 'hidden');
  // The client puts its own first question again: a name, or a password that was wrong.
  const isAnew =
    field === undefined || others.length > 0 || field.kind === 'choice' || field.name === LOGIN_FIELDS.username || form.error !== undefined;
  if (isAnew) return loginRefused();
  const prompt = (form.message ?? field.label).replace(UNSAFE, ' ');
  return xml(renderChallenge({ prompt, state: authcookieOf(new Secret(dialogue.id)) }, user));
}
