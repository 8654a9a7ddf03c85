/**
 * Whether a client's certificate comes from the authority of its host (`ca-cert`). The worker's TLS has looked already; this looks again, in a process that
 * nobody on the network speaks to: a worker that is an attacker's cannot make up a certificate. It can show one that it has seen: that its client has the
 * private key is known to the worker alone.
 *
 * A TLS session that is resumed has only the client's own certificate, not those between it and the authority: those of earlier clients are remembered.
 *
 * Read first: RFC 5280 §6.1, of which this is the part that such a worker could get around: signatures, times, and that issuers may issue.
 */
import { X509Certificate } from 'node:crypto';
import type { Logger } from '../../core/log.ts';
import { derBlocks } from '../../node/pem-blocks.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { CurrentFile } from './current-file.ts';

/** Issuers that are remembered; the one that was needed longest ago goes first. */
const MAX_REMEMBERED = 64;

export interface AuthorityWorld {
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class ClientAuthority {
  readonly #anchors: CurrentFile<readonly X509Certificate[]>;
  readonly #world: AuthorityWorld;
  /** Between a client that was accepted and the authority, by their fingerprints. */
  readonly #remembered = new Map<string, X509Certificate>();

  constructor(file: string, world: AuthorityWorld) {
    this.#anchors = new CurrentFile(file, (content) => derBlocks(content, 'CERTIFICATE').map((der) => new X509Certificate(der)));
    this.#world = world;
  }

  /** A chain, leaf first, with the issuers that are missing and were seen before. */
  completed(chain: readonly Uint8Array[]): readonly Uint8Array[] {
    const [leaf] = chain;
    if (leaf === undefined || chain.length > 1) return chain;
    try {
      return [...reachedFrom(new X509Certificate(leaf), [...this.#remembered.values()]).keys()].map(({ raw }) => raw);
    } catch {
      return chain; // it cannot be read; the look at it says so
    }
  }

  /** Why a chain, leaf first, is not the authority's; undefined: it is. */
  async refusalOf(chain: readonly Uint8Array[]): Promise<string | undefined> {
    let anchors: readonly X509Certificate[];
    try {
      anchors = await this.#anchors.read();
    } catch (error) {
      const reason = systemErrorText(error);
      this.#world.log.log('error', 'authority of client certificates', { file: this.#anchors.path, reason });
      return 'the authority of client certificates cannot be read';
    }
    try {
      const sent = chain.map((der) => new X509Certificate(der));
      const issuers = issuersUpTo(anchors, sent, this.#world.now());
      for (const issuer of issuers ?? []) this.#remember(issuer);
      return issuers === undefined ? 'the certificate is not of this host’s authority, or not of today' : undefined;
    } catch {
      return 'the certificate cannot be read'; // OpenSSL's words are of no use to anybody
    }
  }

  #remember(issuer: X509Certificate): void {
    this.#remembered.delete(issuer.fingerprint256);
    this.#remembered.set(issuer.fingerprint256, issuer);
    for (const [oldest] of this.#remembered) {
      if (this.#remembered.size <= MAX_REMEMBERED) break;
      this.#remembered.delete(oldest);
    }
  }
}

/** Those of a chain, leaf first, that stand between the leaf and an anchor; undefined: it does not lead to one. */
function issuersUpTo(
  anchors: readonly X509Certificate[],
  [leaf, ...others]: readonly X509Certificate[],
  now: number,
): readonly X509Certificate[] | undefined {
  if (leaf === undefined || !isCurrent(leaf, now)) return undefined;
  const isAnchor = (certificate: X509Certificate) => anchors.some(({ raw }) => raw.equals(certificate.raw));
  if (isAnchor(leaf)) return [];
  const trusted = anchors.filter((anchor) => isCurrent(anchor, now));
  const reached = reachedFrom(
    leaf,
    others.filter((certificate) => certificate.ca && !isAnchor(certificate) && isCurrent(certificate, now)),
  );
  const last = [...reached.keys()].find((certificate) => trusted.some((anchor) => isIssuedBy(certificate, anchor)));
  if (last === undefined) return undefined;
  // Only those on the way: others may be anything that the client has made up.
  const issuers: X509Certificate[] = [];
  for (let certificate = last; certificate !== leaf; certificate = reached.get(certificate) ?? leaf) issuers.push(certificate);
  return issuers;
}

/** A search from the leaf up, that looks at each certificate once, however they have signed each other. Each that is found, with the one that it has issued. */
function reachedFrom(leaf: X509Certificate, others: readonly X509Certificate[]): ReadonlyMap<X509Certificate, X509Certificate | undefined> {
  const reached = new Map<X509Certificate, X509Certificate | undefined>([[leaf, undefined]]);
  for (const [certificate] of reached) {
    for (const other of others) if (!reached.has(other) && isIssuedBy(certificate, other)) reached.set(other, certificate);
  }
  return reached;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false; // a key that is none, or of another kind than the signature
  }
}

function isCurrent({ validFromDate, validToDate }: X509Certificate, now: number): boolean {
  return validFromDate.getTime() <= now && now <= validToDate.getTime();
}
