/** Our log-in through a script: the credential, and the world with its log. */
import assert from 'node:assert/strict';
import type { Credential } from '../../src/core/auth/login-io.ts';
import { parseServer } from '../../src/core/http/url.ts';
import { login } from '../../src/core/protocols/anyconnect/login.ts';
import type { LoginOptions } from '../../src/core/protocols/anyconnect/login-options.ts';
import type { ClientIdentification } from '../../src/core/protocols/client-protocol.ts';
import type { Step } from './login-script.ts';
import { ScriptedLoginIo, type ScriptedLoginIoOptions } from './scripted-login-io.ts';
import { testCrypto } from './test-crypto.ts';

export const CLIENT: ClientIdentification = {
  userAgent: 'Open AnyConnect VPN Agent v9.01',
  version: 'v9.01',
  os: 'linux-64',
  localHostname: 'laptop',
};

export interface LogInOptions {
  /** Default: `vpn.example`. */
  readonly server?: string;
  readonly login?: Partial<LoginOptions>;
  readonly io?: Partial<ScriptedLoginIoOptions>;
}

/** Logs in, plays the whole script, and checks that it was all needed. */
export async function logIn(steps: readonly Step[], options: LogInOptions = {}): Promise<{ credential: Credential; io: ScriptedLoginIo }> {
  const { io, outcome } = start(steps, options);
  const credential = await outcome;
  io.assertFinished();
  return { credential, io };
}

/** Fails to log in, for this reason, with the whole script played. */
export async function failToLogIn(
  steps: readonly Step[],
  expected: { readonly name?: string; readonly message?: RegExp; readonly code?: string },
  options: LogInOptions = {},
): Promise<ScriptedLoginIo> {
  const { io, outcome } = start(steps, options);
  await assert.rejects(outcome, expected);
  io.assertFinished();
  return io;
}

function start(steps: readonly Step[], options: LogInOptions): { io: ScriptedLoginIo; outcome: Promise<Credential> } {
  const io = new ScriptedLoginIo(steps, { crypto: testCrypto(), ...options.io });
  const target = parseServer(options.server ?? 'vpn.example');
  const outcome = login(io, target, { client: CLIENT, usesXml: true, httpAuth: ['negotiate', 'ntlm', 'digest'], ...options.login });
  return { io, outcome };
}
