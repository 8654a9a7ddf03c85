/**
 * What a TLS connection by {@link OpenSslTls} may use: versions, ciphers, groups, the client's certificate. The settings are plain data, since they go
 * to the thread that owns the connection.
 *
 * Read first: OpenSSL manual, SSL_CTX_new(3), SSL_CTX_set_cipher_list(3), SSL_CTX_set1_curves(3).
 */
import { MisuseError } from '../../core/errors.ts';
import { Arena } from './arena.ts';
import { type OpenSslTls, SCRATCH_ROOM } from './openssl-tls-calls.ts';

export interface TlsSettings {
  /** Which end of the handshake it is. Default: the client. */
  readonly role?: 'client' | 'server';
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** Suites of all versions in OpenSSL's words, as `ciphers` of node:tls has them: those of TLS 1.3 begin with `TLS_`. */
  readonly ciphers: string;
  /** Key exchange groups in OpenSSL's words; absent: its own list. */
  readonly groups?: string;
  /** Signature algorithms in OpenSSL's words; absent: its own list. */
  readonly signatures?: string;
  /** The name in the hello; absent: none. */
  readonly serverName?: string;
  /**
   * DER of the certificates that the peer's may end at, roots or not; absent: none. What is wrong with its chain ends no handshake: see
   * {@link TlsSession.verification}.
   */
  readonly authorities?: readonly Uint8Array[];
  /** Our own certificate and key. */
  readonly identity?: TlsKeyPair;
}

export interface TlsKeyPair {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** PKCS #8 in DER, in the clear: wiped when it has been taken over, and when it has not. */
  readonly key: Uint8Array;
}

export type TlsVersion = keyof typeof VERSIONS;

const VERSIONS = { TLSv1: 0x0301, 'TLSv1.1': 0x0302, 'TLSv1.2': 0x0303, 'TLSv1.3': 0x0304 } as const;

/** SSL_CTX_ctrl's. */
const CONTROL = { groups: 92, signatures: 98, chainCertificate: 89, minVersion: 123, maxVersion: 124 } as const;
/** As the argument of chainCertificate: the context takes a reference of its own. */
const OWN_REFERENCE = 1;

/** X509_V_FLAG_PARTIAL_CHAIN: a certificate that is believed is believed, whether or not it is a root. */
const PARTIAL_CHAIN = 0x8_0000;

/** SSL_OP_NO_RENEGOTIATION: the certificate that was judged stays the peer's. */
const NO_RENEGOTIATION = 0x4000_0000;

/** An SSL_CTX for the connections that are made of it; those keep it alive. */
export class TlsContext {
  readonly address: number;
  readonly #tls: OpenSslTls;

  /** @throws MisuseError for settings that OpenSSL refuses */
  constructor(tls: OpenSslTls, settings: TlsSettings) {
    this.#tls = tls;
    const { call } = tls;
    this.address = call.newContext(call.anyMethod());
    try {
      if (this.address === 0) throw new MisuseError(`OpenSSL makes no TLS context: ${tls.takeReason()}`);
      this.#configure(settings);
    } catch (error) {
      settings.identity?.key.fill(0); // also where it did not come to be used
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#tls.call.freeContext(this.address);
  }

  #configure({ minVersion, maxVersion, ciphers, groups, signatures, authorities, identity }: TlsSettings): void {
    const { call } = this.#tls;
    const names = ciphers.split(':');
    const suites = names.filter((name) => name.startsWith('TLS_')).join(':');
    const others = names.filter((name) => !name.startsWith('TLS_')).join(':');
    // As node:tls has it: a version for which there is no cipher is not offered.
    const oldest = others === '' && maxVersion === 'TLSv1.3' ? maxVersion : minVersion;
    const newest = suites === '' && maxVersion === 'TLSv1.3' && minVersion !== maxVersion ? 'TLSv1.2' : maxVersion;
    call.contextOptions(this.address, NO_RENEGOTIATION);
    this.must('version', call.contextControl(this.address, CONTROL.minVersion, VERSIONS[oldest], 0));
    this.must('version', call.contextControl(this.address, CONTROL.maxVersion, VERSIONS[newest], 0));
    this.must('suites of TLS 1.3', call.cipherSuites(this.address, suites));
    if (others !== '') this.must('ciphers', call.cipherList(this.address, others));
    if (groups !== undefined) this.must('groups', call.contextText(this.address, CONTROL.groups, 0, groups));
    if (signatures !== undefined) this.must('signature algorithms', call.contextText(this.address, CONTROL.signatures, 0, signatures));
    if (authorities !== undefined) this.#believe(authorities);
    if (identity !== undefined) this.useIdentity(identity);
  }

  /** Several of different kinds stand side by side. */
  useIdentity({ chain, key }: TlsKeyPair): void {
    for (const [i, certificate] of chain.entries()) this.#useCertificate(certificate, i === 0);
    this.#useKey(key);
  }

  /** Those that OpenSSL cannot read vouch for nobody. */
  #believe(authorities: readonly Uint8Array[]): void {
    const { call } = this.#tls;
    const store = call.certificateStore(this.address);
    this.must('flags of the authorities', call.storeFlags(store, PARTIAL_CHAIN));
    for (const der of authorities) {
      const certificate = this.parsed(der, call.readCertificate);
      if (certificate === 0) continue;
      call.storeCertificate(store, certificate);
      call.freeCertificate(certificate);
    }
    call.clearErrors();
  }

  #useCertificate(der: Uint8Array, isLeaf: boolean): void {
    const { call } = this.#tls;
    const certificate = this.parsed(der, call.readCertificate);
    this.must('certificate', certificate);
    try {
      const taken = isLeaf
        ? call.useCertificate(this.address, certificate)
        : call.contextControl(this.address, CONTROL.chainCertificate, OWN_REFERENCE, certificate);
      this.must('certificate', taken);
    } finally {
      call.freeCertificate(certificate);
    }
  }

  #useKey(der: Uint8Array): void {
    const { call } = this.#tls;
    const key = this.parsed(der, call.readKey);
    der.fill(0);
    this.must('key', key);
    try {
      this.must('key', call.useKey(this.address, key));
    } finally {
      call.freeKey(key);
    }
  }

  /** The d2i functions take the address of an address. What they read is wiped. Address of the new object; 0: it is none. */
  parsed(der: Uint8Array, parse: OpenSslTls['call']['readKey']): number {
    const isLarge = der.length > SCRATCH_ROOM - 8; // as lists of revoked certificates may be
    const arena = isLarge ? new Arena(der.length + 8) : this.#tls.arena;
    const scratch = isLarge ? 0 : this.#tls.scratch;
    const at = scratch + 8;
    arena.view.setBigUint64(scratch, BigInt(arena.address(at)), true);
    arena.bytes.set(der, at);
    try {
      return parse(0, arena.address(scratch), der.length);
    } finally {
      arena.bytes.fill(0, at, at + der.length);
    }
  }

  /** @throws MisuseError if OpenSSL answered no */
  must(what: string, result: number): void {
    if (result <= 0) throw new MisuseError(`OpenSSL refused the ${what} of a TLS connection: ${this.#tls.takeReason()}`);
  }
}
