/**
 * The hosts of a TLS server as contexts of OpenSSL: one for each, shared by all its connections.
 *
 * Read first: RFC 6066 §3 and §8; OpenSSL manual, SSL_CTX_set_tlsext_servername_callback(3), SSL_CTX_set_verify(3), SSL_CTX_set_options(3).
 *
 * A resumed session brings along the client certificate that it was made with, judged by the authority of the host that it was made for, and OpenSSL looks
 * a session up before it tells the name that the client asks for. So with several hosts there are no sessions to resume; with one, they are in tickets
 * under a key that lives and dies with the contexts.
 */
import { MisuseError } from '../../core/errors.ts';
import { type HandshakeHosts, setCallbacks } from './openssl-tls-callbacks.ts';
import { type OpenSslTls, SCRATCH_ROOM } from './openssl-tls-calls.ts';
import { TlsContext, type TlsKeyPair, type TlsSettings } from './openssl-tls-context.ts';

export interface HostTls extends Pick<TlsSettings, 'minVersion' | 'maxVersion' | 'ciphers' | 'groups' | 'signatures'> {
  /** In lower case; undefined: for clients that ask for none, or one that nobody knows. */
  readonly name?: string;
  /** Of several kinds side by side. */
  readonly identities: readonly TlsKeyPair[];
  /** DER of the certificates that clients' may end at. */
  readonly clientAuthorities: readonly Uint8Array[];
  /** DER; where there is one, each issuer must have one. */
  readonly revocationLists: readonly Uint8Array[];
  /** Our order of ciphers decides, not the client's. */
  readonly prefersServerOrder: boolean;
  /** DER of what an OCSP responder said of the certificates. */
  readonly ocspResponse?: Uint8Array;
}

/** SSL_OP_NO_TICKET and SSL_OP_CIPHER_SERVER_PREFERENCE. */
const OPTION = { noTicket: 0x4000, serverOrder: 0x40_0000 } as const;

/** SSL_CTX_ctrl's. */
const CONTROL = { mode: 33, cacheMode: 44, dhAuto: 118 } as const;

/** SSL_MODE_RELEASE_BUFFERS: an idle connection holds no room for records. */
const RELEASE_BUFFERS = 0x10;

/** SSL_SESS_CACHE_OFF. */
const CACHE_OFF = 0;

/** X509_V_FLAG_CRL_CHECK and X509_V_FLAG_CRL_CHECK_ALL. */
const CHECK_REVOCATION = 0x4 | 0x8;

/** Without one OpenSSL resumes no session of a client that was asked for a certificate. */
const SESSION_CONTEXT = 'sallyport';

export class TlsHosts implements HandshakeHosts {
  readonly #contexts: readonly TlsContext[] = [];
  readonly #ofName = new Map<string | undefined, TlsContext>();
  readonly #staples = new Map<number, Uint8Array>();
  readonly #default: TlsContext;

  /** The first is the default host. @throws MisuseError for settings that OpenSSL refuses, with the host in its words */
  constructor(tls: OpenSslTls, hosts: readonly HostTls[], clientCertificates: 'no' | 'optional' | 'required') {
    const contexts: TlsContext[] = [];
    this.#contexts = contexts;
    try {
      for (const host of hosts) {
        const context = contextOf(tls, host, hosts.length === 1);
        contexts.push(context);
        setCallbacks(tls, context.address, clientCertificates);
        this.#ofName.set(host.name, context);
        if (host.ocspResponse !== undefined) this.#staples.set(context.address, stapleOf(host.ocspResponse));
      }
      const [first] = contexts;
      if (first === undefined) throw new MisuseError('A TLS server needs a certificate.');
      this.#default = first;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Connections keep their own context alive; none may begin or shake hands any more. */
  [Symbol.dispose](): void {
    for (const context of this.#contexts) context[Symbol.dispose]();
  }

  /** Of the default host. */
  get firstContext(): number {
    return this.#default.address;
  }

  contextOf(name: string | undefined): number {
    return (this.#ofName.get(name?.toLowerCase()) ?? this.#default).address;
  }

  stapleOf(context: number): Uint8Array | undefined {
    return this.#staples.get(context);
  }

  /** Place in the list of the host whose context this is. */
  placeOf(context: number): number {
    return this.#contexts.findIndex(({ address }) => address === context);
  }
}

function contextOf(tls: OpenSslTls, host: HostTls, resumes: boolean): TlsContext {
  try {
    const context = new TlsContext(tls, host);
    try {
      configure(tls, context, host, resumes);
      return context;
    } catch (error) {
      context[Symbol.dispose]();
      throw error;
    }
  } catch (error) {
    const which = host.name === undefined ? 'the default host' : `the host ${host.name}`;
    throw new MisuseError(`TLS of ${which} cannot be set up: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function configure({ call }: OpenSslTls, context: TlsContext, host: HostTls, resumes: boolean): void {
  const { address } = context;
  call.contextOptions(address, (host.prefersServerOrder ? OPTION.serverOrder : 0) | (resumes ? 0 : OPTION.noTicket));
  call.contextControl(address, CONTROL.mode, RELEASE_BUFFERS, 0);
  call.contextControl(address, CONTROL.cacheMode, CACHE_OFF, 0);
  if (!resumes) context.must('number of tickets', call.ticketCount(address, 0));
  context.must('session context', call.sessionContext(address, SESSION_CONTEXT, SESSION_CONTEXT.length));
  // DHE suites where the ciphers have them: with parameters as strong as the certificate.
  context.must('parameters', call.contextControl(address, CONTROL.dhAuto, 1, 0));
  for (const identity of host.identities) context.useIdentity(identity);
  const store = call.certificateStore(address);
  for (const authority of host.clientAuthorities) {
    withParsed(context, 'authority of clients', authority, call.readCertificate, call.freeCertificate, (certificate) => {
      context.must('authority of clients', call.storeCertificate(store, certificate));
      context.must('authority of clients', call.nameAuthority(address, certificate));
    });
  }
  for (const list of host.revocationLists) {
    withParsed(context, 'list of revoked certificates', list, call.readRevocationList, call.freeRevocationList, (parsed) =>
      context.must('list of revoked certificates', call.storeRevocationList(store, parsed)),
    );
  }
  if (host.revocationLists.length > 0) context.must('checks of revocation', call.storeFlags(store, CHECK_REVOCATION));
}

type Call = OpenSslTls['call']['readCertificate'];

/** What is done with the object takes references of its own. */
function withParsed(context: TlsContext, what: string, der: Uint8Array, read: Call, free: Call, use: (address: number) => void): void {
  const parsed = context.parsed(der, read);
  context.must(what, parsed);
  try {
    use(parsed);
  } finally {
    free(parsed);
  }
}

function stapleOf(response: Uint8Array): Uint8Array {
  if (response.length > SCRATCH_ROOM) throw new MisuseError(`An OCSP response of ${response.length} bytes is too large.`);
  return response;
}
