/**
 * The world of a log-in, played from a script: it expects requests, forms, waits and host checks in their order, and answers them. Whatever
 * else is asked fails with the difference. Secrets that were answered must not turn up in what is logged.
 */
import assert from 'node:assert/strict';
import type { AuthForm, FormAnswer } from '../../src/core/auth/form.ts';
import type {
  ConnectionFacts,
  HostCheckRequest,
  LoginIo,
  LoginRequest,
  ProfileStore,
  UserCertificate,
} from '../../src/core/auth/login-io.ts';
import type { CryptoProvider } from '../../src/core/crypto/provider.ts';
import { MisuseError } from '../../src/core/errors.ts';
import { type HttpResponse, headerValue } from '../../src/core/http/message.ts';
import { hostHeader } from '../../src/core/http/url.ts';
import { Secret } from '../../src/core/secret.ts';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { utf8 } from '../../src/core/wire/text.ts';
import { RecordedLog } from './forms.ts';
import { assertRequest, type Step } from './login-script.ts';

export interface ScriptedLoginIoOptions {
  readonly crypto: CryptoProvider;
  readonly hasClientCertificate?: boolean;
  readonly userCertificate?: UserCertificate;
  readonly profile?: ProfileStore;
  readonly facts?: Partial<ConnectionFacts>;
  /** The time of day. */
  readonly now?: number;
}

export class ScriptedLoginIo implements LoginIo {
  readonly log: RecordedLog = new RecordedLog();
  readonly signal: AbortSignal = new AbortController().signal;
  readonly crypto: CryptoProvider;
  readonly hasClientCertificate: boolean;
  readonly userCertificate?: UserCertificate;
  readonly profile?: ProfileStore;
  /** What went out. */
  readonly requests: LoginRequest[] = [];
  readonly #options: ScriptedLoginIoOptions;
  readonly #steps: readonly Step[];
  readonly #secrets = new Set<string>();
  #at = 0;

  constructor(steps: readonly Step[], options: ScriptedLoginIoOptions) {
    this.#steps = steps;
    this.#options = options;
    this.crypto = options.crypto;
    this.hasClientCertificate = options.hasClientCertificate ?? false;
    if (options.userCertificate !== undefined) this.userCertificate = options.userCertificate;
    if (options.profile !== undefined) this.profile = options.profile;
  }

  async http(request: LoginRequest, how: { readonly fresh?: boolean } = {}): Promise<HttpResponse> {
    const number = this.#at;
    const { request: expected, response } = this.#take('exchange', `${request.method} ${request.target.path}`);
    const { method, target, headers, body = utf8('') } = request;
    const seen = { method, host: hostHeader(target), path: target.path, headers, body, isFresh: how.fresh === true };
    assert.equal(headerValue(headers, 'Host'), seen.host, 'Host says where the request goes');
    assertRequest(seen, expected, number);
    this.requests.push(request);
    return response;
  }

  async upgrade(): Promise<never> {
    throw new MisuseError('Nobody leaves HTTP here.');
  }

  connection(): ConnectionFacts {
    const address = (last: number) => ({ family: 4 as const, bytes: Uint8Array.of(192, 0, 2, last) });
    return {
      local: { address: address(1), port: 50_000 },
      remote: { address: address(2), port: 443 },
      peerCertificate: utf8('gateway certificate'),
      pin: 'pin-sha256:PIN=',
      isKept: true,
      ...this.#options.facts,
    };
  }

  async ask(form: AuthForm): Promise<FormAnswer> {
    const number = this.#at;
    const { form: expected, answer } = this.#take('question', `form "${form.id}" (${form.fields.map(({ name }) => name).join(', ')})`);
    const shown = Object.fromEntries(Object.entries(form).filter(([name]) => name in expected));
    assert.deepEqual({ step: number, ...shown }, { step: number, ...expected });
    if (answer.type === 'submit') {
      for (const value of Object.values(answer.values)) if (value instanceof Secret && !value.isEmpty) this.#secrets.add(value.reveal());
    }
    return answer;
  }

  async checkHost(request: HostCheckRequest): Promise<void> {
    const number = this.#at;
    const { request: expected } = this.#take('host-check', `host check ${request.arguments.join(' ')}`);
    assert.deepEqual({ step: number, ...request }, { step: number, ...expected });
  }

  async sleep(ms: Millis): Promise<void> {
    assert.equal(ms, this.#take('pause', `a pause of ${ms} ms`).ms);
  }

  now(): number {
    return this.#options.now ?? 1_800_000_000_000;
  }

  /** Throws unless the script is over, and nothing secret was logged. */
  assertFinished(): void {
    assert.equal(this.#at, this.#steps.length, `the script was left at step ${this.#at} of ${this.#steps.length}`);
    for (const line of [...this.log.lines, ...this.requests.map(({ shownBody = '' }) => shownBody)]) {
      for (const secret of this.#secrets) assert.ok(!line.includes(secret), `a secret is in the log: ${line}`);
    }
  }

  #take<Kind extends Step['kind']>(kind: Kind, what: string): Extract<Step, { kind: Kind }> {
    const step = this.#steps[this.#at];
    assert.equal(step?.kind, kind, `step ${this.#at}: the script has ${step?.kind ?? 'ended'}, but there came ${what}`);
    this.#at++;
    return step as Extract<Step, { kind: Kind }>;
  }
}
