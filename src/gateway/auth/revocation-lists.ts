/**
 * Certificates that were taken back: the authority's list (`crl`), read again when the file changes.
 *
 * Read first: RFC 5280 §5.1 (the structure) and §6.3.3 (what a list is good for). A list that is not signed by the authority, or has run out,
 * is no reason to let anybody in: every certificate of that issuer is refused until there is a new one.
 */
import { type KeyObject, verify, X509Certificate } from 'node:crypto';
import { MisuseError, SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { BER, BerReader } from '../../core/wire/ber.ts';
import { toHex } from '../../core/wire/text.ts';
import { derBlocks } from '../../node/pem-blocks.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { certificateParts } from './certificate-names.ts';
import { CurrentFile } from './current-file.ts';

/** Names of hashes by the signature's algorithm; null: the algorithm has its own (RFC 8410). */
const HASHES: ReadonlyMap<string, string | null> = new Map([
  ['1.2.840.113549.1.1.5', 'sha1'],
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.10045.4.1', 'sha1'],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
  ['1.3.101.112', null],
  ['1.3.101.113', null],
]);

const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

export interface RevocationList {
  /** As certificates write it. */
  readonly issuer: Uint8Array;
  /** Milliseconds since 1970; undefined: it does not say. */
  readonly nextUpdate?: number;
  /** Hex. */
  readonly serials: ReadonlySet<string>;
  readonly signed: Uint8Array;
  readonly algorithm: string;
  readonly signature: Uint8Array;
}

export class RevocationLists {
  readonly #lists: CurrentFile<readonly RevocationList[]>;
  readonly #authorities: CurrentFile<readonly X509Certificate[]> | undefined;
  readonly #world: { readonly log: Logger; readonly now: () => number };

  constructor(file: string, authorities: string | undefined, world: { readonly log: Logger; readonly now: () => number }) {
    this.#lists = new CurrentFile(file, (content) => derBlocks(content, 'X509 CRL').map(parseRevocationList));
    this.#authorities =
      authorities === undefined
        ? undefined
        : new CurrentFile(authorities, (content) => derBlocks(content, 'CERTIFICATE').map((der) => new X509Certificate(der)));
    this.#world = world;
  }

  /** Why a certificate of this chain is not good any more; undefined: none was taken back. */
  async refusalOf(chain: readonly Uint8Array[]): Promise<string | undefined> {
    let lists: readonly RevocationList[];
    let keys: readonly { readonly subject: Uint8Array; readonly key: KeyObject }[];
    try {
      lists = await this.#lists.read();
      if (lists.length === 0) throw new MisuseError('there is no list in it');
      keys = [...((await this.#authorities?.read()) ?? [])].map(issuerKey);
    } catch (error) {
      const reason = error instanceof SallyportError ? error.message : systemErrorText(error);
      this.#world.log.log('error', 'list of revoked certificates', { file: this.#lists.path, reason });
      return 'the list of revoked certificates cannot be read';
    }
    const issuers = [...keys, ...chain.slice(1).map((der) => issuerKey(new X509Certificate(der)))];
    for (const der of chain) {
      const { issuer, serial } = certificateParts(der);
      const ofIssuer = lists.filter((list) => sameBytes(list.issuer, issuer));
      if (ofIssuer.length === 0) continue;
      const good = ofIssuer.filter(
        (list) => this.#isCurrent(list) && issuers.some(({ subject, key }) => sameBytes(subject, issuer) && isSignedBy(list, key)),
      );
      if (good.length === 0) {
        this.#world.log.log('error', 'list of revoked certificates', {
          file: this.#lists.path,
          reason: 'it has run out, or is not signed by its issuer',
        });
        return 'the list of revoked certificates is not valid';
      }
      if (good.some((list) => list.serials.has(toHex(serial)))) return 'the certificate was revoked';
    }
    return undefined;
  }

  #isCurrent({ nextUpdate }: RevocationList): boolean {
    return nextUpdate === undefined || nextUpdate > this.#world.now();
  }
}

/** Reads one list (DER). Throws {@link SallyportError} if it is not one. */
export function parseRevocationList(der: Uint8Array): RevocationList {
  const whole = new BerReader(der).sequence('revocation list');
  const signedPart = whole.expect(BER.sequence, 'signed part');
  const algorithm = whole.sequence('signature algorithm').oid('signature algorithm');
  const signature = whole.expect(BER.bitString, 'signature').contents.subarray(1);
  const body = new BerReader(signedPart.contents);
  if (body.peekTag() === BER.integer) body.element('version');
  body.element('inner signature algorithm');
  const issuer = body.expect(BER.sequence, 'issuer').encoded;
  body.element('this update');
  let nextUpdate: number | undefined;
  if (body.peekTag() === UTC_TIME || body.peekTag() === GENERALIZED_TIME) {
    const { tag, contents } = body.element('next update');
    nextUpdate = timeOf(tag, contents);
  }
  const serials = new Set<string>();
  if (body.peekTag() === BER.sequence) {
    const entries = body.sequence('revoked certificates');
    while (!entries.isAtEnd) serials.add(toHex(entries.sequence('revoked certificate').expect(BER.integer, 'serial number').contents));
  }
  return { issuer, ...(nextUpdate !== undefined && { nextUpdate }), serials, signed: signedPart.encoded, algorithm, signature };
}

/** RFC 5280 §4.1.2.5: `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` after it. An unreadable time has passed. */
function timeOf(tag: number, contents: Uint8Array): number {
  const text = String.fromCharCode(...contents.subarray(0, 20));
  const digits = tag === UTC_TIME ? `${Number(text.slice(0, 2)) < 50 ? '20' : '19'}${text}` : text;
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits);
  if (match === null) return 0;
  const [, year, month, day, hour, minute, second] = match.map(Number);
  return Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second);
}

function issuerKey(certificate: X509Certificate): { readonly subject: Uint8Array; readonly key: KeyObject } {
  const body = new BerReader(certificate.raw).sequence('certificate').sequence('certificate body');
  if (body.peekTag() === 0xa0) body.element('version');
  for (const part of ['serial number', 'signature algorithm', 'issuer', 'validity']) body.element(part);
  return { subject: body.expect(BER.sequence, 'subject').encoded, key: certificate.publicKey };
}

function isSignedBy({ algorithm, signed, signature }: RevocationList, key: KeyObject): boolean {
  const hash = HASHES.get(algorithm);
  if (hash === undefined) return false;
  try {
    return verify(hash, signed, key, signature);
  } catch {
    return false; // a key of another kind than the signature
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
