/**
 * What OpenSSL asks in the middle of a server's handshake: which host is meant, what is to be stapled, whether a client's certificate will do.
 *
 * The call-backs are made once a thread, since C keeps their addresses. They find whose handshake it is by the address of its SSL; OpenSSL calls them in
 * the thread that calls SSL_do_handshake, and never after the handshake: there is no renegotiation. So a connection may go to another thread then.
 */
import { koffi } from './koffi.ts';
import type { OpenSslTls } from './openssl-tls-calls.ts';

/** Answers for the hosts that a client may mean. */
export interface HandshakeHosts {
  /** Address of the SSL_CTX of a host, or of the default one. */
  contextOf(name: string | undefined): number;
  /** DER of what an OCSP responder said of the certificate of the host whose context this is. */
  stapleOf(context: number): Uint8Array | undefined;
}

/** Addresses of C functions. */
interface Callbacks {
  readonly named: number;
  readonly status: number;
  readonly verified: number;
}

/** Handshakes under way in this thread, by the address of their SSL. */
const handshakes = new Map<number, { readonly tls: OpenSslTls; readonly hosts: HandshakeHosts; context: number }>();

let callbacks: Callbacks | undefined;

/** SSL_TLSEXT_ERR_OK and SSL_TLSEXT_ERR_NOACK. */
const ANSWERED = 0;
const NOT_ANSWERED = 3;

/** SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB and SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP. */
const CONTROL = { nameCallback: 53, statusCallback: 63, staple: 71 } as const;

/** TLSEXT_NAMETYPE_host_name. */
const NAME_TYPE_HOST = 0;

/** SSL_VERIFY_PEER and SSL_VERIFY_FAIL_IF_NO_PEER_CERT. */
const VERIFY = { ask: 1, must: 2 } as const;

/** Has a context ask {@link HandshakeHosts} in the handshakes of its connections. */
export function setCallbacks(tls: OpenSslTls, context: number, clientCertificates: 'no' | 'optional' | 'required'): void {
  const { call } = tls;
  callbacks ??= register();
  call.contextCallback(context, CONTROL.nameCallback, callbacks.named);
  call.contextCallback(context, CONTROL.statusCallback, callbacks.status);
  if (clientCertificates === 'no') return;
  call.verification(context, clientCertificates === 'required' ? VERIFY.ask | VERIFY.must : VERIFY.ask, callbacks.verified);
}

/** From here to {@link endHandshake} these hosts answer for a connection that begins with this context. */
export function beginHandshake(tls: OpenSslTls, ssl: number, hosts: HandshakeHosts, context: number): void {
  handshakes.set(ssl, { tls, hosts, context });
}

/** Address of the context that the connection has come to. */
export function endHandshake(ssl: number): number | undefined {
  const context = handshakes.get(ssl)?.context;
  handshakes.delete(ssl);
  return context;
}

function register(): Callbacks {
  const library = koffi('TLS of a server');
  const make = (prototype: string, callback: (...values: readonly number[]) => number) =>
    Number(library.register(callback, library.pointer(library.proto(prototype))));
  return {
    named: make('int sallyport_tls_named(uintptr_t, uintptr_t, uintptr_t)', (ssl = 0) => named(ssl)),
    status: make('int sallyport_tls_status(uintptr_t, uintptr_t)', (ssl = 0) => staple(ssl)),
    // What OpenSSL finds is kept as the connection's verify result; what it means is said after the handshake.
    verified: make('int sallyport_tls_verified(int, uintptr_t)', () => 1),
  };
}

function named(ssl: number): number {
  const handshake = handshakes.get(ssl);
  if (handshake === undefined) return NOT_ANSWERED;
  const { call, text } = handshake.tls;
  const context = handshake.hosts.contextOf(text.serverName(ssl, NAME_TYPE_HOST) ?? undefined);
  if (context === handshake.context) return ANSWERED;
  handshake.context = context;
  call.switchContext(ssl, context);
  return ANSWERED;
}

/** OpenSSL frees the copy. */
function staple(ssl: number): number {
  const handshake = handshakes.get(ssl);
  const response = handshake?.hosts.stapleOf(handshake.context);
  if (handshake === undefined || response === undefined) return NOT_ANSWERED;
  const { call, arena, scratch } = handshake.tls;
  arena.bytes.set(response, scratch);
  const copy = call.nativeCopy(arena.address(scratch), response.length, '', 0);
  call.sessionControl(ssl, CONTROL.staple, response.length, copy);
  return ANSWERED;
}
