/** A client's requests as this vendor has them (spec "Fortinet", section 1.2). */
import type { LoginIo, Target } from '../../auth/login-io.ts';
import type { Secret } from '../../secret.ts';
import type { ClientIdentification } from '../client-protocol.ts';
import { PageHttp } from '../page-http.ts';
import { SESSION_COOKIE } from './session-cookie.ts';

/** Portals with host checks look at it (spec 1.2). */
export const USER_AGENT = 'Mozilla/5.0 SV1';

export class FortinetHttp extends PageHttp {
  constructor(io: LoginIo, place: Target, { chosenUserAgent = USER_AGENT }: ClientIdentification) {
    super(io, place, chosenUserAgent);
  }

  /** The session's cookie, if the gateway has set it. */
  get session(): Secret | undefined {
    return this.jar.get(SESSION_COOKIE);
  }
}
