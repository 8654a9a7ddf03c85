/**
 * A Pulse log-in: questions of the gateway become forms, until it gives a cookie. The tunnel begins anew on a connection of its own.
 *
 * Read first: spec "Pulse", sections 6.3 to 6.8.
 */
import type { AuthField, AuthForm, FormValues } from '../../auth/form.ts';
import type { Credential, LoginIo, Target, UpgradedConnection } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import { hostHeader } from '../../http/url.ts';
import { revealed, Secret } from '../../secret.ts';
import { formatIp } from '../../wire/ip-address.ts';
import { printable } from '../../wire/text.ts';
import type { ClientInformation } from './auth-payload.ts';
import { AVP_CODES, type Avp, textAvp } from './avp.ts';
import { ClientConversation } from './client-conversation.ts';
import { ClientExchange } from './client-exchange.ts';
import { codeAnswer, NOTICE_ACCEPTED, type PasswordQuestion, passwordAnswer, type Question } from './question.ts';
import { upgradeHeaders } from './upgrade.ts';

/** Spec 6.5: which of the two a further question is about. */
const NAME_ONLY = 5;
const PASSWORD_ONLY: readonly number[] = [3, 15];

export interface LoginOptions {
  readonly userAgent: string;
  readonly hostname: string;
}

/** A log-in's end. */
export interface LoggedIn {
  readonly credential: Credential;
  /** The gateway wants a certificate by EAP-TTLS, on each connection. */
  readonly usesTtls: boolean;
}

export async function login(io: LoginIo, target: Target, options: LoginOptions): Promise<LoggedIn> {
  const { stream, information } = await leaveHttp(io, target, options);
  try {
    const exchange = new ClientExchange({ userAgent: options.userAgent, information, hasInnerTls: io.innerTls !== undefined });
    const conversation = new ClientConversation(io, target, stream, exchange);
    const questions = new Questions(io);
    const cookie = await conversation.run((question) => questions.answer(question));
    const { remote, pin } = io.connection();
    const credential: Credential = { protocol: 'pulse', gateway: target, address: remote.address, pin, cookie: new Secret(cookie) };
    return { credential, usesTtls: conversation.hasUsedTls };
  } finally {
    await stream.close();
  }
}

/** A connection for a session that there is, logged in and left for the tunnel. Rejects with PeerRefusedError if its cookie is no longer taken. */
export async function comeBack(io: LoginIo, target: Target, options: LoginOptions, cookie: Secret): Promise<ClientExchange> {
  const { stream, information } = await leaveHttp(io, target, options);
  const exchange = new ClientExchange({ userAgent: options.userAgent, information, cookie, hasInnerTls: io.innerTls !== undefined });
  try {
    await new ClientConversation(io, target, stream, exchange).run(async () => {
      throw new PeerRefusedError('The gateway no longer takes the cookie. Log in again.');
    });
  } catch (error) {
    await stream.close();
    throw error;
  }
  exchange.push(stream.keep());
  return exchange;
}

async function leaveHttp(
  io: LoginIo,
  target: Target,
  { userAgent, hostname }: LoginOptions,
): Promise<{ readonly stream: UpgradedConnection; readonly information: ClientInformation }> {
  const { response, stream } = await io.upgrade({ method: 'GET', target, headers: upgradeHeaders(hostHeader(target), userAgent) });
  if (stream === undefined) {
    throw new PeerMisbehavedError(`This is no Pulse gateway: it answered with ${response.status} ${printable(response.reason)}.`);
  }
  return { stream, information: { hostname, address: formatIp(io.connection().local.address) } };
}

/** Questions of the gateway as forms. */
class Questions {
  readonly #io: LoginIo;
  /** Said with the password, and with the codes that follow. */
  #username: string | undefined;

  constructor(io: LoginIo) {
    this.#io = io;
  }

  async answer(question: Question): Promise<readonly Avp[]> {
    switch (question.kind) {
      case 'notice':
        await this.#ask({ id: 'notice', banner: question.text, fields: [] });
        return NOTICE_ACCEPTED;
      case 'realm-entry':
        return [textAvp(AVP_CODES.realm, await this.#one({ id: 'realm', fields: [{ kind: 'text', name: 'realm', label: 'Realm:' }] }))];
      case 'realm':
        return [textAvp(AVP_CODES.realm, await this.#one(choiceForm('realm', 'Realm:', question.realms)))];
      case 'session':
        return [textAvp(AVP_CODES.sessionToEnd, await this.#one(sessionForm(question.sessions)))];
      case 'code': {
        const field: AuthField = { kind: 'otp', name: 'code', label: 'Code:' };
        const message = question.prompt === '' ? {} : { message: question.prompt };
        return codeAnswer(question.id, await this.#one({ id: 'code', ...message, fields: [field] }), this.#username);
      }
      case 'password':
        return this.#password(question);
      default:
        return question satisfies never;
    }
  }

  async #password(question: PasswordQuestion): Promise<Avp[]> {
    if (question.type === 'change') return this.#change(question);
    const { secondaryMode: mode, usernameLabel = 'Username', passwordLabel = 'Password' } = question;
    const isSecond = mode !== undefined;
    const name: AuthField = { kind: 'text', name: isSecond ? 'username2' : 'username', label: prompt(usernameLabel) };
    const password: AuthField = { kind: 'password', name: isSecond ? 'password2' : 'password', label: prompt(passwordLabel) };
    const asksName = !isSecond || !PASSWORD_ONLY.includes(mode);
    const asksPassword = mode !== NAME_ONLY;
    const values = await this.#ask({
      id: isSecond ? 'second' : 'login',
      message: isSecond ? 'Enter secondary credentials:' : 'Enter user credentials:', // observed: openconnect's words
      ...(question.type === 'again' && { error: 'The gateway refused the name or the password.' }),
      fields: [...(asksName ? [name] : []), ...(asksPassword ? [password] : [])],
    });
    const username = asksName ? textIn(values, name.name) : undefined;
    if (!isSecond) this.#username = username;
    return passwordAnswer(question, { password: asksPassword ? textIn(values, password.name) : '' }, username);
  }

  async #change(question: PasswordQuestion): Promise<Avp[]> {
    const field = (name: string, label: string): AuthField => ({ kind: 'password', name, label });
    const fields = [
      field('password', 'Old password:'),
      field('new_password', 'New password:'),
      field('new_password_again', 'New password again:'),
    ];
    const form = { id: 'change', message: 'Your password has expired.', fields };
    for (let error: string | undefined; ; error = 'The two new passwords are not the same.') {
      const values = await this.#ask({ ...form, ...(error !== undefined && { error }) });
      const newPassword = textIn(values, 'new_password');
      if (newPassword !== textIn(values, 'new_password_again')) continue;
      return passwordAnswer(question, { password: textIn(values, 'password'), newPassword }, undefined);
    }
  }

  async #one(form: AuthForm): Promise<string> {
    const [field] = form.fields;
    return textIn(await this.#ask(form), field?.name ?? '');
  }

  async #ask(form: AuthForm): Promise<FormValues> {
    const answer = await this.#io.ask(form);
    if (answer.type === 'cancel') throw new CancelledError();
    const [field] = form.fields;
    return answer.type === 'change-group' ? { [field?.name ?? '']: answer.group } : answer.values;
  }
}

function prompt(label: string): string {
  return label.endsWith(':') ? label : `${label}:`;
}

function textIn(values: FormValues, name: string): string {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  return value === undefined ? '' : revealed(value);
}

function choiceForm(name: string, label: string, choices: readonly string[]): AuthForm {
  return {
    id: name,
    fields: [{ kind: 'choice', name, label, choices: choices.map((choice) => ({ value: choice, label: choice })), isGroup: true }],
  };
}

function sessionForm(sessions: Extract<Question, { kind: 'session' }>['sessions']): AuthForm {
  const choices = sessions.map(({ id, address }) => ({ value: id, label: `${printable(id)} from ${address}` }));
  return {
    id: 'session',
    message: 'You have as many sessions as you may. Which one is to end?',
    fields: [{ kind: 'choice', name: 'session', label: 'Session:', choices }],
  };
}
