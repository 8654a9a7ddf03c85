/** TLS inside of another conversation, as EAP-TTLS has it: by whoever has TLS, for those who carry its records. */

/** One end. */
export interface InnerTls {
  /** The handshake is done. */
  readonly isOpen: boolean;
  /** What has come of the peer's records. */
  receive(records: Uint8Array): void;
  /** One call, one record. */
  write(bytes: Uint8Array): void;
  /** Resolves once it waits for the peer. Rejects with NetworkError if TLS failed, or the peer is another. */
  settle(): Promise<void>;
  /** What is to be carried to the peer, and what was inside of what it said: each once. */
  takeRecords(): Uint8Array;
  takeReceived(): Uint8Array;
  close(): void;
}

/** A gateway's end, which shows its own certificate and asks for the client's. */
export interface InnerTlsServer extends InnerTls {
  /** What the client has shown; good by the same rules as on a connection's own TLS. Nothing before {@link InnerTls.isOpen}. */
  readonly client: ClientFindings;
}

/** What a client has shown of itself in TLS. */
export interface ClientFindings {
  /** Its certificate and its issuers, DER, leaf first, if OpenSSL has found them good. */
  readonly clientChain?: readonly Uint8Array[];
  /** Why it has not: the client is then one without a certificate. */
  readonly clientCertificateFault?: string;
}
