/** What programs may say about a connection. Everything has a default but the gateway. */
import type { AuthForm, FormAnswer } from '../core/auth/form.ts';
import type { Credential } from '../core/auth/login-io.ts';
import type { ProtocolId } from '../core/auth/protocol-id.ts';
import type { Logger } from '../core/log.ts';
import type { HostCheckWords } from '../core/protocols/client-protocol.ts';
import type { Secret } from '../core/secret.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import type { ProtectedFile } from '../node/credentials/credential-error.ts';
import type { PacketDevice } from '../node/devices/packet-device.ts';
import type { TunOffloads } from '../node/ffi/tun.ts';
import type { TrustQuestion } from './server-trust.ts';

/** A field of a form that is answered beforehand. */
export interface FormEntry {
  /** The form's {@link AuthForm.id}. */
  readonly form: string;
  /** The field's name. */
  readonly field: string;
  readonly value: string | Secret;
}

/** A generator of one-time codes. */
export interface TokenOptions {
  readonly mode: 'totp' | 'hotp';
  /** Text, `0x` and hex, `base32:` and base32, or a PSKC document; with HOTP a comma and the counter may follow. */
  readonly secret: string | Secret;
  /** HOTP: keeps the secret with its new counter. It must be kept when the promise resolves: a code must not be made twice. */
  readonly keep?: (secret: Secret) => Promise<void>;
}

/** A certificate of the user's with its private key. */
export interface CertificateOptions {
  /** A file: PEM, DER, PKCS#8 or PKCS#12. */
  readonly certificate: string;
  /** The key's file. Default: the certificate's. */
  readonly key?: string;
  /** Of the file, where it is protected. */
  readonly password?: string | Secret;
  /** Asked for the password where it is needed and not given, again (at most three times) while it is wrong. */
  readonly onPassword?: (file: ProtectedFile, isWrong: boolean) => Promise<string | Secret>;
}

/** How to log in to a gateway. */
export interface LoginOptions {
  /** What the gateway speaks; `auto`: it is asked, by a few requests before the log-in. Default: `auto`; with a credential, what that was got by. */
  readonly protocol?: ProtocolId | 'auto';
  /** Fills the field for the user's name. A browser that logs in somebody else ends the log-in, where it says whom (GlobalProtect). */
  readonly user?: string;
  /** Takes the group with this label, or the only one whose label begins so. */
  readonly group?: string;
  /** Fills the first password field, once. */
  readonly password?: string | Secret;
  /** Makes one-time codes. */
  readonly token?: TokenOptions;
  /** Further answers given beforehand. A password among them is sent once. */
  readonly formEntries?: readonly FormEntry[];
  /**
   * Asked for what nothing above answers: the form holds only those fields. {@link AuthForm.error} says what was wrong with the last answer.
   * A field that `canBeLeft` may be left out of the values. Default: the log-in is rejected with a MisuseError that names the fields.
   */
  readonly onForm?: (form: AuthForm) => Promise<FormAnswer>;
  /** A TLS client certificate. */
  readonly certificate?: CertificateOptions;
  /**
   * Log in with a web browser (SAML), where the protocol can: a program that is run with the address, or a function. The browser comes back to a port of
   * this machine, or the person copies what it shows into a page that is served there (GlobalProtect). Default: the log-in is made of forms.
   */
  readonly browser?: string | ((url: string) => Promise<void>);
  /** What a Fortinet portal with a host check is told of this machine, word by word. Default: nothing. */
  readonly hostCheckWords?: HostCheckWords;
  /** The VPN resource to use, by its name, where an F5 gateway offers several. Default: the first. */
  readonly resource?: string;

  /** Keys that the gateway may have, as `pin-sha256:` and base64. If there are any, they alone decide whether it is trusted. */
  readonly pins?: readonly string[];
  /** A file of authorities to trust, PEM or DER, besides the system's. */
  readonly caFile?: string;
  /** Trust the system's authorities. Default: true, unless there are {@link pins}. */
  readonly systemTrust?: boolean;
  /** Asked about a certificate that nobody vouches for. Default: such a gateway is refused. */
  readonly onCertificate?: (question: TrustQuestion) => Promise<boolean>;
  /**
   * What would otherwise be refused as too weak. `tls`: TLS 1.0 and 1.1, and cipher suites without forward secrecy or with SHA-1. `dtls`: DTLS 1.0,
   * and Cisco's of before the standard, with SHA-1. Default: none.
   */
  readonly allowLegacy?: readonly ('tls' | 'dtls')[];

  /** `http://HOST:PORT` or `socks5://HOST:PORT`. UDP cannot follow through a proxy. */
  readonly proxy?: string;
  readonly proxyLogin?: { readonly username: string; readonly password: string | Secret };
  /** Addresses for host names, in place of DNS. */
  readonly addresses?: Readonly<Record<string, string>>;
  /** What this client calls itself. Some gateways insist on `AnyConnect …`. Default: a name that gateways know openconnect by. */
  readonly userAgent?: string;

  /** Ends the attempt: the call rejects with a CancelledError and nothing stays behind. Means nothing once the call has resolved. */
  readonly signal?: AbortSignal;
  /** Hears what is going on. Default: nobody does. */
  readonly log?: Logger;
}

/** A TUN interface that another process has opened, of this machine's network or of one that only that process sees. */
export interface OpenedInterface {
  readonly name: string;
  /** Of this process; does not block, and is the connection's from when its tunnel is up. */
  readonly descriptor: number;
  /** What the interface was told to do (TUNSETOFFLOAD). Default: nothing; packets have no virtio header. */
  readonly offloads?: TunOffloads;
  /** Sets its MTU, where this process cannot. */
  readonly setMtu?: (mtu: number) => Promise<void>;
}

/** How to connect to a gateway. */
export interface ConnectOptions extends LoginOptions {
  /** What an earlier log-in yielded: no other is made. */
  readonly credential?: Credential;
  /**
   * Where packets enter and leave: `tun`, a network interface with a name of the system's choice (the default); `{ name }`, one with this name;
   * `userspace`, sockets of this process alone ({@link Vpn.createConnection} and what is beside it): no root, and nothing changes on the machine; an
   * interface that is open already; or a device of your own. It is closed when the connection ends.
   */
  readonly device?: 'tun' | 'userspace' | { readonly name: string } | OpenedInterface | PacketDevice;
  /**
   * Who sets up addresses, routes and DNS. `configure`: Sallyport does, and takes everything back at the end (the default with an interface; needs
   * root). `none`: nobody (the default with all other devices). `{ script }`: a shell command with the environment that vpnc-script expects.
   */
  readonly network?: 'configure' | 'none' | { readonly script: string };
  /** Largest packet in the tunnel, in bytes, to ask for. Default: what the path carries. */
  readonly mtu?: number;
  /** False: everything goes by TLS, nothing by UDP. Default: true. */
  readonly udp?: boolean;
  /** False: no IPv6 in the tunnel. Default: true. */
  readonly ipv6?: boolean;
  /** `stateless`: LZ4 and LZS, `all`: deflate too. Compression can give away what is encrypted. Default: `none`. */
  readonly compression?: 'none' | 'stateless' | 'all';
  /** How long to try to reconnect after the connection was lost, in milliseconds. Default: 300 000. */
  readonly reconnectTimeout?: Millis;
  /** How often to ask the peer for a sign of life, in milliseconds. Default: what the gateway says. */
  readonly dpd?: Millis;
}
