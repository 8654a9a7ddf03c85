/**
 * A log-in as a gateway's back ends lead it: questions are the same {@link AuthForm} that a client shows, whatever vendor's words carry them in between.
 *
 *   begin ─► ask ─► next(values) ─► ask ─► … ─► admitted | refused
 *
 * The mirror image of the answerer chain in `answerers.ts`.
 */
import type { Secret } from '../secret.ts';
import type { Endpoint } from '../wire/ip-address.ts';
import type { AuthForm, FormValues } from './form.ts';

/** What is known of a client before anyone has asked it anything. */
export interface LoginHints {
  readonly remote: Endpoint;
  /** Where it arrived. */
  readonly local: Endpoint;
  /** The virtual host that it asked for by SNI; undefined: the default host. */
  readonly host?: string;
  readonly userAgent: string;
  /** The group that it chose, by value or by friendly name: a form for that group is wanted. */
  readonly group?: string;
  /** The certificate of its TLS connection, whose key it has proved to hold and whose chain was verified; DER, leaf first. */
  readonly certificateChain?: readonly Uint8Array[];
  /** A token that came with the request (`Authorization: Bearer`). */
  readonly bearer?: Secret;
  /**
   * A public key of the client's (DER SubjectPublicKeyInfo) that the session is to be bound to: kept with it, and given back as
   * `GatewaySession.boundKey`. The vendor sees to it that whoever brings the cookie has the private one.
   */
  readonly boundKey?: Uint8Array;
  /** The log-in makes no session but a pass for one, which is what its last step has for a cookie: a portal's, whose gateways ask nothing again. */
  readonly wantsPass?: boolean;
  /** A pass that an earlier log-in has got, and the name that was given then: while it is good no password is asked for. */
  readonly pass?: { readonly pass: Secret; readonly username: string };
}

/** One log-in. It may span connections, and continue in another process than it began in. */
export interface AuthDialogue {
  /** Unguessable (256 bits, base64); a client brings it back as a cookie. */
  readonly id: string;
  /** Answers the form of the step before. Values that the form did not ask for are ignored. */
  next(values: FormValues): Promise<AuthStep>;
}

export type AuthStep =
  | { readonly type: 'ask'; readonly form: AuthForm }
  /** The cookie, or the pass ({@link LoginHints.wantsPass}), is shown once: stores keep a hash of the one, and nothing of the other. */
  | { readonly type: 'admitted'; readonly user: string; readonly group?: string; readonly cookie: Secret; readonly isPass?: true }
  /** The dialogue is over. `message` is for the person, and never says whether it was the name or the password. */
  | { readonly type: 'refused'; readonly message: string };

/** The fields of forms that all vendors know by name. */
export const LOGIN_FIELDS = {
  username: 'username',
  password: 'password',
  /** Values are group names; labels are what people see. */
  group: 'group_list',
  /** A further factor: one-time code, RADIUS challenge. */
  secondPassword: 'secondary_password',
} as const;
