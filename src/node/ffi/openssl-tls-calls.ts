/**
 * The functions of OpenSSL's TLS in the Node executable, bound once a thread, and the memory that all connections of the thread work in.
 *
 * A connection comes about whatever certificate the peer has: whoever uses it looks at the peer's key, or at what was found of its chain, before it
 * sends anything.
 */
import { UnsupportedError } from '../../core/errors.ts';
import { Arena } from './arena.ts';
import { type NativeFunction, nativeLibrary } from './koffi.ts';

/** What one read of a socket takes, and one look at what is to be sent. */
export const NETWORK_ROOM: number = 128 * 1024;

/** Room for what control calls take and give: certificates, keys, exported material. */
export const SCRATCH_ROOM: number = 128 * 1024;

/** RFC 8446 §5.1: the plaintext of one record. */
export const MAX_RECORD = 16_384;

let shared: OpenSslTls | undefined;

type TextFunction = (...values: readonly number[]) => string | null;

/** OpenSSL's functions and the memory that all connections of a thread work in, one at a time. */
export class OpenSslTls {
  /** {@link network}, {@link scratch} and {@link record} are in it. */
  readonly arena: Arena;
  /** Offset of {@link NETWORK_ROOM} bytes for what a socket gives. */
  readonly network: number;
  readonly scratch: number;
  /** Offset of {@link MAX_RECORD} bytes for the plaintext of one record. */
  readonly record: number;
  readonly call: Readonly<Record<(typeof CALLS)[number]['name'], NativeFunction>>;
  readonly text: Readonly<Record<'version' | 'suite' | 'reason' | 'serverName' | 'verifyFault', TextFunction>>;

  /** The same object for all of a thread. @throws UnsupportedError as {@link bind} */
  static shared(): OpenSslTls {
    shared ??= OpenSslTls.bind();
    return shared;
  }

  /** @throws UnsupportedError without koffi, and where this executable does not export OpenSSL 3 */
  static bind(): OpenSslTls {
    const library = nativeLibrary('TLS in the packet engine');
    try {
      return new OpenSslTls((prototype) => library.func(prototype));
    } catch (cause) {
      throw new UnsupportedError('TLS in the packet engine needs a Node that exports the functions of its OpenSSL 3.', { cause });
    }
  }

  private constructor(func: (prototype: string) => NativeFunction) {
    this.call = Object.fromEntries(CALLS.map(({ name, prototype }) => [name, func(prototype)])) as OpenSslTls['call'];
    const text = (prototype: string) => func(prototype) as unknown as TextFunction; // `str` results are strings
    this.text = {
      version: text('str SSL_get_version(uintptr_t)'),
      suite: text('str SSL_CIPHER_standard_name(uintptr_t)'),
      reason: text('str ERR_reason_error_string(unsigned long)'),
      serverName: text('str SSL_get_servername(uintptr_t, int)'),
      verifyFault: text('str X509_verify_cert_error_string(long)'),
    };
    this.arena = new Arena(NETWORK_ROOM + SCRATCH_ROOM + MAX_RECORD);
    this.network = this.arena.allocate(NETWORK_ROOM);
    this.scratch = this.arena.allocate(SCRATCH_ROOM);
    this.record = this.arena.allocate(MAX_RECORD);
  }

  /** OpenSSL's word for what went wrong last in this thread; forgets it. */
  takeReason(): string {
    const code = this.call.firstError();
    this.call.clearErrors();
    return this.text.reason(code) ?? 'the connection broke off';
  }

  /** DER of a certificate by its address; undefined if it is larger than any should be. */
  certificate(address: number): Uint8Array | undefined {
    const { call, arena, scratch } = this;
    const length = call.writeCertificate(address, 0);
    if (length <= 0 || length > SCRATCH_ROOM - 8) return undefined;
    arena.view.setBigUint64(scratch, BigInt(arena.address(scratch + 8)), true);
    call.writeCertificate(address, arena.address(scratch));
    return Uint8Array.from(arena.bytes.subarray(scratch + 8, scratch + 8 + length));
  }

  /** The address that C wrote at an offset of the arena. Addresses of user space are exact as numbers. */
  addressAt(offset: number): number {
    const { view } = this.arena;
    return view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
  }
}

const CALLS = [
  { name: 'newContext', prototype: 'uintptr_t SSL_CTX_new(uintptr_t)' },
  { name: 'freeContext', prototype: 'void SSL_CTX_free(uintptr_t)' },
  { name: 'anyMethod', prototype: 'uintptr_t TLS_method()' },
  { name: 'contextControl', prototype: 'long SSL_CTX_ctrl(uintptr_t, int, long, uintptr_t)' },
  { name: 'contextOptions', prototype: 'uint64_t SSL_CTX_set_options(uintptr_t, uint64_t)' },
  { name: 'contextText', prototype: 'long SSL_CTX_ctrl(uintptr_t, int, long, str)' },
  { name: 'cipherList', prototype: 'int SSL_CTX_set_cipher_list(uintptr_t, str)' },
  { name: 'cipherSuites', prototype: 'int SSL_CTX_set_ciphersuites(uintptr_t, str)' },
  { name: 'useCertificate', prototype: 'int SSL_CTX_use_certificate(uintptr_t, uintptr_t)' },
  { name: 'useKey', prototype: 'int SSL_CTX_use_PrivateKey(uintptr_t, uintptr_t)' },
  { name: 'readCertificate', prototype: 'uintptr_t d2i_X509(uintptr_t, uintptr_t, long)' },
  { name: 'writeCertificate', prototype: 'int i2d_X509(uintptr_t, uintptr_t)' },
  { name: 'freeCertificate', prototype: 'void X509_free(uintptr_t)' },
  { name: 'readKey', prototype: 'uintptr_t d2i_AutoPrivateKey(uintptr_t, uintptr_t, long)' },
  { name: 'freeKey', prototype: 'void EVP_PKEY_free(uintptr_t)' },
  { name: 'readRevocationList', prototype: 'uintptr_t d2i_X509_CRL(uintptr_t, uintptr_t, long)' },
  { name: 'freeRevocationList', prototype: 'void X509_CRL_free(uintptr_t)' },
  { name: 'certificateStore', prototype: 'uintptr_t SSL_CTX_get_cert_store(uintptr_t)' },
  { name: 'storeCertificate', prototype: 'int X509_STORE_add_cert(uintptr_t, uintptr_t)' },
  { name: 'storeRevocationList', prototype: 'int X509_STORE_add_crl(uintptr_t, uintptr_t)' },
  { name: 'storeFlags', prototype: 'int X509_STORE_set_flags(uintptr_t, unsigned long)' },
  { name: 'nameAuthority', prototype: 'int SSL_CTX_add_client_CA(uintptr_t, uintptr_t)' },
  { name: 'sessionContext', prototype: 'int SSL_CTX_set_session_id_context(uintptr_t, str, unsigned int)' },
  { name: 'ticketCount', prototype: 'int SSL_CTX_set_num_tickets(uintptr_t, size_t)' },
  { name: 'verification', prototype: 'void SSL_CTX_set_verify(uintptr_t, int, uintptr_t)' },
  { name: 'contextCallback', prototype: 'long SSL_CTX_callback_ctrl(uintptr_t, int, uintptr_t)' },
  { name: 'switchContext', prototype: 'uintptr_t SSL_set_SSL_CTX(uintptr_t, uintptr_t)' },
  { name: 'sessionControl', prototype: 'long SSL_ctrl(uintptr_t, int, long, uintptr_t)' },
  { name: 'nativeCopy', prototype: 'uintptr_t CRYPTO_memdup(uintptr_t, size_t, str, int)' },
  { name: 'newSession', prototype: 'uintptr_t SSL_new(uintptr_t)' },
  { name: 'freeSession', prototype: 'void SSL_free(uintptr_t)' },
  { name: 'sessionText', prototype: 'long SSL_ctrl(uintptr_t, int, long, str)' },
  { name: 'connects', prototype: 'void SSL_set_connect_state(uintptr_t)' },
  { name: 'accepts', prototype: 'void SSL_set_accept_state(uintptr_t)' },
  { name: 'newBio', prototype: 'uintptr_t BIO_new(uintptr_t)' },
  { name: 'memoryBio', prototype: 'uintptr_t BIO_s_mem()' },
  { name: 'setBios', prototype: 'void SSL_set_bio(uintptr_t, uintptr_t, uintptr_t)' },
  { name: 'writeBio', prototype: 'int BIO_write(uintptr_t, uintptr_t, int)' },
  { name: 'readBio', prototype: 'int BIO_read(uintptr_t, uintptr_t, int)' },
  { name: 'controlBio', prototype: 'long BIO_ctrl(uintptr_t, int, long, uintptr_t)' },
  { name: 'handshake', prototype: 'int SSL_do_handshake(uintptr_t)' },
  { name: 'read', prototype: 'int SSL_read(uintptr_t, uintptr_t, int)' },
  { name: 'write', prototype: 'int SSL_write(uintptr_t, uintptr_t, int)' },
  { name: 'shutdown', prototype: 'int SSL_shutdown(uintptr_t)' },
  { name: 'errorOf', prototype: 'int SSL_get_error(uintptr_t, int)' },
  { name: 'peerCertificate', prototype: 'uintptr_t SSL_get1_peer_certificate(uintptr_t)' },
  { name: 'peerChain', prototype: 'uintptr_t SSL_get_peer_cert_chain(uintptr_t)' },
  { name: 'chainLength', prototype: 'int OPENSSL_sk_num(uintptr_t)' },
  { name: 'chainMember', prototype: 'uintptr_t OPENSSL_sk_value(uintptr_t, int)' },
  { name: 'ownCertificate', prototype: 'uintptr_t SSL_get_certificate(uintptr_t)' },
  { name: 'verifyResult', prototype: 'long SSL_get_verify_result(uintptr_t)' },
  { name: 'isResumed', prototype: 'int SSL_session_reused(uintptr_t)' },
  { name: 'cipher', prototype: 'uintptr_t SSL_get_current_cipher(uintptr_t)' },
  { name: 'version', prototype: 'int SSL_version(uintptr_t)' },
  { name: 'finished', prototype: 'size_t SSL_get_finished(uintptr_t, uintptr_t, size_t)' },
  { name: 'peerFinished', prototype: 'size_t SSL_get_peer_finished(uintptr_t, uintptr_t, size_t)' },
  { name: 'exportKeys', prototype: 'int SSL_export_keying_material(uintptr_t, uintptr_t, size_t, str, size_t, uintptr_t, size_t, int)' },
  { name: 'updateKey', prototype: 'int SSL_key_update(uintptr_t, int)' },
  { name: 'firstError', prototype: 'unsigned long ERR_get_error()' },
  { name: 'clearErrors', prototype: 'void ERR_clear_error()' },
] as const;
