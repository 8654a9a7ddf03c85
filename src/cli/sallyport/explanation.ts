/** Why a command ended, for people: one sentence, the next step, and the exit code. */
import { CertificateNotTrustedError } from '../../client/server-trust.ts';
import { DEVICE_FAILED } from '../../client/vpn-session.ts';
import {
  CancelledError,
  MisuseError,
  NetworkError,
  PeerMisbehavedError,
  PeerRefusedError,
  SallyportError,
  UnsupportedError,
} from '../../core/errors.ts';
import type { Outcome } from '../../core/session/session-machine.ts';
import { printable } from '../../core/wire/text.ts';
import { CredentialError } from '../../node/credentials/credential-error.ts';
import { certificateFaultText } from './certificate-fault.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface Explanation {
  readonly exitCode: ExitCode;
  /** Stable: an error's code, or what kind of end it was. */
  readonly code: string;
  /** What happened. */
  readonly message: string;
  /** What to do about it, where we know. */
  readonly next?: string;
}

/** How far a connection had come. */
export type Stage = 'logging in' | 'connecting' | 'connected';

/** A question of the log-in that nobody answered; the message says which option answers it. */
export const NO_ANSWER = 'ERR_NO_ANSWER';

/** How a connection ended. */
export function explainOutcome({ kind, message, error }: Outcome, stage: Stage): Explanation {
  switch (kind) {
    case 'logged-off':
    case 'detached':
      return stage === 'connected' ? { exitCode: EXIT.ok, code: kind, message } : STOPPED;
    case 'refused':
      return {
        exitCode: EXIT.sessionRefused,
        code: 'ERR_SESSION_REFUSED',
        message: sentence(message),
        next: stage === 'connected' ? CONNECT_AGAIN : NEW_COOKIE,
      };
    case 'ended-by-peer':
      return { exitCode: EXIT.endedByGateway, code: 'ERR_SESSION_ENDED', message: sentence(message) };
    case 'failed':
      if (error !== undefined) return explainError(error, stage);
      return { exitCode: EXIT.noConnection, code: 'ERR_SESSION_FAILED', message: sentence(message), next: CHECK_NETWORK };
    default:
      return kind satisfies never;
  }
}

const STOPPED: Explanation = { exitCode: EXIT.stopped, code: 'ERR_CANCELLED', message: 'Stopped before the tunnel was up.' };
const CONNECT_AGAIN = 'Connect again.';
const NEW_COOKIE = 'Get another cookie with "sallyport login", or connect without --cookie-stdin.';
const NEEDS_ROOT = 'Run it with sudo. To log in without: sudo -v && sallyport login HOST | sudo sallyport connect HOST --cookie-stdin';
const TRY_AGAIN = 'Try again, or pick another group with --group.';
const IS_IT_A_GATEWAY = 'Is that the address of a VPN gateway? If it is, please report this, with what --verbose prints.';
/** The answer of a server that does not know the requests of a log-in, in the words of login.ts. */
const HTTP_ERROR = /: HTTP\/1\.[01] [45]\d\d /;
const REPORT = 'Please report it, with what --verbose prints.';
const CHECK_NETWORK = 'Check the network of this machine, and whether the gateway is up.';

/** An error that ended a command. */
export function explainError(error: unknown, stage: Stage): Explanation {
  if (!(error instanceof SallyportError)) return unexpected(error);
  const said = { code: error.code, message: sentence(printable(error.message)) };
  if (error instanceof CertificateNotTrustedError) return notTrusted(error);
  switch (error.code) {
    case 'ERR_PERMISSION':
      return { ...said, exitCode: EXIT.localSetup, next: NEEDS_ROOT };
    case 'ERR_TLS':
      return { ...said, exitCode: EXIT.noConnection, next: 'If the gateway is an old one, try --allow-legacy tls.' };
    case 'ERR_STATE_DIRECTORY':
    case 'ERR_NETWORK_SETUP':
    case 'ERR_NETWORK_UNDO':
    case 'ERR_JOURNAL':
    case 'ERR_PROGRAM':
    case 'ERR_CONTROL':
    case 'ERR_LISTEN':
    case 'ERR_NAMESPACE':
    case DEVICE_FAILED:
      return { ...said, exitCode: EXIT.localSetup };
    case NO_ANSWER:
      return { ...said, exitCode: EXIT.loginFailed };
    case 'ERR_INTERNAL':
      return unexpected(error);
  }
  if (error instanceof CancelledError) return stage === 'connected' ? { ...said, exitCode: EXIT.ok } : STOPPED;
  if (error instanceof PeerRefusedError) {
    return stage === 'logging in'
      ? { ...said, exitCode: EXIT.loginFailed, next: HTTP_ERROR.test(error.message) ? IS_IT_A_GATEWAY : TRY_AGAIN }
      : { ...said, exitCode: EXIT.endedByGateway };
  }
  if (error instanceof NetworkError) return { ...said, exitCode: EXIT.noConnection, next: CHECK_NETWORK };
  if (error instanceof MisuseError || error instanceof CredentialError) return { ...said, exitCode: EXIT.usage };
  if (stage === 'logging in' && error instanceof PeerMisbehavedError) {
    return { ...said, exitCode: EXIT.loginFailed, message: `What answers there is not understood: ${said.message}`, next: IS_IT_A_GATEWAY };
  }
  if (stage === 'logging in' && error instanceof UnsupportedError) return { ...said, exitCode: EXIT.loginFailed };
  return { ...said, exitCode: EXIT.unexpected, next: REPORT };
}

function notTrusted({ code, host, pin, fault }: CertificateNotTrustedError): Explanation {
  const [problem, next] =
    fault === undefined
      ? [
          'its key is none of those that you named.',
          'If the gateway has a new key, ask whoever runs it for the new pin. Somebody else may be answering in its place.',
        ]
      : [
          `${certificateFaultText(fault)}.`,
          'If you know that this is your gateway’s key, name it with --pin; or name the authority that vouches for it with --ca-file.',
        ];
  return {
    exitCode: EXIT.notTrusted,
    code,
    message: `The certificate of ${printable(host)} is not trusted: ${problem} Its key is ${pin}.`,
    next,
  };
}

function unexpected(error: unknown): Explanation {
  const text = error instanceof Error ? error.message : String(error);
  return {
    exitCode: EXIT.unexpected,
    code: 'ERR_INTERNAL',
    message: `Something went wrong that should not: ${sentence(printable(text))}`,
    next: REPORT,
  };
}

/** With a capital letter and a full stop. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  return `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}${/[.!?:]$/.test(trimmed) ? '' : '.'}`;
}
