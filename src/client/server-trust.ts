/**
 * Whether to go on with a gateway, by its certificate: asked on every connection, so that a reconnect is as careful as the first one.
 *
 * Read first: spec "Client command line", sections 3.3 and 6.
 */
import { CERTIFICATE_NOT_TRUSTED, NetworkError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { chainFault } from '../node/ffi/openssl-chain.ts';
import { pinOf } from '../node/trust/fingerprints.ts';
import { anchorBytes, type TrustAnchors } from '../node/trust/trust-anchors.ts';
import { judgeCertificate, type PresentedCertificate, type TrustDecision } from '../node/trust/verify-certificate.ts';

/** A certificate that nobody vouches for, put to a person. */
export interface TrustQuestion {
  readonly host: string;
  readonly port: number;
  /** What is wrong, in a few words. */
  readonly fault: string;
  /** `pin-sha256:…` of the key. */
  readonly pin: string;
  /** DER. */
  readonly certificate: Uint8Array;
}

/** The gateway is not to be talked to. Whoever knows by other means that this is its key names the pin next time. */
export class CertificateNotTrustedError extends NetworkError {
  readonly host: string;
  /** `pin-sha256:…` of the key that was presented. */
  readonly pin: string;
  /** What is wrong, in a few words; undefined: its key is none of those that were named. */
  readonly fault: string | undefined;

  constructor({ host, pin, fault }: { readonly host: string; readonly pin: string; readonly fault?: string }) {
    const why = fault ?? 'its key is none of those that are expected';
    super(`The certificate of ${host} is not trusted: ${why}. Its key is ${pin}.`, { code: CERTIFICATE_NOT_TRUSTED });
    this.host = host;
    this.pin = pin;
    this.fault = fault;
  }
}

export interface ServerTrustOptions {
  readonly anchors: TrustAnchors;
  /** `--servercert`: if there are any, they alone decide. */
  readonly fingerprints: readonly string[];
  /** Asks a person, once for each host, port and key. Without it, what is doubtful is refused. */
  readonly confirm?: (question: TrustQuestion) => Promise<boolean>;
  readonly log: Logger;
}

export class ServerTrust {
  readonly #options: ServerTrustOptions;
  /** What a person has accepted: host, port and pin. */
  readonly #accepted = new Set<string>();

  /** Host and port to the pins of keys that were found to be the gateway's. */
  readonly #known = new Map<string, Set<string>>();

  constructor(options: ServerTrustOptions) {
    this.#options = options;
  }

  /** Rejects with {@link CertificateNotTrustedError} if the gateway is not to be talked to. */
  async judge(presented: PresentedCertificate, port: number): Promise<void> {
    const { confirm } = this.#options;
    const { host } = presented;
    const decision = judgeCertificate(presented, this.#options);
    const { fault, pin } = decision;
    this.#tell(decision);
    if (decision.verdict === 'trusted') return this.#remember(host, port, pin);
    const key = `${host}:${port} ${pin}`;
    if (this.#accepted.has(key)) return;
    const [certificate] = presented.chain;
    if (decision.verdict === 'doubtful' && confirm !== undefined && certificate !== undefined) {
      if (await confirm({ host, port, fault: fault ?? 'unknown', pin, certificate })) {
        this.#accepted.add(key);
        return this.#remember(host, port, pin);
      }
    }
    throw new CertificateNotTrustedError({ host, pin, ...(decision.verdict === 'doubtful' && fault !== undefined && { fault }) });
  }

  /** Whether the gateway is beyond doubt. If it is not nothing is said and nobody asked: {@link judge} does that on another connection. */
  admits(presented: PresentedCertificate, port: number): boolean {
    const decision = judgeCertificate(presented, this.#options);
    if (decision.verdict !== 'trusted') return false;
    this.#tell(decision);
    this.#remember(presented.host, port, decision.pin);
    return true;
  }

  /** DER of the certificates that a gateway's may end at. */
  authorities(): readonly Uint8Array[] {
    return anchorBytes(this.#options.anchors);
  }

  /** Whether a key of this gateway was found good before; `certificate`: whether its key is one of those. */
  knows({ host, port }: { readonly host: string; readonly port: number }, certificate?: Uint8Array): boolean {
    const pins = this.#known.get(`${host}:${port}`);
    return pins !== undefined && (certificate === undefined || pins.has(pinOf(certificate)));
  }

  /**
   * What is wrong with a chain that the gateway shows by another way than TLS; undefined: its key is known already, or it is good by itself. Fingerprints
   * that were named decide alone, so they are not asked for a second time.
   */
  faultElsewhere({ host, port }: { readonly host: string; readonly port: number }, chain: readonly Uint8Array[]): string | undefined {
    const [leaf] = chain;
    if (leaf === undefined) return 'there is none';
    if (this.knows({ host, port }, leaf)) return undefined;
    const isOther = 'its key is not the one of the log-in';
    if (this.#options.fingerprints.length > 0) return isOther;
    const fault = chainFault(chain, { authorities: this.authorities(), host });
    return fault === undefined ? undefined : `${isOther}, and ${fault}`;
  }

  #tell({ verdict, fault, complaints }: TrustDecision): void {
    const { log } = this.#options;
    if (fault !== undefined) log.log('info', 'certificate not verified', { reason: fault, vouched: verdict === 'trusted' });
    for (const complaint of complaints) log.log('error', 'certificate fingerprint', { complaint });
  }

  #remember(host: string, port: number, pin: string): void {
    const gateway = `${host}:${port}`;
    const pins = this.#known.get(gateway) ?? new Set();
    this.#known.set(gateway, pins.add(pin));
  }
}
