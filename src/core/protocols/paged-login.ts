/**
 * A gateway's side of a log-in whose first form asks for a name and a password at once, and whose later ones carry the dialogue's id in a hidden field.
 * What two vendors have in common; a vendor gives the names of its fields, and pages for what is to be shown.
 *
 *   GET ────────────────────► first: group, name, password
 *   POST name, password ────► begin ─► next(name) ─► next(password) ─┬─► admitted
 *   POST reply, step ───────► the dialogue of the step ──────────────┼─► question, with the dialogue's id in it
 *                                                                    └─► first again, with a message
 */
import { type AuthDialogue, type AuthStep, LOGIN_FIELDS } from '../auth/dialogue.ts';
import type { AuthForm, FormValues } from '../auth/form.ts';
import type { HttpRequest, HttpResponse } from '../http/message.ts';
import { Secret } from '../secret.ts';
import type { GatewayConnection, Visitor } from './gateway-protocol.ts';
import { cookieOffWire, cookieOnWire } from './hex-cookie.ts';
import {
  answerInTurn,
  type LoginFields,
  loginHints,
  logOutcome,
  nameAndPassword,
  parseLoginForm,
  questionIn,
  replyOf,
} from './page-login.ts';

/** The hidden field that says which dialogue a form belongs to. */
const STEP = 'sallyport_step';

export type LoginPageField =
  | { readonly kind: 'text' | 'password' | 'hidden'; readonly name: string; readonly value: string }
  | {
      readonly kind: 'choice';
      readonly name: string;
      readonly choices: readonly { readonly value: string; readonly label: string; readonly isSelected: boolean }[];
    };

export interface LoginPages {
  /** What the vendor's forms call them. `reply`: to a question after the password. */
  readonly names: { readonly username: string; readonly password: string; readonly group: string; readonly reply: string };
  /** @param fields of a form that begins a log-in: its own, and where there is a choice of groups, that */
  first(fields: readonly LoginPageField[], message: string | undefined): HttpResponse;
  question(fields: readonly LoginPageField[], message: string): HttpResponse;
  admitted(request: HttpRequest, cookie: Secret): Promise<HttpResponse>;
}

/** The log-ins on one connection. */
export class PagedLogin {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;
  readonly #pages: LoginPages;

  constructor(connection: GatewayConnection, visitor: Visitor, pages: LoginPages) {
    this.#connection = connection;
    this.#visitor = visitor;
    this.#pages = pages;
  }

  /** The first form. Groups that can be chosen stand in it. */
  async firstPage(request: HttpRequest, message?: string): Promise<HttpResponse> {
    const { dialogue, step } = await this.#begin(request);
    if (step.type !== 'ask') return this.#show(request, dialogue, step);
    const groups = step.form.fields.find(({ kind }) => kind === 'choice');
    const choices: readonly LoginPageField[] =
      groups?.kind !== 'choice'
        ? []
        : [
            {
              kind: 'choice',
              name: this.#pages.names.group,
              choices: groups.choices.map(({ value, label }) => ({ value, label, isSelected: value === groups.initial })),
            },
          ];
    return this.#pages.first([...choices, ...this.#credentials(), stepOf(dialogue)], message ?? this.#visitor.host.preLoginBanner);
  }

  async answer(request: HttpRequest): Promise<HttpResponse> {
    const { username, password, reply } = this.#pages.names;
    const fields = parseLoginForm(request, [username, password, reply, STEP]);
    const id = cookieOffWire(fields.get(STEP) ?? '');
    const dialogue = id && (await this.#visitor.resume(id.reveal()));
    if (fields.has(username)) return this.#answerFirst(request, fields, dialogue);
    // A form of a log-in that is over, or of nobody's.
    if (dialogue === undefined) return this.firstPage(request, 'The log-in has taken too long.');
    return this.#show(request, dialogue, await dialogue.next(replyOf(fields.get(reply) ?? '')));
  }

  /** A name and a password at once, which back ends ask one after the other. Simple clients bring them without ever having seen the form. */
  async #answerFirst(request: HttpRequest, fields: LoginFields, resumed: AuthDialogue | undefined): Promise<HttpResponse> {
    const { names } = this.#pages;
    const group = fields.get(names.group);
    const [username, password] = nameAndPassword(fields.get(names.username), fields.get(names.password));
    const name: FormValues = { ...username, ...(group !== undefined && { [LOGIN_FIELDS.group]: group }) };
    if (resumed !== undefined) return this.#show(request, resumed, await answerInTurn(resumed, await resumed.next(name), [password]));
    const { dialogue, step } = await this.#begin(request);
    return this.#show(request, dialogue, await answerInTurn(dialogue, step, [name, password]));
  }

  #begin({ headers }: HttpRequest): Promise<{ readonly dialogue: AuthDialogue; readonly step: AuthStep }> {
    return this.#visitor.begin(loginHints(this.#connection.facts, headers));
  }

  #show(request: HttpRequest, dialogue: AuthDialogue, step: AuthStep): Promise<HttpResponse> | HttpResponse {
    logOutcome(this.#visitor.log, step);
    switch (step.type) {
      case 'admitted':
        return this.#pages.admitted(request, step.cookie);
      case 'refused':
        return this.#pages.first(this.#credentials(), step.message);
      case 'ask':
        return this.#ask(request, dialogue, step.form);
      default:
        return step satisfies never;
    }
  }

  #ask(request: HttpRequest, dialogue: AuthDialogue, form: AuthForm): Promise<HttpResponse> | HttpResponse {
    const field = questionIn(form);
    if (field === undefined) return this.firstPage(request, form.error ?? form.message ?? 'The log-in was refused.');
    const kind = field.kind === 'text' ? 'text' : 'password';
    return this.#pages.question([{ kind, name: this.#pages.names.reply, value: '' }, stepOf(dialogue)], form.message ?? field.label);
  }

  #credentials(): readonly LoginPageField[] {
    const { username, password } = this.#pages.names;
    return [
      { kind: 'text', name: username, value: '' },
      { kind: 'password', name: password, value: '' },
    ];
  }
}

function stepOf(dialogue: AuthDialogue): LoginPageField {
  return { kind: 'hidden', name: STEP, value: cookieOnWire(new Secret(dialogue.id)) };
}
