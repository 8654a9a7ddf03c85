/**
 * Whether a client's certificate comes from the authority of its host (`ca-cert`). The worker's TLS has looked already; this looks again, in a process that
 * nobody on the network speaks to: a worker that is an attacker's cannot make up a certificate. It can show one that it has seen: that its client has the
 * private key is known to the worker alone.
 *
 * Read first: RFC 5280 §6.1, of which this is the part that such a worker could get around: signatures, times, and that issuers may issue.
 */
import { X509Certificate } from 'node:crypto';
import type { Logger } from '../../core/log.ts';
import { derBlocks } from '../../node/pem-blocks.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { CurrentFile } from './current-file.ts';

export interface AuthorityWorld {
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class ClientAuthority {
  readonly #anchors: CurrentFile<readonly X509Certificate[]>;
  readonly #world: AuthorityWorld;

  constructor(file: string, world: AuthorityWorld) {
    this.#anchors = new CurrentFile(file, (content) => derBlocks(content, 'CERTIFICATE').map((der) => new X509Certificate(der)));
    this.#world = world;
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
      return leadsTo(anchors, sent, this.#world.now()) ? undefined : 'the certificate is not of this host’s authority, or not of today';
    } catch {
      return 'the certificate cannot be read'; // OpenSSL's words are of no use to anybody
    }
  }
}

/** A search from the leaf up, that looks at each certificate once, however they have signed each other. */
function leadsTo(anchors: readonly X509Certificate[], [leaf, ...others]: readonly X509Certificate[], now: number): boolean {
  if (leaf === undefined || !isCurrent(leaf, now)) return false;
  const isAnchor = (certificate: X509Certificate) => anchors.some(({ raw }) => raw.equals(certificate.raw));
  if (isAnchor(leaf)) return true;
  let left = others.filter((certificate) => certificate.ca && !isAnchor(certificate) && isCurrent(certificate, now));
  const trusted = anchors.filter((anchor) => isCurrent(anchor, now));
  const reached = [leaf];
  for (const certificate of reached) {
    if (trusted.some((anchor) => isIssuedBy(certificate, anchor))) return true;
    const issuers = left.filter((other) => isIssuedBy(certificate, other));
    reached.push(...issuers);
    left = left.filter((other) => !issuers.includes(other));
  }
  return false;
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
