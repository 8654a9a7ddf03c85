/** The world of a log-in: real connections, whoever answers, the user's files. */
import type { AuthForm, FormAnswer } from '../core/auth/form.ts';
import type {
  ConnectionFacts,
  HostCheckRequest,
  LoginIo,
  LoginRequest,
  ProfileStore,
  RequestManner,
  Target,
  UserCertificate,
} from '../core/auth/login-io.ts';
import type { CryptoProvider } from '../core/crypto/provider.ts';
import { CancelledError, MisuseError } from '../core/errors.ts';
import type { HttpResponse } from '../core/http/message.ts';
import { hostInUrl } from '../core/http/url.ts';
import type { Logger } from '../core/log.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import type { IpAddress } from '../core/wire/ip-address.ts';
import { unlessCancelled } from '../node/cancellation.ts';
import type { TlsConnection } from '../node/tls-connection.ts';
import type { GatewayDialer } from './gateway-dialer.ts';
import { GatewayHttp, type GatewayHttpOptions } from './gateway-http.ts';

export interface LoginWorldOptions {
  readonly dialer: GatewayDialer;
  /** As in `GatewayHttpOptions`. */
  readonly inherited?: GatewayHttpOptions['inherited'];
  /** False: a new connection for each request. */
  readonly keepsConnections: boolean;
  /** Told which machine answered a request, if not by sending us elsewhere. */
  readonly answered?: (target: Target, address: IpAddress) => void;
  /** Answers the forms; one for each log-in. */
  readonly ask: (form: AuthForm) => Promise<FormAnswer>;
  /** DER of the TLS client certificate, if there is one. */
  readonly clientCertificate?: Uint8Array;
  /** The second certificate of a multiple-certificate log-in. */
  readonly userCertificate?: UserCertificate;
  /** Runs the user's host checker. */
  readonly checkHost: (request: HostCheckRequest) => Promise<void>;
  /** Says what there is to say of this machine to a gateway that wants a report. */
  readonly reportHost?: NonNullable<LoginIo['reportHost']>;
  /** Starts the user's host checker, one that speaks as long as there is a session. */
  readonly startHelper?: NonNullable<LoginIo['startHelper']>;
  /** Has a person log in with a browser. */
  readonly browse?: NonNullable<LoginIo['browse']>;
  readonly profile?: ProfileStore;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class LoginWorld implements LoginIo {
  readonly userCertificate?: UserCertificate;
  readonly profile?: ProfileStore;
  readonly browse?: NonNullable<LoginIo['browse']>;
  readonly reportHost?: NonNullable<LoginIo['reportHost']>;
  readonly innerTls: NonNullable<LoginIo['innerTls']>;
  readonly startHelper?: NonNullable<LoginIo['startHelper']>;
  readonly hasClientCertificate: boolean;
  readonly signal: AbortSignal;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly #options: LoginWorldOptions;
  readonly #http: GatewayHttp;

  constructor(options: LoginWorldOptions) {
    const { userCertificate, profile, clientCertificate, browse, reportHost, startHelper, inherited, signal, log } = options;
    if (browse !== undefined) this.browse = browse;
    if (reportHost !== undefined) this.reportHost = reportHost;
    if (startHelper !== undefined) this.startHelper = startHelper;
    if (userCertificate !== undefined) this.userCertificate = userCertificate;
    if (profile !== undefined) this.profile = profile;
    this.hasClientCertificate = clientCertificate !== undefined;
    this.innerTls = (target) => options.dialer.inside(target, this.connection().peerCertificate);
    this.signal = signal;
    this.crypto = options.crypto;
    this.log = log;
    this.#options = options;
    this.#http = new GatewayHttp({
      dial: (target, patience) => this.#dial(target, patience),
      ...(inherited !== undefined && { inherited }),
      keepsAlive: options.keepsConnections,
      ...(clientCertificate !== undefined && { clientCertificate }),
      log,
      signal,
    });
  }

  async http(request: LoginRequest, how?: RequestManner): Promise<HttpResponse> {
    const response = await this.#http.request(request, how);
    const { facts } = this.#http;
    if (facts !== undefined && !isRedirect(response)) this.#options.answered?.(request.target, facts.remote.address);
    return response;
  }

  async upgrade(request: LoginRequest): ReturnType<LoginIo['upgrade']> {
    const upgraded = await this.#http.upgrade(request);
    const { facts } = this.#http;
    if (facts !== undefined && upgraded.stream !== undefined) this.#options.answered?.(request.target, facts.remote.address);
    return upgraded;
  }

  /** A connection was left for the tunnel: it is what {@link takeConnection} gives, and the tunnel cannot begin on another. */
  get hasLeftConnection(): boolean {
    return this.#http.hasLeft;
  }

  /** Whether a request was made. */
  get hasSpoken(): boolean {
    return this.#http.facts !== undefined;
  }

  connection(): ConnectionFacts {
    const { facts } = this.#http;
    if (facts === undefined) throw new MisuseError('There has been no connection yet.');
    return facts;
  }

  /** Rejects as soon as the log-in is cancelled, whatever whoever answers does then. */
  ask(form: AuthForm): Promise<FormAnswer> {
    return unlessCancelled(this.#options.ask(form), this.signal);
  }

  checkHost(request: HostCheckRequest): Promise<void> {
    return this.#options.checkHost(request);
  }

  async sleep(ms: Millis): Promise<void> {
    const timer = Promise.withResolvers<void>();
    const timeout = setTimeout(timer.resolve, ms);
    await unlessCancelled(timer.promise, this.signal).finally(() => clearTimeout(timeout));
  }

  now(): number {
    return Date.now();
  }

  /** Gives away the connection to this server that the log-in kept, if it is open; any other is closed. */
  takeConnection(target: Target): Promise<TlsConnection | undefined> {
    return this.#http.take(target);
  }

  /** Closes the connection that the log-in kept. */
  close(): Promise<void> {
    return this.#http.close();
  }

  async #dial(target: Target, patience: Millis | undefined): Promise<TlsConnection> {
    const { dialer, signal, log } = this.#options;
    try {
      return await dialer.dial(target, signal, { patience });
    } catch (error) {
      if (!(error instanceof CancelledError)) log.log('error', 'https failed', { host: hostInUrl(target.host) });
      throw error;
    }
  }
}

/** RFC 9110 §15.4. */
function isRedirect({ status }: HttpResponse): boolean {
  return status >= 300 && status < 400;
}
