/**
 * The DTLS client.
 *
 * Read first: spec "AnyConnect", sections 7.2 to 7.9; `association.ts`.
 *
 * @example
 * const dtls = new DtlsClient({ crypto, version: '1.2', credentials: { kind: 'psk', identity: utf8('psk'), key, sessionId: appId } });
 * dtls.handleTimeout(now, out); // nextTimeout() was 0: the hello leaves
 * dtls.receive(datagram, now, out); // … until dtls.state.name is 'up' or 'failed'; how long to wait is the owner's decision
 */
import type { Extension } from '../tls-messages/extensions.ts';
import { DtlsAssociation } from './association.ts';
import type { DtlsOptions } from './association-options.ts';
import { ClientHandshake } from './client-handshake.ts';
import { type CertificateOptions, clientCredentials, type PskOptions, type ResumptionOptions } from './credentials.ts';
import { DIALECTS } from './dialect.ts';

export interface DtlsClientOptions extends DtlsOptions {
  readonly credentials: PskOptions | ResumptionOptions | CertificateOptions;
  /** Extensions to offer in front of ours, for servers that are used to hellos of a certain shape. An answer to one ends the handshake. */
  readonly extraExtensions?: readonly Extension[];
}

export class DtlsClient extends DtlsAssociation {
  /** Throws {@link MisuseError} for options that cannot be. Copies the secrets: the caller may wipe its own at once. */
  constructor(options: DtlsClientOptions) {
    const dialect = DIALECTS[options.version];
    const role = new ClientHandshake(clientCredentials(options.credentials, dialect), dialect, options.extraExtensions ?? []);
    super(role, options);
  }
}
