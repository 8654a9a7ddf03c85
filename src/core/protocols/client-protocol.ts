/** What a vendor is, seen from the client. Nothing else in the client knows a vendor's name. */
import type { Credential, LoginIo, Target } from '../auth/login-io.ts';
import type { ProtocolId } from '../auth/protocol-id.ts';
import type { CertificateIdentity, CryptoProvider } from '../crypto/provider.ts';
import type { AuthSchemeName } from '../http/auth/scheme.ts';
import type { Logger } from '../log.ts';
import type { Secret } from '../secret.ts';
import type { TunnelConfig } from '../tunnel/config.ts';
import type { TunnelMachine } from '../tunnel/machine.ts';
import type { Millis } from '../tunnel/packet.ts';
import type { ScriptOption } from '../tunnel/script-options.ts';

export interface ClientProtocol {
  readonly id: ProtocolId;
  /** As people write it. */
  readonly title: string;
  /** A tunnel begins with a TLS connection, which may be opened while the log-in still goes on; false: with a UDP flow. */
  readonly startsOnStream: boolean;
  /** What {@link TunnelConfig.vendorOptions} are to be made of. Default: they are the gateway's own. */
  readonly scriptOptions?: readonly ScriptOption[];
  /** From nothing to a cookie. Rejects with PeerRefusedError for a "no", CancelledError if whoever answers cancels. */
  login(io: LoginIo, target: Target): Promise<Credential>;
  /**
   * A tunnel for a cookie, again for each reconnect; `previous`: the configuration so far. `io` is for vendors that ask for the configuration by HTTP first:
   * its requests go over the connection that the log-in has left, if there is one. Rejects with MisuseError for a cookie that is none, PeerRefusedError for
   * one that the gateway no longer takes.
   */
  open(io: LoginIo, credential: Credential, previous: TunnelConfig | undefined): Promise<TunnelMachine>;
  /** Ends the session at the gateway, where its tunnel does not say so itself. Called when the tunnel is closed, however it went. */
  logOut?(io: LoginIo, credential: Credential): Promise<void>;
}

/** The user's wishes, in words that all vendors share. */
export interface ProtocolSettings {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly client: ClientIdentification;
  /** Who is to be logged in, where the user has said so: a browser may bring somebody else. */
  readonly user?: string;
  /** AnyConnect: XML documents rather than plain forms. */
  readonly usesXml: boolean;
  /** Schemes of HTTP authentication that may be used towards the gateway. */
  readonly httpAuth: readonly AuthSchemeName[];
  /** OIDC. */
  readonly bearerToken?: Secret;
  readonly compression: 'none' | 'stateless' | 'all';
  readonly wantsIpv6: boolean;
  /** The tunnel MTU to ask for. */
  readonly mtu?: number;
  /** The link MTU to reckon with. */
  readonly baseMtu?: number;
  /** Used instead of the gateway's interval. */
  readonly dpd?: Millis;
  /** False: everything by the stream. */
  readonly usesDatagrams: boolean;
  readonly datagramCiphers: DatagramCiphers;
  /** The client certificate, for DTLS with certificates. */
  readonly datagramIdentity?: CertificateIdentity;
  /**
   * What is wrong with the certificate (DER, leaf first) that a gateway shows by DTLS; undefined: it has the key that TLS has verified. Absent: DTLS with
   * certificates is not spoken.
   */
  readonly datagramCertificateFault?: (gateway: Target, chain: readonly Uint8Array[]) => string | undefined;
  /** Between reports on this machine to a GlobalProtect gateway that wants them. Default: the vendor's. */
  readonly hostReportInterval?: Millis;
  /** What a Fortinet portal with a host check is told, where it asks (spec "Fortinet", section 2.7). */
  readonly hostCheckWords?: HostCheckWords;
  /** The VPN resource to use, by its name, where an F5 gateway offers several (spec "F5", section 3). Default: the first. */
  readonly resource?: string;
}

export interface HostCheckWords {
  readonly hostCheck: string;
  readonly virtualDesktop: string;
}

/** What the datagram channel may be protected with. */
export interface DatagramCiphers {
  /** AnyConnect's names for `X-DTLS-CipherSuite` and `X-DTLS12-CipherSuite`; undefined: all that are known. */
  readonly suites?: readonly string[];
  readonly suites12?: readonly string[];
  /** IANA ids for a PSK handshake, best first; undefined: all that are known. */
  readonly pskSuites?: readonly number[];
  /** Ciphers with SHA-1 MACs, and Cisco's pre-RFC dialect of DTLS. */
  readonly allowsLegacy: boolean;
}

/** How the client describes itself. */
export interface ClientIdentification {
  /** AnyConnect's; the other vendors have habits of their own. */
  readonly userAgent: string;
  /** What the user wants to be called, whatever the vendor's habit is. */
  readonly chosenUserAgent?: string;
  /** `<version who="vpn">` of AnyConnect's documents. */
  readonly version: string;
  /** What the user wants the client's version to be, whatever the vendor's habit is. */
  readonly chosenVersion?: string;
  /** AnyConnect's `device-id`: `linux-64`, `win`, `mac-intel`, … */
  readonly os: string;
  readonly localHostname: string;
  readonly mobile?: MobileIdentity;
}

export interface MobileIdentity {
  readonly platformVersion: string;
  readonly deviceType: string;
  readonly uniqueId: string;
}
