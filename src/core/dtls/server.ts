/**
 * The DTLS server, for one association: whoever owns the UDP port finds out whose a hello is (`first-hello.ts`) and makes one of these for it.
 *
 * Read first: spec "AnyConnect", sections 7.7 and 7.8; `association.ts`.
 */
import { DtlsAssociation } from './association.ts';
import type { DtlsOptions } from './association-options.ts';
import { type CertificateServerOptions, type PskServerOptions, type ResumptionOptions, serverCredentials } from './credentials.ts';
import { DIALECTS } from './dialect.ts';
import type { HelloCookieOptions } from './hello-cookie.ts';
import { ServerHandshake } from './server-handshake.ts';

export interface DtlsServerOptions extends DtlsOptions {
  readonly credentials: PskServerOptions | ResumptionOptions | CertificateServerOptions;
  /** Ask for a cookie before anything is kept (RFC 6347 §4.2.1). Default: no. */
  readonly cookie?: HelloCookieOptions;
}

export class DtlsServer extends DtlsAssociation {
  /** Throws {@link MisuseError} for options that cannot be. */
  constructor(options: DtlsServerOptions) {
    const dialect = DIALECTS[options.version];
    const role = new ServerHandshake(serverCredentials(options.credentials, dialect), options.cookie);
    super(role, options);
  }
}
