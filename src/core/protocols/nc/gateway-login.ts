/**
 * A gateway's side of a log-in: forms become values for the dialogue, its next step becomes a page.
 *
 * Read first: spec "Juniper NC", sections 3.3, 3.4, 3.6 and 12.
 *
 *   GET …/welcome.cgi ─► frmLogin: realm, name, password
 *   POST username, password ─► begin ─► next(name) ─► next(password) ─┬─► DSID, and on to the landing page
 *   POST password, step ─────► the dialogue of the step ──────────────┼─► frmDefender, with the dialogue's id in it
 *                                                                     └─► frmLogin again, with a message
 */
import { type AuthDialogue, type AuthStep, LOGIN_FIELDS } from '../../auth/dialogue.ts';
import type { AuthForm, FormValues } from '../../auth/form.ts';
import type { HttpRequest, HttpResponse } from '../../http/message.ts';
import { Secret } from '../../secret.ts';
import type { GatewayConnection, Visitor } from '../gateway-protocol.ts';
import { cookieOffWire, cookieOnWire } from '../hex-cookie.ts';
import { answerInTurn, type LoginFields, loginHints, logOutcome, parseLoginForm, questionIn, replyOf } from '../page-login.ts';
import { admitted, page } from './gateway-answer.ts';
import { CODE_FORM, LOGIN_FORM, type PageField, REALM_FIELD, renderLoginPage } from './login-page.ts';
import { PATHS } from './paths.ts';

const USERNAME = 'username';
const PASSWORD = 'password';
/** What is asked after the password. */
const CODE = 'token_code';
/** The hidden field that says which dialogue a form belongs to. */
const STEP = 'sallyport_step';

/** The log-ins on one connection. */
export class GatewayLogin {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
  }

  /** The first form. Groups that can be chosen stand in it. */
  async firstPage(request: HttpRequest, message?: string): Promise<HttpResponse> {
    const { dialogue, step } = await this.#begin(request);
    if (step.type !== 'ask') return this.#show(request, dialogue, step);
    const realms = step.form.fields.find(({ kind }) => kind === 'choice');
    const choices: readonly PageField[] =
      realms?.kind !== 'choice'
        ? []
        : [
            {
              kind: 'choice',
              name: REALM_FIELD,
              choices: realms.choices.map(({ value, label }) => ({ value, label, isSelected: value === realms.initial })),
            },
          ];
    return form(
      LOGIN_FORM,
      [
        { kind: 'hidden', name: 'tz_offset', value: '' },
        { kind: 'text', name: USERNAME, value: '' },
        { kind: 'password', name: PASSWORD, value: '' },
        ...choices,
        { kind: 'hidden', name: STEP, value: cookieOnWire(new Secret(dialogue.id)) },
      ],
      message ?? this.#visitor.host.preLoginBanner,
    );
  }

  async answer(request: HttpRequest): Promise<HttpResponse> {
    const fields = parseLoginForm(request, [USERNAME, PASSWORD, CODE, STEP]);
    const dialogue = await this.#resumed(fields);
    if (fields.has(USERNAME)) return this.#answerFirst(request, fields, dialogue);
    // A form of a log-in that is over, or of nobody's.
    if (dialogue === undefined) return this.firstPage(request, 'The log-in has taken too long.');
    return this.#show(request, dialogue, await dialogue.next(replyOf(fields.get(CODE) ?? '')));
  }

  /** A name and a password at once, which back ends ask one after the other. */
  async #answerFirst(request: HttpRequest, fields: LoginFields, resumed: AuthDialogue | undefined): Promise<HttpResponse> {
    const realm = fields.get(REALM_FIELD);
    const name: FormValues = {
      [LOGIN_FIELDS.username]: fields.get(USERNAME) ?? '',
      ...(realm !== undefined && { [LOGIN_FIELDS.group]: realm }),
    };
    const password: FormValues = { [LOGIN_FIELDS.password]: new Secret(fields.get(PASSWORD) ?? '') };
    if (resumed !== undefined) return this.#show(request, resumed, await answerInTurn(resumed, await resumed.next(name), [password]));
    const { dialogue, step } = await this.#begin(request);
    return this.#show(request, dialogue, await answerInTurn(dialogue, step, [name, password]));
  }

  async #resumed(fields: LoginFields): Promise<AuthDialogue | undefined> {
    const id = cookieOffWire(fields.get(STEP) ?? '');
    return id && this.#visitor.resume(id.reveal());
  }

  #begin({ headers }: HttpRequest): Promise<{ readonly dialogue: AuthDialogue; readonly step: AuthStep }> {
    return this.#visitor.begin(loginHints(this.#connection.facts, headers));
  }

  #show(request: HttpRequest, dialogue: AuthDialogue, step: AuthStep): Promise<HttpResponse> | HttpResponse {
    logOutcome(this.#visitor.log, step);
    switch (step.type) {
      case 'admitted':
        return admitted(step.cookie, this.#visitor.timeOfDay());
      case 'refused':
        return form(
          LOGIN_FORM,
          [
            { kind: 'text', name: USERNAME, value: '' },
            { kind: 'password', name: PASSWORD, value: '' },
          ],
          step.message,
        );
      case 'ask':
        return this.#ask(request, dialogue, step.form);
      default:
        return step satisfies never;
    }
  }

  #ask(request: HttpRequest, dialogue: AuthDialogue, asked: AuthForm): Promise<HttpResponse> | HttpResponse {
    const field = questionIn(asked);
    if (field === undefined) return this.firstPage(request, asked.error ?? asked.message ?? 'The log-in was refused.');
    return form(
      CODE_FORM,
      [
        { kind: field.kind === 'text' ? 'text' : 'password', name: CODE, value: '' },
        { kind: 'hidden', name: STEP, value: cookieOnWire(new Secret(dialogue.id)) },
      ],
      asked.message ?? field.label,
    );
  }
}

function form(id: string, fields: readonly PageField[], message: string | undefined): HttpResponse {
  return page(renderLoginPage({ kind: 'form', id, action: PATHS.login, fields, ...(message !== undefined && { message }) }));
}
