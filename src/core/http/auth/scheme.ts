/** What an HTTP authentication scheme is to the {@link HttpAuthenticator}, and who logs in. */
import type { Secret } from '../../secret.ts';
import type { Challenge } from './challenge.ts';

export type AuthSchemeName = 'negotiate' | 'ntlm' | 'digest' | 'bearer' | 'basic';

export interface Credentials {
  /** For NTLM `DOMAIN\user` or `user@domain` as well. */
  readonly username: string;
  readonly password: Secret;
}

/** The request that is to be authenticated. */
export interface AuthenticatedRequest {
  readonly method: string;
  /** The request target as it is sent. */
  readonly target: string;
}

/** One scheme's side of the conversation with one server. No IO and no clock. */
export interface AuthScheme {
  readonly name: AuthSchemeName;

  /**
   * Takes the server's challenges of this scheme. `isKept` says that the connection they came on is still open.
   * Undefined if it can go on; otherwise why not, for people.
   */
  challenged(challenges: readonly Challenge[], isKept: boolean): string | undefined;

  /** The credentials of the next request; undefined if it needs none. `unixMillis` is the time of day. */
  authorization(request: AuthenticatedRequest, unixMillis: number): string | undefined;

  /** The server took the credentials. Absent where that changes nothing. */
  accepted?(): void;

  /** The next request goes on a new connection. Absent where nothing is bound to one. */
  connectionOpened?(): void;
}
