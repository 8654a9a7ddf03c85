/**
 * Who a client certificate says its holder is: names from the subject by object identifier, or from the alternative names.
 *
 * Read first: RFC 5280 §4.1 (the structure), §4.1.2.4 (names), §4.2.1.6 (alternative names).
 *
 * The chain has been verified by TLS; what is read here is what an authority of the administrator's has signed. Still every length is checked.
 */
import { PeerMisbehavedError } from '../../core/errors.ts';
import { BER, BerReader } from '../../core/wire/ber.ts';
import type { CertificateField } from '../config/gateway-config.ts';

/** Of one certificate; more nobody needs. */
const MAX_NAMES = 64;

const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';
const EXTENSIONS_TAG = 0xa3;
const RFC822_NAME_TAG = 0x81;

const STRING_TAGS = { utf8: 0x0c, printable: 0x13, teletex: 0x14, ia5: 0x16, universal: 0x1c, bmp: 0x1e } as const;

export interface CertificateParts {
  /** As the certificate writes it: compared byte by byte with the issuer's own name. */
  readonly issuer: Uint8Array;
  /** The number that a revocation list names it by. */
  readonly serial: Uint8Array;
  readonly subject: Uint8Array;
  readonly extensions: Uint8Array | undefined;
}

/** The parts of a certificate (DER) that are read here. Throws {@link PeerMisbehavedError} if it is not one. */
export function certificateParts(der: Uint8Array): CertificateParts {
  const body = new BerReader(der).sequence('certificate').sequence('certificate body');
  if (body.peekTag() === 0xa0) body.element('certificate version');
  const serial = body.expect(BER.integer, 'serial number').contents;
  body.element('signature algorithm');
  const issuer = body.expect(BER.sequence, 'issuer').encoded;
  body.element('validity');
  const subject = body.expect(BER.sequence, 'subject').contents;
  body.element('public key');
  let extensions: Uint8Array | undefined;
  while (!body.isAtEnd) {
    const part = body.element('certificate extensions');
    if (part.tag === EXTENSIONS_TAG) extensions = part.contents;
  }
  return { issuer, serial, subject, extensions };
}

/** All values of a field, in their order. Throws {@link PeerMisbehavedError} for a certificate that cannot be read. */
export function certificateNames(der: Uint8Array, field: CertificateField): readonly string[] {
  const { subject, extensions } = certificateParts(der);
  const names = 'oid' in field ? subjectNames(subject, field.oid) : extensions === undefined ? [] : mailNames(extensions);
  return names.filter((name) => name !== '').slice(0, MAX_NAMES);
}

function subjectNames(subject: Uint8Array, oid: string): string[] {
  const names: string[] = [];
  const parts = new BerReader(subject);
  while (!parts.isAtEnd) {
    const set = parts.set('subject part');
    while (!set.isAtEnd) {
      const attribute = set.sequence('subject attribute');
      const isWanted = attribute.oid('subject attribute type') === oid;
      const { tag, contents } = attribute.element('subject attribute value');
      if (isWanted) names.push(textOf(tag, contents));
    }
  }
  return names;
}

function mailNames(extensions: Uint8Array): string[] {
  const list = new BerReader(extensions).sequence('extensions');
  while (!list.isAtEnd) {
    const extension = list.sequence('extension');
    if (extension.oid('extension type') !== SUBJECT_ALTERNATIVE_NAME) continue;
    if (extension.peekTag() !== BER.octetString) extension.element('critical');
    return mailsOf(new BerReader(extension.octets('extension value')).sequence('alternative names'));
  }
  return [];
}

function mailsOf(names: BerReader): string[] {
  const mails: string[] = [];
  while (!names.isAtEnd) {
    const { tag, contents } = names.element('alternative name');
    if (tag === RFC822_NAME_TAG) mails.push(textOf(STRING_TAGS.ia5, contents));
  }
  return mails;
}

function textOf(tag: number, contents: Uint8Array): string {
  switch (tag) {
    case STRING_TAGS.utf8:
      return decoded('utf-8', contents);
    case STRING_TAGS.printable:
    case STRING_TAGS.ia5:
    case STRING_TAGS.teletex:
      return decoded('latin1', contents);
    case STRING_TAGS.bmp:
      return decoded('utf-16le', contents.length % 2 === 0 ? Uint8Array.from(contents, (_, i) => contents[i ^ 1] ?? 0) : contents);
    default:
      throw new PeerMisbehavedError(`a name in the certificate has ASN.1 tag ${tag}, which is no text`);
  }
}

function decoded(encoding: string, contents: Uint8Array): string {
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(contents);
  } catch (cause) {
    throw new PeerMisbehavedError('a name in the certificate is not in the encoding that it says', { cause });
  }
}
