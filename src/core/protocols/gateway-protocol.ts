/**
 * What a vendor is, seen from the gateway. Nothing else in the gateway knows a vendor's name.
 *
 * The twin of `client-protocol.ts`: a vendor's folder has the codecs once, and both sides use them.
 */
import type { AuthDialogue, AuthStep, LoginHints } from '../auth/dialogue.ts';
import type { InnerTlsServer } from '../auth/inner-tls.ts';
import type { ProtocolId } from '../auth/protocol-id.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import type { DtlsAssociation } from '../dtls/association.ts';
import type { HttpRequest, HttpResponse } from '../http/message.ts';
import type { TunnelStart } from '../http/request-parser.ts';
import type { Logger } from '../log.ts';
import type { Secret } from '../secret.ts';
import type { CloseReason, TunnelMachine } from '../tunnel/machine.ts';
import type { Millis } from '../tunnel/packet.ts';
import type { SessionTerms } from '../tunnel/session-terms.ts';
import type { Cidr, Endpoint } from '../wire/ip-address.ts';

export interface GatewayProtocol {
  readonly id: ProtocolId;
  /** Whether this connection's first request is one of this vendor's clients. */
  claims(first: HttpRequest): Claim;
  /** Requests whose body never comes, though they say that they have one: what follows their head is the tunnel's. Absent: there are none. */
  readonly startsTunnel?: TunnelStart;
  /** It has the pages of {@link HostPage.browserLogin}. Absent: it does not know that. */
  readonly hasBrowserLogin?: true;
  /** Serves a connection: log-in, downloads, tunnel. Resolves when the connection is to be closed, or is a session's stream path. */
  serve(connection: GatewayConnection, visitor: Visitor): Promise<'close' | 'tunnel'>;
  /** Clients that come by DTLS in which the gateway shows its certificate; absent: this vendor's do not. */
  readonly datagrams?: DatagramFront;
}

/**
 * `certain`: no other vendor's client says this. `named`: the client calls itself one of them, as openconnect does with several vendors. `likely`: it may
 * be one as well as another.
 */
export type Claim = 'certain' | 'named' | 'likely' | 'no';

/** Nobody knows whose such an association is before its first record says so. */
export type DatagramFront = SessionFront | FlowFront;

/** The association is the session's tunnel from then on. */
export interface SessionFront {
  readonly kind: 'tunnel';
  /** Whose session the record is for, and how it is answered; undefined: it is none of this vendor's. */
  greet(record: Uint8Array, crypto: CryptoProvider): Greeting | undefined;
  /** The session's tunnel, on the association that was accepted. */
  tunnel(parts: DatagramTunnelParts): TunnelMachine;
}

/** The association is a path of a tunnel that runs already, whose machine answers the record: it is opened with {@link PathFacts.dtls}. */
export interface FlowFront {
  readonly kind: 'flow';
  /** Its clients may speak DTLS 1.0, where the administrator lets them. */
  readonly speaksLegacy: boolean;
  /** What names the tunnel, as its plan has it ({@link TunnelPlan.greetingId}); undefined: the record is none of this vendor's. */
  greet(record: Uint8Array, crypto: CryptoProvider): Uint8Array | undefined;
}

export interface Greeting {
  readonly cookie: Secret;
  readonly wishes: LeaseWishes;
  /** What the client is told where it has a session, and what else. */
  accepted(terms: SessionTerms): Uint8Array;
  readonly refused: Uint8Array;
}

export interface DatagramTunnelParts {
  /** The record by which the client said whose it is. */
  readonly hello: Uint8Array;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly terms: SessionTerms;
  /** Up. */
  readonly dtls: DtlsAssociation;
  /** What the client has said since it was accepted. */
  readonly early: readonly Uint8Array[];
}

/** A tunnel that its client may begin by UDP, without a connection of its own: what it says first is known beforehand by its keys. */
export interface ExpectedFlow {
  /** As {@link TunnelPlan.datagramId}. */
  readonly datagramId: Uint8Array;
  /** Shown again when it comes: the session may be over by then. */
  readonly cookie: Secret;
  readonly wishes: LeaseWishes;
  /** Whether a first datagram is the client's. It is lent, and not to be changed. */
  opens(datagram: Uint8Array): boolean;
  /** The session's tunnel, whose first path is that datagram's flow. Once. */
  tunnel(terms: SessionTerms): TunnelMachine;
}

/** A client's TLS connection while it speaks HTTP. */
export interface GatewayConnection {
  readonly facts: ClientFacts;
  /** The next request; the first again for whoever claimed it; undefined: the client left. */
  request(): Promise<HttpRequest | undefined>;
  respond(response: HttpResponse): Promise<void>;
  /** The requests that follow may have bodies of so many bytes: for a client that has shown a session. */
  allowBody(bodyBytes: number): void;
  /** Answers the last request with this, after which the connection speaks no HTTP any more (RFC 9110 §7.8). */
  upgrade(response: HttpResponse): UpgradedStream;
  /** Begins TLS inside of what is said on this connection, with its certificate. Whoever calls it closes it. Absent: nobody has TLS for that. */
  readonly innerTls?: () => InnerTlsServer;
  /** This connection carries the tunnel from here on: the machine is given it as its stream path and answers the last request itself. */
  run(session: GatewaySession, tunnel: TunnelPlan): void;
}

/** A client's connection behind the request by which it left HTTP. */
export interface UpgradedStream {
  /** What has come, at least one byte; undefined: the client left. */
  read(): Promise<Uint8Array | undefined>;
  /** Gives back what was read too far: the next {@link read}, or the tunnel, begins with it. */
  unread(bytes: Uint8Array): void;
  /** One call, one TLS record (up to 16384 bytes). */
  write(bytes: Uint8Array): void;
}

/** A tunnel that is about to run on a connection. */
export interface TunnelPlan {
  readonly machine: TunnelMachine;
  /**
   * UDP flows whose first datagram carries this id are the machine's: a DTLS hello's session or application id, or what the SPIs of its ESP have in common
   * (core/esp/spi.ts). Undefined: it has none.
   */
  readonly datagramId?: Uint8Array;
  /** Its {@link FlowFront} has this for the first record of its client's associations: up to 32 bytes that are no secret. Undefined: there are none. */
  readonly greetingId?: Uint8Array;
  /** What the client says behind its request, without waiting for an answer, is no reason to keep the connection from the packet engine. */
  readonly takesEarlyBytes?: boolean;
  /** Keying material that the machine needs of the connection (RFC 5705, RFC 8446 §7.5). */
  readonly exporter?: { readonly label: string; readonly length: number };
}

export interface ClientFacts {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** The virtual host of the SNI; undefined: the default host. */
  readonly host?: string;
  /** The client's verified certificate, DER, leaf first. */
  readonly certificateChain?: readonly Uint8Array[];
  /** Protocol and cipher in words: `TLSv1.3-TLS_AES_256_GCM_SHA384`. */
  readonly cipherSuite: string;
  /** The verify_data of the client's Finished (STRAP). */
  readonly clientFinished?: Uint8Array;
}

/** What the gateway does for whoever is at the door. */
export interface Visitor {
  /** What is served to everybody on this host. */
  readonly host: HostPage;
  begin(hints: LoginHints): Promise<{ readonly dialogue: AuthDialogue; readonly step: AuthStep }>;
  /** The dialogue of this id, begun on this or another connection; undefined: there is none any more. */
  resume(id: string): Promise<AuthDialogue | undefined>;
  /** The session of a cookie; undefined: not known, expired, or bound to another address. */
  session(cookie: Secret): Promise<GatewaySession | undefined>;
  now(): Millis;
  /** The time of day, in milliseconds since 1970. */
  timeOfDay(): number;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
}

/** What an administrator has set for all visitors of a host. */
export interface HostPage {
  /** `ocserv 1.1.6` for the drop-in, `sallyport 1.0` else. */
  readonly serverName: string;
  /** Of the certificate that this connection was shown, DER, and its issuer where the chain has it. */
  readonly certificate: Uint8Array;
  readonly issuer?: Uint8Array;
  readonly preLoginBanner?: string;
  /** The AnyConnect profile that is offered for download. */
  readonly profile?: { readonly name: string; readonly bytes: Uint8Array };
  /** What a client shows after its log-in (the host's; what a session's policy says comes with its tunnel). */
  readonly banner?: string;
  /** Clients are asked for reports on their machines, where the protocol has such (GlobalProtect's HIP). Default: they are not. */
  readonly wantsHostReports?: boolean;
  /** Clients that ask for a list of gateways before they come to one have it here, where the protocol has such. Default: there is none. */
  readonly portal?: PortalPage;
  /**
   * Clients log in with a browser, at pages of this gateway in the place of an identity provider's, where the protocol has such, and in no other way: the
   * address of the first page is told, or a page that goes there. For gateways to test with. Default: they do not.
   */
  readonly browserLogin?: 'redirect' | 'post';
  /** No log-in without a certificate of the client's: nothing is asked of who has none. */
  readonly needsCertificate?: boolean;
  /** A certificate is one way to log in, of several: who has shown none yet is to have the occasion, where the protocol has one of its own. */
  readonly takesCertificate?: boolean;
  /** Log-ins with a token of HTTP's (OIDC): the only way, or one that a client may take instead of answering forms. Default: none. */
  readonly bearer?: 'required' | 'offered';
  /** How long a log-in's cookie is worth keeping, in milliseconds. */
  readonly cookieTimeout: Millis;
  /** Headers for all plain HTTP answers. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Answers like a web site until the secret was shown (spec "AnyConnect", section 11.11). */
  readonly camouflage?: { readonly secret: Secret; readonly realm?: string };
}

/** What clients are told of gateways, once they have logged in: the log-in counts there as well, by a pass ({@link LoginHints.wantsPass}). */
export interface PortalPage {
  /** What people know it by. */
  readonly name: string;
  /** Empty: this gateway alone, by the name that the client has called it. */
  readonly gateways: readonly ListedGateway[];
  /** Where clients are by their addresses: the first that has one. */
  readonly regions: readonly { readonly name: string; readonly networks: readonly Cidr[] }[];
  /** How often clients look whether a report on their machines is wanted. */
  readonly reportInterval: Millis;
  /** In which of its syntaxes a further question is put, where a protocol has an older one that is a script. */
  readonly asksBy: 'xml' | 'script';
}

export interface ListedGateway {
  /** `host` or `host:port`. */
  readonly address: string;
  readonly label: string;
  /** 1 is the best. */
  readonly priority: number;
  /** In its place for clients of these regions. */
  readonly regions: readonly (readonly [region: string, priority: number])[];
}

/** What a vendor's client wants of a lease. */
export interface LeaseWishes {
  readonly wantsIpv4: boolean;
  readonly wantsIpv6: boolean;
  readonly hostname?: string;
  readonly isMobile: boolean;
  readonly userAgent: string;
  /** For scripts and statistics, where the client says. */
  readonly deviceType?: string;
  readonly devicePlatform?: string;
}

/** A logged-in user's session. It outlives its connections. */
export interface GatewaySession {
  readonly user: string;
  readonly group?: string;
  /** The key that came with the log-in ({@link LoginHints.boundKey}), or that took its place since. */
  readonly boundKey?: Uint8Array;
  /** Takes another key in its place: the holder of the one before has vouched for it. */
  rebind(key: Uint8Array): Promise<void>;
  /** What {@link lease} would give: the addresses are the session's from now on, and nothing else happens. Rejects as it does. */
  preview(wishes: LeaseWishes): Promise<SessionTerms>;
  /**
   * Takes the session's addresses, the same each time, and runs the administrator's `connect` script. Rejects with PeerRefusedError when there is no
   * address, too many sessions, or the script says no.
   */
  lease(wishes: LeaseWishes): Promise<SessionTerms>;
  /**
   * The next tunnel may begin by UDP: for some minutes, until the next of these or until another tunnel begins. A tunnel that has begun so ends. False:
   * there is no UDP, or another tunnel has that id.
   */
  expect(flow: ExpectedFlow): Promise<boolean>;
  end(reason: CloseReason): Promise<void>;
}
