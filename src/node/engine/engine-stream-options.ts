/** What a TLS connection in the engine is made of: a socket and settings, or a connection that this thread has made. */
import type { Endpoint } from '../../core/wire/ip-address.ts';
import type { TlsHandle } from '../ffi/openssl-tls.ts';
import type { TlsSettings } from '../ffi/openssl-tls-context.ts';
import type { SecuredFacts } from './stream-messages.ts';

export interface EngineStreamOptions {
  /** For messages. */
  readonly host: string;
  readonly tls: TlsSettings;
  readonly signal: AbortSignal;
}

/** A connection whose handshake is over, with the bytes that came of it and were not read yet. */
export interface AdoptionOptions {
  /** Of a connected socket of this process. */
  readonly fd: number;
  readonly handle: TlsHandle;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** For messages. */
  readonly host: string;
  readonly facts: SecuredFacts;
}
