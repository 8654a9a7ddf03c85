/**
 * Whether a chain of certificates is good, by the OpenSSL inside the Node executable: for certificates that did not come by TLS.
 *
 * Read first: OpenSSL manual, X509_STORE_CTX_init(3), X509_VERIFY_PARAM_set_flags(3); RFC 5280 §6.
 */
import { Arena } from './arena.ts';
import { type NativeFunction, nativeLibrary } from './koffi.ts';

export interface ChainWishes {
  /** DER of the certificates that a chain may end at. */
  readonly authorities: readonly Uint8Array[];
  /** A name, or an address without brackets. */
  readonly host: string;
}

/** Certificates of a peer's that are looked at, and bytes of each. */
const MAX_CHAIN = 20;
const MAX_CERTIFICATE = 65_536;

/** X509_V_FLAG_PARTIAL_CHAIN: a certificate that is believed is believed, whether or not it is a root. */
const PARTIAL_CHAIN = 0x8_0000;
/** X509_PURPOSE_SSL_SERVER. */
const FOR_SERVERS = 2;
/** Of OpenSSL: 112 bits, so no SHA-1 and no RSA below 2048. */
const SECURITY_LEVEL = 2;

const PROTOTYPES = {
  read: 'uintptr_t d2i_X509(uintptr_t, uintptr_t, long)',
  free: 'void X509_free(uintptr_t)',
  newStore: 'uintptr_t X509_STORE_new()',
  freeStore: 'void X509_STORE_free(uintptr_t)',
  addToStore: 'int X509_STORE_add_cert(uintptr_t, uintptr_t)',
  setFlags: 'int X509_STORE_set_flags(uintptr_t, unsigned long)',
  newStack: 'uintptr_t OPENSSL_sk_new_null()',
  push: 'int OPENSSL_sk_push(uintptr_t, uintptr_t)',
  freeStack: 'void OPENSSL_sk_free(uintptr_t)',
  newContext: 'uintptr_t X509_STORE_CTX_new()',
  freeContext: 'void X509_STORE_CTX_free(uintptr_t)',
  init: 'int X509_STORE_CTX_init(uintptr_t, uintptr_t, uintptr_t, uintptr_t)',
  parameters: 'uintptr_t X509_STORE_CTX_get0_param(uintptr_t)',
  setPurpose: 'int X509_VERIFY_PARAM_set_purpose(uintptr_t, int)',
  setLevel: 'void X509_VERIFY_PARAM_set_auth_level(uintptr_t, int)',
  setHost: 'int X509_VERIFY_PARAM_set1_host(uintptr_t, str, size_t)',
  setAddress: 'int X509_VERIFY_PARAM_set1_ip_asc(uintptr_t, str)',
  verify: 'int X509_verify_cert(uintptr_t)',
  errorOf: 'int X509_STORE_CTX_get_error(uintptr_t)',
  clearErrors: 'void ERR_clear_error()',
} as const;

type Calls = Readonly<Record<keyof typeof PROTOTYPES, NativeFunction>>;

/** What is wrong with a chain (DER, leaf first); undefined: it is good. Where OpenSSL cannot be called, that is what is wrong. */
export function chainFault(chain: readonly Uint8Array[], wishes: ChainWishes): string | undefined {
  const calls = bound();
  return calls === undefined ? 'nobody can look at its chain without koffi' : new ChainCheck(calls).faultOf(chain, wishes);
}

let kept: Calls | undefined;

/** Undefined where there is no koffi, or no such function in the executable. */
function bound(): Calls | undefined {
  try {
    const library = nativeLibrary('A certificate chain');
    kept ??= Object.fromEntries(Object.entries(PROTOTYPES).map(([name, prototype]) => [name, library.func(prototype)])) as Calls;
  } catch {
    return undefined; // not installed, or a symbol is missing: the caller says so
  }
  return kept;
}

class ChainCheck {
  readonly #calls: Calls;
  /** A pointer, and a certificate on its way to OpenSSL. */
  readonly #arena = new Arena(MAX_CERTIFICATE + 64);
  readonly #pointer: number;
  readonly #room: number;
  readonly #certificates: number[] = [];

  constructor(calls: Calls) {
    this.#calls = calls;
    this.#pointer = this.#arena.allocate(8);
    this.#room = this.#arena.allocate(MAX_CERTIFICATE);
  }

  faultOf(chain: readonly Uint8Array[], { authorities, host }: ChainWishes): string | undefined {
    const { newStore, freeStore, newStack, freeStack, newContext, freeContext, free, clearErrors } = this.#calls;
    const [store, stack, context] = [newStore(), newStack(), newContext()];
    try {
      const leaf = this.#read(chain[0]);
      if (store === 0 || stack === 0 || context === 0 || leaf === 0) return 'its certificate cannot be read';
      this.#calls.setFlags(store, PARTIAL_CHAIN);
      for (const der of authorities) this.#calls.addToStore(store, this.#read(der));
      for (const der of chain.slice(1, MAX_CHAIN)) {
        const certificate = this.#read(der);
        if (certificate !== 0) this.#calls.push(stack, certificate);
      }
      return this.#verify({ context, store, leaf, stack }, host);
    } finally {
      freeContext(context);
      freeStack(stack);
      freeStore(store);
      for (const certificate of this.#certificates) free(certificate);
      clearErrors();
    }
  }

  #verify(
    { context, store, leaf, stack }: Readonly<Record<'context' | 'store' | 'leaf' | 'stack', number>>,
    host: string,
  ): string | undefined {
    const { init, parameters, setPurpose, setLevel, setHost, setAddress, verify, errorOf } = this.#calls;
    if (init(context, store, leaf, stack) !== 1) return 'its chain cannot be looked at';
    const wanted = parameters(context);
    setPurpose(wanted, FOR_SERVERS);
    setLevel(wanted, SECURITY_LEVEL);
    if (setAddress(wanted, host) !== 1 && setHost(wanted, host, 0) !== 1) return 'its name cannot be compared';
    if (verify(context) === 1) return undefined;
    return FAULTS.get(errorOf(context)) ?? `its chain is not verified (${errorOf(context)})`;
  }

  /** 0: it cannot be read. What is read is freed at the end. */
  #read(der: Uint8Array | undefined): number {
    if (der === undefined || der.length > MAX_CERTIFICATE) return 0;
    this.#arena.bytes.set(der, this.#room);
    this.#arena.writeAddress(this.#pointer, this.#room);
    const certificate = this.#calls.read(0, this.#arena.address(this.#pointer), der.length);
    if (certificate !== 0) this.#certificates.push(certificate);
    return certificate;
  }
}

/** X509_V_ERR_…: those that people meet. */
const FAULTS: ReadonlyMap<number, string> = new Map([
  [9, 'it is not valid yet'],
  [10, 'it has expired'],
  [18, 'it is signed by itself'],
  [19, 'its authority is unknown'],
  [20, 'its authority is unknown'],
  [21, 'its authority is unknown'],
  [23, 'it was revoked'],
  [26, 'it is not for servers'],
  [62, 'it has another name'],
  [64, 'it has another address'],
  [66, 'its key is too short'],
  [68, 'its signature is too weak'],
]);
