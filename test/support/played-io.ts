/** The world of a Fortinet log-in, played: exchanges by method, path and body, forms by their fields, each in its order. */
import assert from 'node:assert/strict';
import type { AuthForm, FormAnswer } from '../../src/core/auth/form.ts';
import type { BrowseRequest, ConnectionFacts, LoginIo, LoginRequest, RequestManner } from '../../src/core/auth/login-io.ts';
import { MisuseError } from '../../src/core/errors.ts';
import type { HttpHeaders, HttpResponse } from '../../src/core/http/message.ts';
import { revealed, Secret } from '../../src/core/secret.ts';
import { fromUtf8, utf8 } from '../../src/core/wire/text.ts';
import { RecordedLog } from './forms.ts';
import { SeededCrypto } from './scripted-crypto.ts';

/** `GET /path` or `POST /path body`, and the answer or what went wrong; or the names of a form's fields, and what they are filled with: the last may be left. */
export type PlayedStep =
  | { readonly sent: string; readonly answer: HttpResponse | Error }
  | { readonly asked: readonly string[]; readonly values: readonly string[] };

export function reply(status: number, body = '', headers: HttpHeaders = []): HttpResponse {
  return { version: '1.1', status, reason: 'Whatever', headers, body: utf8(body) };
}

export function cookie(value = 'abcDEF123'): HttpHeaders {
  return [['Set-Cookie', `SVPNCOOKIE=${value}; path=/; secure; httponly`]];
}

export class PlayedIo implements LoginIo {
  readonly log = new RecordedLog();
  readonly signal = new AbortController().signal;
  readonly crypto = new SeededCrypto(1);
  readonly hasClientCertificate = false;
  readonly browse?: NonNullable<LoginIo['browse']>;
  readonly requests: LoginRequest[] = [];
  /** How each of them was made. */
  readonly manners: RequestManner[] = [];
  readonly forms: AuthForm[] = [];
  readonly #steps: PlayedStep[];

  constructor(steps: readonly PlayedStep[], browse?: (request: BrowseRequest) => Promise<string>) {
    this.#steps = [...steps];
    if (browse !== undefined) this.browse = browse;
  }

  async http(request: LoginRequest, how: RequestManner = {}): Promise<HttpResponse> {
    this.requests.push(request);
    this.manners.push(how);
    const body = request.body === undefined ? '' : ` ${fromUtf8(request.body)}`;
    const sent = `${request.method} ${request.target.path}${body}`;
    const step = this.#steps.shift();
    assert.ok(step !== undefined && 'sent' in step, `not expected: ${sent}`);
    assert.equal(sent, step.sent);
    if (step.answer instanceof Error) throw step.answer;
    return step.answer;
  }

  async ask(form: AuthForm): Promise<FormAnswer> {
    this.forms.push(form);
    const names = form.fields.map(({ name }) => name);
    const step = this.#steps.shift();
    assert.ok(step !== undefined && 'asked' in step, `not expected: a form with ${names.join(', ')}`);
    assert.deepEqual(names, step.asked);
    return { type: 'submit', values: Object.fromEntries(step.values.map((value, i) => [names[i] ?? '', new Secret(value)])) };
  }

  async upgrade(): Promise<never> {
    throw new MisuseError('Nobody leaves HTTP here.');
  }

  connection(): ConnectionFacts {
    const end = (last: number) => ({ address: { family: 4 as const, bytes: Uint8Array.of(192, 0, 2, last) }, port: 443 });
    return { local: end(1), remote: end(2), peerCertificate: utf8('certificate'), pin: 'pin-sha256:PIN=', isKept: true };
  }

  checkHost(): Promise<void> {
    return assert.fail('a host check');
  }

  async sleep(): Promise<void> {
    assert.fail('a pause');
  }

  now(): number {
    return 1_800_000_000_000;
  }

  /** All was played, and no secret was logged. */
  assertFinished(secrets: readonly string[] = []): void {
    assert.deepEqual(this.#steps, []);
    const shown = [...this.log.lines, ...this.requests.map(({ shownBody = '' }) => revealed(shownBody))].join('\n');
    for (const secret of secrets) assert.ok(!shown.includes(secret), 'a secret is in the log');
  }
}
