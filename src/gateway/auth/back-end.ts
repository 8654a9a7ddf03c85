/**
 * What a password is checked by. A log-in is a talk: the back end asks, one prompt at a time, until it knows.
 *
 *   begin ─► ask ─► answer ─► ask ─► … ─► accepted | wrong | unavailable
 */
import type { Secret } from '../../core/secret.ts';
import type { IpAddress } from '../../core/wire/ip-address.ts';
import type { SessionPolicy } from '../config/gateway-config.ts';

export interface LoginAttempt {
  readonly user: string;
  /** The one that the user chose. */
  readonly group?: string;
  readonly remote: IpAddress;
  readonly local: IpAddress;
  readonly userAgent: string;
}

export interface Prompt {
  readonly message: string;
  readonly label: string;
  readonly kind: 'password' | 'otp' | 'text';
  /** A further factor, by the field's name that token generators know it by. */
  readonly isSecond: boolean;
}

export type Verdict =
  | { readonly type: 'ask'; readonly prompt: Prompt }
  | ({ readonly type: 'accepted' } & AcceptedUser)
  /** `isFinal`: no second try, as the whole log-in would have to begin anew. */
  | { readonly type: 'wrong'; readonly isFinal: boolean }
  /** Nobody is to blame but the back end. It has been logged. */
  | { readonly type: 'unavailable' };

export interface AcceptedUser {
  /** Where the back end has another name for the user than was typed. */
  readonly user?: string;
  /** The first is the user's own, where none was chosen. Undefined: this back end knows no groups. */
  readonly groups?: readonly string[];
  readonly policy?: Partial<SessionPolicy>;
  /** RADIUS's Class attributes: accounting gives them back (RFC 2865 §5.25). */
  readonly classes?: readonly Uint8Array[];
}

/** One try. Not used any more after its verdict, or after `close`. */
export interface BackEndLogin {
  /** The first prompt; back ends that need none may decide at once. */
  begin(): Promise<Verdict>;
  answer(value: Secret): Promise<Verdict>;
  /** Ends what is running for it. Safe to call twice. */
  close(): void;
}

export interface PasswordBackEnd {
  login(attempt: LoginAttempt): BackEndLogin;
  /** All groups that it knows, for `auto-select-group`. */
  groups?(): Promise<readonly string[]>;
}

/** Observed of ocserv, word for word. */
export const PASSWORD_PROMPT: Prompt = { message: 'Please enter your password.', label: 'Password:', kind: 'password', isSecond: false };
