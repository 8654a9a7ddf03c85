/** An auth service for one test: its files in a folder of its own, time that the test moves, randomness by a counter, and what it has reported. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type AuthStep, LOGIN_FIELDS, type LoginHints } from '../../../src/core/auth/dialogue.ts';
import type { AuthForm, FormValues } from '../../../src/core/auth/form.ts';
import type { LogFields, Logger } from '../../../src/core/log.ts';
import { Secret } from '../../../src/core/secret.ts';
import { formatIp, type IpAddress, parseIp } from '../../../src/core/wire/ip-address.ts';
import { createAuthService } from '../../../src/gateway/auth/auth-service.ts';
import type { GatewayConfig } from '../../../src/gateway/config/gateway-config.ts';
import type { AuthService } from '../../../src/gateway/processes/auth-service.ts';

export const START = Date.UTC(2026, 10, 23, 12, 0, 0);

/** Throws for what is no address: a mistake of the test. */
export function ip(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return address;
}

export class AuthScene implements AsyncDisposable {
  readonly folder: string = mkdtempSync(path.join(tmpdir(), 'sallyport-auth-'));
  /** Milliseconds since 1970. */
  now: number = START;
  /** Addresses of wrong passwords, in their order. */
  readonly failures: string[] = [];
  readonly logged: { readonly event: string; readonly fields: LogFields | undefined }[] = [];
  readonly log: Logger = { log: (_level, event, fields) => this.logged.push({ event, fields }) };
  #random = 0;
  #service: (AuthService & AsyncDisposable) | undefined;

  file(name: string): string {
    return path.join(this.folder, name);
  }

  /** Different at each call, the same in each run. */
  readonly random = (length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setUint8(0, ++this.#random);
    if (length > 4) new DataView(bytes.buffer).setUint32(1, this.#random);
    return bytes;
  };

  get service(): AuthService {
    if (this.#service === undefined) throw new Error('open the service first');
    return this.#service;
  }

  /** Opens the service, or stops it and opens another one over the same files. */
  async open(config: GatewayConfig): Promise<AuthService> {
    await this.#service?.[Symbol.asyncDispose]();
    const { log, random } = this;
    const events = { failed: (remote: IpAddress) => void this.failures.push(formatIp(remote)) };
    this.#service = await createAuthService(config, { stateFile: this.file('sessions.db'), events, log, random, now: () => this.now });
    return this.#service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#service?.[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }

  hints(more: Partial<LoginHints> = {}): LoginHints {
    return {
      remote: { address: ip('192.0.2.7'), port: 50_000 },
      local: { address: ip('192.0.2.1'), port: 443 },
      userAgent: 'test/1',
      ...more,
    };
  }

  /** Begins a log-in and answers its forms with these values, one after the other; the last step. */
  async logIn(answers: readonly FormValues[], more: Partial<LoginHints> = {}): Promise<AuthStep> {
    const { dialogue, step } = await this.service.begin(this.hints(more));
    let last: AuthStep | undefined = step;
    for (const values of answers) last = await this.service.answer(dialogue, values, this.hints(more).remote.address);
    if (last === undefined) throw new Error('the dialogue was gone before its last answer');
    return last;
  }

  /** A user's whole log-in by password. */
  logInAs(user: string, ...passwords: readonly string[]): Promise<AuthStep> {
    return this.logIn([{ [LOGIN_FIELDS.username]: user }, ...passwords.map((password) => ({ password: new Secret(password) }))]);
  }
}

/** The form of a step that asks. */
export function formOf(step: AuthStep): AuthForm {
  if (step.type !== 'ask') throw new Error(`the log-in was ${step.type}, and should have asked`);
  return step.form;
}

export function cookieOf(step: AuthStep): Secret {
  if (step.type !== 'admitted') throw new Error(`the log-in was ${step.type}, and should have been admitted`);
  return step.cookie;
}
