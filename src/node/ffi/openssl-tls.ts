/**
 * TLS by the OpenSSL inside the Node executable, on memory BIOs: whoever owns the socket moves the bytes, so that many records leave by one send.
 *
 *   socket ── recv ──► network room ── BIO_write ──► in ── SSL_read ───► plaintext, one record a call
 *   socket ◄─ send ──────────────────────────────── out ◄─ SSL_write ── plaintext, one call a record
 *
 * Read first: OpenSSL manual, ssl(7), BIO_s_mem(3) and SSL_get_error(3).
 */
import { MisuseError } from '../../core/errors.ts';
import { MAX_RECORD, NETWORK_ROOM, type OpenSslTls, SCRATCH_ROOM } from './openssl-tls-calls.ts';
import { TlsContext, type TlsSettings } from './openssl-tls-context.ts';

/** BIO_CTRL_INFO: a memory BIO's length as the result, and where its bytes lie. */
const BIO_CTRL_INFO = 3;
/** How many bytes are in a BIO. */
const BIO_CTRL_PENDING = 10;
/** SSL_CTRL_SET_TLSEXT_HOSTNAME, and the type of a name. */
const SSL_CTRL_SERVER_NAME = 55;
const NAME_TYPE_HOST = 0;
/** Without SSL_MODE_AUTO_RETRY a read ends also with a record that has no data in it. */
const SSL_CTRL_CLEAR_MODE = 78;
const SSL_MODE_AUTO_RETRY = 4;
/**
 * Reads that may end without data though there was a record, and one more for so many with data: tickets, new keys now and then; a key update that asks
 * for an answer ends two. It costs some 20 µs, so that a read's worth of them would hold the thread for a tenth of a second.
 */
const MAX_CONTROLS = 128;
const RECORDS_OF_CONTROL = 1024;

/** SSL_CTRL_SET_MAX_SEND_FRAGMENT and SSL_CTRL_SET_SPLIT_SEND_FRAGMENT: the most plaintext of a record, and where a longer write is cut. */
const SSL_CTRL_MAX_FRAGMENT = 52;
const SSL_CTRL_SPLIT_FRAGMENT = 125;
/** The least that OpenSSL cuts at. */
export const MIN_FRAGMENT = 512;

/** SSL_KEY_UPDATE_REQUESTED: the peer is to renew its key too. */
const KEY_UPDATE_REQUESTED = 1;
/** TLS1_3_VERSION. */
const TLS_1_3 = 0x0304;

/** Of SSL_get_error. */
const SSL_ERROR = { wantRead: 2, wantWrite: 3, syscall: 5, zeroReturn: 6 } as const;

/** Longest Finished: SHA-384 of TLS 1.3. */
const MAX_FINISHED = 64;

/** What {@link TlsSession.read} answers instead of a length. */
export const NOT_READ = { nothingYet: 0, ended: -1, failed: -2 } as const;

/** X509_V_OK. */
const VERIFIED = 0;

/** X509_V_ERR_ by number, with the names that Node has for them. */
const VERIFY_FAULTS: ReadonlyMap<number, string> = new Map([
  [2, 'UNABLE_TO_GET_ISSUER_CERT'],
  [4, 'UNABLE_TO_DECRYPT_CERT_SIGNATURE'],
  [6, 'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY'],
  [7, 'CERT_SIGNATURE_FAILURE'],
  [9, 'CERT_NOT_YET_VALID'],
  [10, 'CERT_HAS_EXPIRED'],
  [13, 'ERROR_IN_CERT_NOT_BEFORE_FIELD'],
  [14, 'ERROR_IN_CERT_NOT_AFTER_FIELD'],
  [18, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  [19, 'SELF_SIGNED_CERT_IN_CHAIN'],
  [20, 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
  [21, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  [22, 'CERT_CHAIN_TOO_LONG'],
  [23, 'CERT_REVOKED'],
  [25, 'PATH_LENGTH_EXCEEDED'],
  [26, 'INVALID_PURPOSE'],
  [27, 'CERT_UNTRUSTED'],
  [28, 'CERT_REJECTED'],
  [79, 'INVALID_CA'],
]);

/** Certificates of a peer that are looked at. */
const MAX_CHAIN = 20;

/** What a peer showed, and what is wrong with it. */
export interface PeerVerification {
  /** DER, the peer's own certificate first. */
  readonly chain: readonly Uint8Array[];
  /** Node's code for it; undefined: nothing, but for the name. */
  readonly fault: string | undefined;
}

/** Addresses of an SSL and of its two BIOs: a connection between two owners. */
export interface TlsHandle {
  readonly ssl: number;
  readonly input: number;
  readonly output: number;
}

/** One TLS connection. It knows no socket: {@link feed} and {@link unsent} are its network. */
export class TlsSession {
  readonly #tls: OpenSslTls;
  readonly #in: number;
  readonly #out: number;
  /** Address of an SSL; undefined after {@link close}. */
  #ssl: number | undefined = undefined;
  #failure = '';
  /** Where OpenSSL cuts what is written. */
  #fragment = MAX_RECORD;
  /** Reads with data, and those that ended without. */
  #records = 0;
  #controls = 0;

  /** A new connection. @throws MisuseError for settings that OpenSSL refuses */
  static create(tls: OpenSslTls, settings: TlsSettings): TlsSession {
    using context = new TlsContext(tls, settings);
    const session = TlsSession.#of(tls, context.address); // it holds the context from here on
    const { ssl } = session.#live;
    if (settings.role === 'server') tls.call.accepts(ssl);
    else tls.call.connects(ssl);
    if (settings.serverName !== undefined) tls.call.sessionText(ssl, SSL_CTRL_SERVER_NAME, NAME_TYPE_HOST, settings.serverName);
    return session;
  }

  /** A new connection of a server, by the address of its SSL_CTX. */
  static accept(tls: OpenSslTls, context: number): TlsSession {
    const session = TlsSession.#of(tls, context);
    tls.call.accepts(session.#live.ssl);
    return session;
  }

  /** One that another thread has given up by {@link detach}. */
  static adopt(tls: OpenSslTls, handle: TlsHandle): TlsSession {
    return new TlsSession(tls, handle);
  }

  static #of(tls: OpenSslTls, context: number): TlsSession {
    const { call } = tls;
    const ssl = call.newSession(context);
    const [input, output] = [call.newBio(call.memoryBio()), call.newBio(call.memoryBio())];
    call.setBios(ssl, input, output); // the BIOs are the SSL's: freed with it
    call.sessionControl(ssl, SSL_CTRL_CLEAR_MODE, SSL_MODE_AUTO_RETRY, 0); // each record comes to read()
    return new TlsSession(tls, { ssl, input, output });
  }

  private constructor(tls: OpenSslTls, handle: TlsHandle) {
    this.#tls = tls;
    this.#in = handle.input;
    this.#out = handle.output;
    this.#ssl = handle.ssl;
  }

  /** Gives the connection up, for another thread: whoever has the handle must adopt it, and free it then. */
  detach(): TlsHandle {
    const { ssl, input, output } = this.#live;
    this.#cutAt(ssl, MAX_RECORD); // as a new owner expects it
    this.#ssl = undefined;
    const { call } = this.#tls;
    const isEmpty = [input, output].every((bio) => call.controlBio(bio, BIO_CTRL_PENDING, 0, 0) === 0);
    if (!isEmpty) return { ssl, input, output };
    // New ones: a memory BIO keeps the room of the most that was ever in it, which were certificates. 10 KiB less for each idle connection.
    const handle = { ssl, input: call.newBio(call.memoryBio()), output: call.newBio(call.memoryBio()) };
    call.setBios(ssl, handle.input, handle.output); // frees the old ones
    return handle;
  }

  /** Address of its SSL; undefined after {@link close}. */
  get address(): number | undefined {
    return this.#ssl;
  }

  get #live(): TlsHandle {
    if (this.#ssl === undefined) throw new MisuseError('this TLS connection is closed');
    return { ssl: this.#ssl, input: this.#in, output: this.#out };
  }

  /** Why {@link handshake} or {@link read} failed, in OpenSSL's words. */
  get failure(): string {
    return this.#failure;
  }

  /** Goes on with the handshake. What it wants sent is {@link unsent}. */
  handshake(): 'done' | 'waiting' | 'failed' {
    const ssl = this.#ssl;
    if (ssl === undefined) return 'failed';
    const result = this.#tls.call.handshake(ssl);
    if (result === 1) return 'done';
    return this.#whyNot(ssl, result) === NOT_READ.nothingYet ? 'waiting' : 'failed';
  }

  /** Takes bytes from the network that lie at the start of {@link OpenSslTls.network}. */
  feed(networkAddress: number, length: number): void {
    this.#tls.call.writeBio(this.#in, networkAddress, length);
  }

  /** Reads a record's plaintext, up to `room` bytes, to an address. Its length, or one of {@link NOT_READ}. */
  read(address: number, room: number): number {
    const ssl = this.#ssl;
    if (ssl === undefined) return NOT_READ.ended;
    const { call } = this.#tls;
    for (;;) {
      const length = call.read(ssl, address, room);
      if (length > 0) {
        this.#records++;
        return length;
      }
      const why = this.#whyNot(ssl, length);
      if (why !== NOT_READ.nothingYet || call.controlBio(this.#in, BIO_CTRL_PENDING, 0, 0) === 0) return why;
      // A record without data is done with, and more have come.
      this.#controls++;
      if (this.#controls > MAX_CONTROLS + this.#records / RECORDS_OF_CONTROL) {
        this.#failure = 'too many key updates';
        return NOT_READ.failed;
      }
    }
  }

  /**
   * Makes records of what lies at an address: one, or several of `recordLength` bytes each, of which the last may be shorter.
   *
   * @param recordLength up to 16384; of several at least {@link MIN_FRAGMENT}
   * @returns false: the connection is over
   */
  write(address: number, length: number, recordLength: number = length): boolean {
    const ssl = this.#ssl;
    if (ssl === undefined) return false;
    if (length > recordLength) this.#cutAt(ssl, recordLength);
    else if (length > this.#fragment) this.#cutAt(ssl, MAX_RECORD);
    const written = this.#tls.call.write(ssl, address, length);
    if (written === length) return true;
    this.#whyNot(ssl, written);
    return false;
  }

  #cutAt(ssl: number, fragment: number): void {
    if (fragment === this.#fragment) return;
    const { call } = this.#tls;
    this.#fragment = fragment;
    call.sessionControl(ssl, SSL_CTRL_MAX_FRAGMENT, fragment, 0);
    call.sessionControl(ssl, SSL_CTRL_SPLIT_FRAGMENT, fragment, 0);
  }

  /** How many bytes wait for the network; {@link unsentAddress} says where they lie until the next call of this object. */
  get unsent(): number {
    const { call, arena, scratch } = this.#tls;
    return this.#ssl === undefined ? 0 : call.controlBio(this.#out, BIO_CTRL_INFO, 0, arena.address(scratch));
  }

  get unsentAddress(): number {
    return this.#tls.addressAt(this.#tls.scratch);
  }

  /** So many of the unsent bytes have left. */
  sent(length: number): void {
    const { call, arena, network } = this.#tls;
    for (let left = length; left > 0; left -= NETWORK_ROOM) {
      call.readBio(this.#out, arena.address(network), Math.min(left, NETWORK_ROOM));
    }
  }

  /** Tells the peer that nothing more comes (close_notify). */
  end(): void {
    if (this.#ssl === undefined) return;
    this.#tls.call.shutdown(this.#ssl);
    this.#tls.call.clearErrors(); // the peer need not have answered
  }

  /** Asks for new keys in both directions (RFC 8446 §4.6.3). False where the version cannot. */
  updateKeys(): boolean {
    const ssl = this.#ssl;
    const { call } = this.#tls;
    if (ssl === undefined || !this.updatesKeys) return false;
    if (call.updateKey(ssl, KEY_UPDATE_REQUESTED) === 1 && call.handshake(ssl) === 1) return true;
    call.clearErrors();
    return false;
  }

  get updatesKeys(): boolean {
    return this.#ssl !== undefined && this.#tls.call.version(this.#ssl) >= TLS_1_3;
  }

  /** DER of the peer's certificate. */
  get peerCertificate(): Uint8Array | undefined {
    const { call } = this.#tls;
    const certificate = this.#ssl === undefined ? 0 : call.peerCertificate(this.#ssl);
    if (certificate === 0) return undefined;
    try {
      return this.#tls.certificate(certificate);
    } finally {
      call.freeCertificate(certificate);
    }
  }

  /** What a client was shown, and what is wrong with it by the authorities of its settings. */
  get verification(): PeerVerification {
    const { call } = this.#tls;
    if (this.#ssl === undefined) return { chain: [], fault: 'UNSPECIFIED' };
    const stack = call.peerChain(this.#ssl);
    const count = stack === 0 ? 0 : Math.min(call.chainLength(stack), MAX_CHAIN);
    const chain: Uint8Array[] = [];
    while (chain.length < count) {
      const der = this.#tls.certificate(call.chainMember(stack, chain.length));
      if (der === undefined) break;
      chain.push(der);
    }
    const result = call.verifyResult(this.#ssl);
    const fault = result === VERIFIED ? undefined : (VERIFY_FAULTS.get(result) ?? 'UNSPECIFIED');
    return { chain, fault };
  }

  /** `TLSv1.3-TLS_AES_256_GCM_SHA384`. */
  get cipherSuite(): string {
    const { call, text } = this.#tls;
    if (this.#ssl === undefined) return '';
    return `${text.version(this.#ssl)}-${text.suite(call.cipher(this.#ssl))}`;
  }

  /** The verify_data of our Finished. */
  get finished(): Uint8Array {
    return this.#finishedBy(this.#tls.call.finished);
  }

  /** The verify_data of the peer's. */
  get peerFinished(): Uint8Array {
    return this.#finishedBy(this.#tls.call.peerFinished);
  }

  #finishedBy(read: OpenSslTls['call']['finished']): Uint8Array {
    const { arena, scratch } = this.#tls;
    const length = this.#ssl === undefined ? 0 : read(this.#ssl, arena.address(scratch), MAX_FINISHED);
    return Uint8Array.from(arena.bytes.subarray(scratch, scratch + length));
  }

  /** RFC 5705 and RFC 8446 §7.5, without context. Undefined if it cannot be. */
  exportKeys(label: string, length: number): Uint8Array | undefined {
    const { call, arena, scratch } = this.#tls;
    if (this.#ssl === undefined || length > SCRATCH_ROOM) return undefined;
    const done = call.exportKeys(this.#ssl, arena.address(scratch), length, label, Buffer.byteLength(label), 0, 0, 0);
    const keys = Uint8Array.from(arena.bytes.subarray(scratch, scratch + length));
    arena.bytes.fill(0, scratch, scratch + length);
    if (done === 1) return keys;
    call.clearErrors(); // else the next read of any connection would be taken to have failed
    return undefined;
  }

  /** Frees the connection with its keys. Safe to call twice. */
  close(): void {
    if (this.#ssl !== undefined) this.#tls.call.freeSession(this.#ssl);
    this.#ssl = undefined;
  }

  #whyNot(ssl: number, result: number): number {
    switch (this.#tls.call.errorOf(ssl, result)) {
      case SSL_ERROR.wantRead:
      case SSL_ERROR.wantWrite:
        return NOT_READ.nothingYet;
      case SSL_ERROR.zeroReturn:
        return NOT_READ.ended;
      default:
        this.#failure = this.#tls.takeReason();
        return NOT_READ.failed;
    }
  }
}
