/**
 * What a log-in may ask of the world. Log-ins are human-speed and differ wildly, so they are plain async functions over this interface:
 * the client hands in the real thing, tests hand in a script.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { HttpHeaders, HttpResponse } from '../http/message.ts';
import type { Logger } from '../log.ts';
import type { Secret } from '../secret.ts';
import type { Millis } from '../tunnel/packet.ts';
import type { Endpoint, IpAddress } from '../wire/ip-address.ts';
import type { AuthForm, FormAnswer } from './form.ts';
import type { InnerTls } from './inner-tls.ts';
import type { ProtocolId } from './protocol-id.ts';

/** Where a gateway is. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** The path with its query, beginning with `/`. */
  readonly path: string;
}

export interface LoginRequest {
  readonly method: 'GET' | 'POST';
  readonly target: Target;
  /** In the order they are sent, read when there is a connection. `Host` is the caller's business too: vendors differ in where it stands. */
  readonly headers: HttpHeaders;
  readonly body?: Uint8Array;
  /** The body's text as logs may show it: without passwords. */
  readonly shownBody?: string;
  /** The path as logs may show it. Default: as it is. */
  readonly shownPath?: string;
}

/** How a request is to be made. */
export interface RequestManner {
  /** On a new connection. */
  readonly fresh?: boolean;
  /** How long each step may take: a connection, TLS, the answer. Default: half a minute to some minutes; for a gateway that there are others beside. */
  readonly patience?: Millis | undefined;
}

/** Everything a log-in may ask; CLI, GUI and library hand in the real thing. */
export interface LoginIo {
  /** One request on the kept connection to its target (a new one if host, port or `fresh` say so). Cookies and redirects are the caller's. */
  http(request: LoginRequest, how?: RequestManner): Promise<HttpResponse>;
  /** A request on a new connection of its own by which HTTP is left (RFC 9110 §7.8); without a stream the gateway has not. The caller closes it. */
  upgrade(request: LoginRequest): Promise<{ readonly response: HttpResponse; readonly stream?: UpgradedConnection }>;
  /** The connection of the last response. */
  connection(): ConnectionFacts;
  /**
   * TLS that begins inside a conversation with this gateway: the user's certificate is shown, if there is one, and whoever has not the certificate of
   * {@link connection} is refused. Absent: nobody has TLS for that.
   */
  readonly innerTls?: (target: Target) => InnerTls;
  ask(form: AuthForm): Promise<FormAnswer>;
  /** The user certificate of a multiple-certificate log-in; undefined if there is none. */
  readonly userCertificate?: UserCertificate;
  readonly hasClientCertificate: boolean;
  checkHost(request: HostCheckRequest): Promise<void>;
  /** What there is to say of this machine to a gateway that wants a report; undefined, or absent: nothing. */
  readonly reportHost?: (request: HostReportRequest) => Promise<HostReport | undefined>;
  /** Starts a program of the user's that speaks with the gateway about this machine as long as there is a session (TNCC); absent: there is none. */
  readonly startHelper?: (request: HelperRequest) => Promise<HelperConnection>;
  /** Has a person log in with a web browser, and resolves to what that has brought; absent: nobody has asked for that. */
  readonly browse?: (request: BrowseRequest) => Promise<string>;
  /** The saved profile, where the user named one, to compare and replace. */
  readonly profile?: ProfileStore;
  sleep(ms: Millis): Promise<void>;
  /** The time of day, in milliseconds since 1970. */
  now(): number;
  readonly signal: AbortSignal;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
}

/** A connection behind the request by which it left HTTP. */
export interface UpgradedConnection {
  /** What has come, at least one byte. Rejects with NetworkError when the gateway closes, or says nothing for too long. */
  read(): Promise<Uint8Array>;
  /** One call, one TLS record (up to 16384 bytes). */
  write(bytes: Uint8Array): void;
  close(): Promise<void>;
  /** Leaves it for the tunnel, which goes on with it: what has come and nobody has read. Instead of {@link close}. */
  keep(): Uint8Array;
}

export interface ConnectionFacts {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** DER. */
  readonly peerCertificate: Uint8Array;
  /** `pin-sha256:` and the base64 SHA-256 of the SubjectPublicKeyInfo. */
  readonly pin: string;
  /** DER of the client certificate that was offered. */
  readonly clientCertificate?: Uint8Array;
  /** The next request can go over it. */
  readonly isKept: boolean;
}

/** A second certificate whose key signs what the gateway sent (spec "AnyConnect", section 3.12). */
export interface UserCertificate {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** RSA: PKCS#1 v1.5; EC: a DER signature. */
  sign(hash: 'sha256' | 'sha384' | 'sha512', data: Uint8Array): Promise<Uint8Array>;
}

/** A program of the user's that reports on this machine to the gateway (CSD). */
export interface HostCheckRequest {
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** What the gateway wants to be run; only handed to the user's own wrapper, never executed. */
  readonly stub?: Uint8Array;
}

/** For a program of the user's that writes a report on this machine (HIP). */
export interface HostReportRequest {
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export type HostReport =
  /** By the user's program. */
  | { readonly kind: 'written'; readonly bytes: Uint8Array }
  /** There is none: what the machine says of itself. */
  | { readonly kind: 'facts'; readonly facts: HostFacts };

export interface HostFacts {
  /** With its version, as people write it. */
  readonly os: string;
  readonly osVendor: 'Linux' | 'Apple' | 'Microsoft';
  /** Those that lead out of the machine. */
  readonly interfaces: readonly HostInterface[];
}

export interface HostInterface {
  readonly name: string;
  /** `02:00:00:00:00:01` */
  readonly mac: string;
  readonly addresses: readonly IpAddress[];
}

/** For a program of the user's that goes on speaking (TNCC). */
export interface HelperRequest {
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** What is said to a program that was started, and what it says. It ends with this process. */
export interface HelperConnection {
  /** What has come, at least one byte. Rejects with NetworkError once it has ended, and with CancelledError. */
  read(): Promise<Uint8Array>;
  write(bytes: Uint8Array): void;
  /** The same again and again, as long as it runs. */
  repeat(bytes: Uint8Array, every: Millis): void;
}

/** A log-in in the user's browser (SAML). */
export type BrowseRequest = ReturningBrowse | CopiedBrowse;

/** It ends with the browser being sent to this machine. */
export interface ReturningBrowse {
  readonly kind: 'returns';
  /** Where it begins. */
  readonly url: string;
  /** The port of 127.0.0.1 where the browser arrives. */
  readonly port: number;
  /** What the arriving request brings, from its target (`/?id=…`); undefined: it is another one, and the wait goes on. */
  readonly read: (target: string) => string | undefined;
  readonly timeout: Millis;
}

/** It ends with the browser showing something, which the person copies into a page of this machine: that page is opened first, and leads to the log-in. */
export interface CopiedBrowse {
  readonly kind: 'copied';
  /** Where it begins: an address, or a page that the gateway has made, which goes on by itself. */
  readonly start: { readonly url: string } | { readonly html: string };
  /** Who wants it, and what is to be copied: for the person. */
  readonly gateway: string;
  readonly instruction: string;
  /** Whether what was copied is it; what {@link LoginIo.browse} then resolves to. May throw what it is to reject with. */
  readonly isAnswer: (copied: string) => boolean;
  readonly timeout: Millis;
}

export interface ProfileStore {
  /** Upper-case hex SHA-1 of the saved profile; undefined if there is none. */
  sha1(): Promise<string | undefined>;
  replace(profile: Uint8Array): Promise<void>;
}

/** What a log-in yields: what `--authenticate` prints and `--cookie` takes. */
export interface Credential {
  /** Whose cookie it is; absent: whoever brings it knows, or the gateway is asked. */
  readonly protocol?: ProtocolId;
  /** After redirects and gateway choice. */
  readonly gateway: Target;
  /** A reconnect goes to the same node. */
  readonly address?: IpAddress;
  /** The key that the log-in verified, as in {@link ConnectionFacts.pin}. */
  readonly pin: string;
  /** All the vendor needs to start a tunnel, as openconnect writes it. */
  readonly cookie: Secret;
}
