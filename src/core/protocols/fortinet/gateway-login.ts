/**
 * A gateway's side of a log-in: what a client posts becomes values for the dialogue, its next step becomes an answer.
 *
 * Read first: spec "Fortinet", sections 2.2 to 2.5 and 9.
 *
 *   username, credential ─► begin ─► next(username) ─► next(password) ─┬─► ret=1 and the cookie
 *   reqid, magic, code ──► the dialogue of their id ─► next(code) ─────┼─► ret=2 (a code), 401 (anything else), with the dialogue's id
 *                                                                      └─► 405
 */
import type { AuthDialogue, AuthStep } from '../../auth/dialogue.ts';
import type { AuthForm } from '../../auth/form.ts';
import type { HttpRequest, HttpResponse } from '../../http/message.ts';
import { Secret } from '../../secret.ts';
import { cookieOffWire, cookieOnWire } from '../base64url-cookie.ts';
import type { GatewayConnection, Visitor } from '../gateway-protocol.ts';
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
import { admitted, codeWanted, loginRefused, pageWanted } from './gateway-answer.ts';

/** Where a challenge's two halves of the dialogue's id are cut: simple clients have 39 bytes for each. */
const HALF = 22;

/** The log-ins on one connection. */
export class GatewayLogin {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;
  /** What was last asked on this connection. */
  #asked: AuthDialogue | undefined;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
  }

  async answer(request: HttpRequest): Promise<HttpResponse> {
    const fields = parseLoginForm(request, ['username', 'credential', 'code']);
    const reply = fields.get('code') ?? fields.get('credential') ?? '';
    const isReply = fields.has('reqid') || fields.has('magic');
    return isReply ? this.#continue(fields, reply) : this.#begin(request, fields);
  }

  /** A name and a password at once, which back ends ask one after the other. */
  async #begin(request: HttpRequest, fields: LoginFields): Promise<HttpResponse> {
    const { host } = this.#visitor;
    if (host.needsCertificate === true && this.#connection.facts.certificateChain === undefined) return loginRefused();
    const { dialogue, step: first } = await this.#visitor.begin(loginHints(this.#connection.facts, request.headers, fields.get('realm')));
    const given = nameAndPassword(fields.get('username'), fields.get('credential'));
    return this.#show(dialogue, await answerInTurn(dialogue, first, given));
  }

  async #continue(fields: LoginFields, reply: string): Promise<HttpResponse> {
    const id = idOf(fields.get('reqid') ?? '', fields.get('magic') ?? '');
    const dialogue = this.#asked?.id === id ? this.#asked : await this.#visitor.resume(id);
    // There is nobody here who could push a question to a telephone (spec 2.4).
    if (dialogue === undefined || fields.get('ftmpush') === '1') return loginRefused();
    return this.#show(dialogue, await dialogue.next(replyOf(reply)));
  }

  #show(dialogue: AuthDialogue, step: AuthStep): HttpResponse {
    logOutcome(this.#visitor.log, step);
    this.#asked = undefined;
    switch (step.type) {
      case 'admitted':
        return admitted(step.cookie);
      case 'refused':
        return loginRefused();
      case 'ask':
        return this.#ask(dialogue, step.form);
      default:
        return step satisfies never;
    }
  }

  #ask(dialogue: AuthDialogue, form: AuthForm): HttpResponse {
    const field = questionIn(form);
    if (field === undefined) return loginRefused();
    this.#asked = dialogue;
    const message = form.message ?? field.label;
    const [reqid, magic] = halvesOf(dialogue.id);
    if (field.kind === 'otp') {
      const fields = [
        ['reqid', reqid],
        ['polid', '1'],
        ['grp', ''],
        ['portal', ''],
        ['magic', magic],
      ] as const;
      return codeWanted({ tokenInfo: '', message, fields });
    }
    const hidden = (name: string, value: string) => ({ kind: 'hidden', name, value }) as const;
    return pageWanted({
      message,
      fields: [hidden('magic', magic), hidden('reqid', reqid), hidden('grpid', '0'), { kind: 'password', name: 'credential', value: '' }],
    });
  }
}

/** The dialogue's id is base64 of 256 bits; on the wire without what needs an escape, in two halves. */
function halvesOf(id: string): readonly [first: string, second: string] {
  const text = cookieOnWire(new Secret(id));
  return [text.slice(0, HALF), text.slice(HALF)];
}

/** Empty for what is no half. */
function idOf(first: string, second: string): string {
  if (first.length > HALF || second.length > HALF) return '';
  return cookieOffWire(first + second).reveal();
}
