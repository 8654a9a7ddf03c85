/**
 * The messages of a handshake in which the server shows a certificate, both ways: Certificate, the key exchanges of ECDHE and RSA, CertificateVerify;
 * and the extensions that go with them.
 *
 * Read first: RFC 5246 §7.4.2 to §7.4.8, RFC 8422 §5 (ECDHE), RFC 4346 §7.4.3 (signatures before 1.2).
 */
import type { KeyAgreementGroup, SignatureScheme } from '../crypto/provider.ts';
import { PeerMisbehavedError } from '../errors.ts';
import { ByteReader } from '../wire/byte-reader.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import { EXTENSIONS, type Extension, extensionOf } from './extensions.ts';

/** Certificates in one chain: real ones have up to four. */
export const MAX_CHAIN_LENGTH = 10;

/** IANA "TLS Supported Groups". */
const GROUP_IDS: Readonly<Record<KeyAgreementGroup, number>> = { x25519: 0x001d, p256: 0x0017, p384: 0x0018 };

/** Best first: the order in which they are offered and chosen. */
export const GROUPS: readonly KeyAgreementGroup[] = ['x25519', 'p256', 'p384'];

/** IANA "TLS SignatureScheme", best first. */
const SCHEME_IDS: readonly (readonly [SignatureScheme, number])[] = [
  ['ecdsa-sha256', 0x0403],
  ['ecdsa-sha384', 0x0503],
  ['ecdsa-sha512', 0x0603],
  ['rsa-pss-sha256', 0x0804],
  ['rsa-pss-sha384', 0x0805],
  ['rsa-pss-sha512', 0x0806],
  ['rsa-pkcs1-sha256', 0x0401],
  ['rsa-pkcs1-sha384', 0x0501],
  ['rsa-pkcs1-sha512', 0x0601],
];

/** RFC 8422 §5.4. */
const NAMED_CURVE = 3;
const UNCOMPRESSED = 0;

// ---- extensions

export const SUPPORTED_GROUPS: Extension = {
  type: EXTENSIONS.supportedGroups,
  data: listOf(GROUPS.map((group) => GROUP_IDS[group])),
};

export const POINT_FORMATS: Extension = { type: EXTENSIONS.pointFormats, data: Uint8Array.of(1, UNCOMPRESSED) };

export const SIGNATURE_ALGORITHMS: Extension = { type: EXTENSIONS.signatureAlgorithms, data: listOf(SCHEME_IDS.map(([, id]) => id)) };

/** The best group of ours that a client offers; one that names none is old and knows P-256 (RFC 8422 §4). Undefined: it has none of ours. */
export function offeredGroup(extensions: readonly Extension[]): KeyAgreementGroup | undefined {
  const ids = offeredIds(extensions, EXTENSIONS.supportedGroups);
  return ids === undefined ? 'p256' : GROUPS.find((group) => ids.includes(GROUP_IDS[group]));
}

/** Our schemes that a client takes, best first; a client of 1.2 that names none takes only SHA-1 (RFC 5246 §7.4.1.4.1), so none. */
export function offeredSchemes(extensions: readonly Extension[]): readonly SignatureScheme[] {
  const ids = offeredIds(extensions, EXTENSIONS.signatureAlgorithms) ?? [];
  return SCHEME_IDS.filter(([, id]) => ids.includes(id)).map(([scheme]) => scheme);
}

function offeredIds(extensions: readonly Extension[], type: number): readonly number[] | undefined {
  const data = extensionOf(extensions, type);
  if (data === undefined) return undefined;
  const reader = new ByteReader(data);
  const ids = readIds(reader, 'extension list');
  requireEnd(reader, `extension ${type}`);
  return ids;
}

function listOf(ids: readonly number[]): Uint8Array {
  return new ByteWriter()
    .prefixed(2, (list) => {
      for (const id of ids) list.u16(id);
    })
    .finish();
}

function readIds(reader: ByteReader, field: string): readonly number[] {
  const list = new ByteReader(reader.bytes(reader.u16(`${field} length`), field));
  const ids: number[] = [];
  while (list.remaining > 0) ids.push(list.u16(field));
  return ids;
}

// ---- Certificate

export function encodeCertificate(chain: readonly Uint8Array[]): Uint8Array {
  return new ByteWriter()
    .prefixed(3, (list) => {
      for (const certificate of chain) list.prefixed(3, (part) => part.bytes(certificate));
    })
    .finish();
}

/** DER, leaf first; empty where the peer has none to show. */
export function decodeCertificate(body: Uint8Array): readonly Uint8Array[] {
  const reader = new ByteReader(body);
  const list = new ByteReader(reader.bytes(reader.u24('certificates length'), 'certificates'));
  requireEnd(reader, 'Certificate');
  const chain: Uint8Array[] = [];
  while (list.remaining > 0) {
    if (chain.length === MAX_CHAIN_LENGTH) throw new PeerMisbehavedError(`Certificate: more than ${MAX_CHAIN_LENGTH} in one chain`);
    chain.push(list.bytes(list.u24('certificate length'), 'certificate'));
  }
  return chain;
}

// ---- ServerKeyExchange of ECDHE

export interface EcdheParameters {
  readonly group: KeyAgreementGroup;
  readonly publicKey: Uint8Array;
}

/** A signature, and by which scheme it was made; before 1.2 there is one for each kind of key. */
export interface Signed {
  readonly scheme: SignatureScheme;
  readonly signature: Uint8Array;
}

/** What the server signs, after both randoms. */
export function encodeEcdheParameters({ group, publicKey }: EcdheParameters): Uint8Array {
  return new ByteWriter()
    .u8(NAMED_CURVE)
    .u16(GROUP_IDS[group])
    .prefixed(1, (part) => part.bytes(publicKey))
    .finish();
}

export function encodeServerKeyExchange(parameters: EcdheParameters, signed: Signed): Uint8Array {
  return new ByteWriter().bytes(encodeEcdheParameters(parameters)).bytes(encodeSigned(signed)).finish();
}

export interface ServerKeyExchange extends EcdheParameters, Signed {
  /** The bytes that are signed. */
  readonly parameters: Uint8Array;
}

/** @param isLegacy before 1.2: the signature has no scheme in front. Throws for a group that we did not offer. */
export function decodeServerKeyExchange(body: Uint8Array, isLegacy: boolean): ServerKeyExchange {
  const reader = new ByteReader(body);
  const type = reader.u8('curve type');
  if (type !== NAMED_CURVE) throw new PeerMisbehavedError(`curve type: expected ${NAMED_CURVE}, got ${type}`);
  const id = reader.u16('group');
  const group = GROUPS.find((known) => GROUP_IDS[known] === id);
  if (group === undefined) throw new PeerMisbehavedError(`group ${id} was not offered`);
  const publicKey = reader.bytes(reader.u8('public key length'), 'public key');
  const parameters = body.subarray(0, reader.position);
  const signed = decodeSigned(reader, isLegacy);
  requireEnd(reader, 'ServerKeyExchange');
  return { group, publicKey, parameters, ...signed };
}

// ---- CertificateRequest

/** Schemes that the server takes of a client's certificate; before 1.2 it does not say. */
export function decodeCertificateRequest(body: Uint8Array, isLegacy: boolean): readonly SignatureScheme[] {
  const reader = new ByteReader(body);
  reader.bytes(reader.u8('certificate types length'), 'certificate types');
  const ids = isLegacy ? [] : readIds(reader, 'signature algorithms');
  reader.bytes(reader.u16('authorities length'), 'authorities');
  requireEnd(reader, 'CertificateRequest');
  return isLegacy ? ['legacy'] : SCHEME_IDS.filter(([, id]) => ids.includes(id)).map(([scheme]) => scheme);
}

// ---- ClientKeyExchange

export function encodeEcdheClientKeyExchange(publicKey: Uint8Array): Uint8Array {
  return new ByteWriter().prefixed(1, (part) => part.bytes(publicKey)).finish();
}

export function decodeEcdheClientKeyExchange(body: Uint8Array): Uint8Array {
  const reader = new ByteReader(body);
  const publicKey = reader.bytes(reader.u8('public key length'), 'public key');
  requireEnd(reader, 'ClientKeyExchange');
  return publicKey;
}

export function encodeRsaClientKeyExchange(encrypted: Uint8Array): Uint8Array {
  return new ByteWriter().prefixed(2, (part) => part.bytes(encrypted)).finish();
}

export function decodeRsaClientKeyExchange(body: Uint8Array): Uint8Array {
  const reader = new ByteReader(body);
  const encrypted = reader.bytes(reader.u16('encrypted premaster length'), 'encrypted premaster');
  requireEnd(reader, 'ClientKeyExchange');
  return encrypted;
}

// ---- CertificateVerify

export function encodeSigned({ scheme, signature }: Signed): Uint8Array {
  const writer = new ByteWriter();
  const id = SCHEME_IDS.find(([known]) => known === scheme)?.[1];
  if (id !== undefined) writer.u16(id);
  return writer.prefixed(2, (part) => part.bytes(signature)).finish();
}

function decodeSigned(reader: ByteReader, isLegacy: boolean): Signed {
  const scheme = isLegacy ? 'legacy' : schemeOf(reader.u16('signature scheme'));
  return { scheme, signature: reader.bytes(reader.u16('signature length'), 'signature') };
}

function schemeOf(id: number): SignatureScheme {
  const scheme = SCHEME_IDS.find(([, known]) => known === id)?.[0];
  if (scheme === undefined) throw new PeerMisbehavedError(`signature scheme 0x${id.toString(16).padStart(4, '0')} was not offered`);
  return scheme;
}

function requireEnd(reader: ByteReader, what: string): void {
  if (reader.remaining > 0) throw new PeerMisbehavedError(`${what}: ${reader.remaining} bytes too many`);
}
