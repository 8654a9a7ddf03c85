/** What a log-in is done with, besides its world. */

import type { AuthSchemeName } from '../../http/auth/scheme.ts';
import type { Secret } from '../../secret.ts';
import type { ClientIdentification } from '../client-protocol.ts';
import type { Strap } from './strap.ts';

export interface LoginOptions {
  readonly client: ClientIdentification;
  /** False: forms without the XML envelope from the start (`--no-xmlpost`). */
  readonly usesXml: boolean;
  /** Binds the cookie to a key. */
  readonly strap?: Strap;
  /** Schemes of HTTP authentication that may be used towards the gateway. */
  readonly httpAuth: readonly AuthSchemeName[];
  /** OIDC: sent as HTTP's Bearer token. */
  readonly bearerToken?: Secret;
}
