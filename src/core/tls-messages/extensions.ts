/**
 * Hello extensions: a list of numbered blobs, and the few whose content we know.
 *
 * Read first: RFC 5246 §7.4.1.4 (the list), RFC 5746 §3.2 (renegotiation_info), RFC 7627 §5.1 (extended_master_secret), RFC 8449 §4 (record_size_limit).
 */
import { PeerMisbehavedError } from '../errors.ts';
import { ByteReader } from '../wire/byte-reader.ts';
import { ByteWriter } from '../wire/byte-writer.ts';

export interface Extension {
  readonly type: number;
  readonly data: Uint8Array;
}

export const EXTENSIONS = {
  supportedGroups: 0x000a,
  pointFormats: 0x000b,
  signatureAlgorithms: 0x000d,
  extendedMasterSecret: 0x0017,
  recordSizeLimit: 0x001c,
  /** Spec "AnyConnect", section 7.7: where a client may put its App-ID instead of into session_id. */
  openconnectAppId: 0xbb92,
  renegotiationInfo: 0xff01,
} as const;

/** How many extensions one hello may have: the registry knows about 60, the busiest clients send 20. */
export const MAX_EXTENSIONS = 64;

/** The largest record_size_limit below TLS 1.3, and the largest plaintext of a record (RFC 8449 §4). */
export const MAX_PLAINTEXT_LENGTH = 0x4000;

/** The smallest record_size_limit that a peer may ask for (RFC 8449 §4). */
const MIN_RECORD_SIZE_LIMIT = 64;

/** Reads a hello's extensions up to its end; a hello may end without any. Throws {@link PeerMisbehavedError}. */
export function decodeExtensions(reader: ByteReader): Extension[] {
  if (reader.remaining === 0) return [];
  const list = new ByteReader(reader.bytes(reader.u16('extensions length'), 'extensions'));
  const extensions: Extension[] = [];
  while (list.remaining > 0) {
    const type = list.u16('extension type');
    const data = list.bytes(list.u16('extension length'), 'extension data');
    if (extensionOf(extensions, type) !== undefined) throw new PeerMisbehavedError(`extension ${type} is there twice`);
    extensions.push({ type, data });
    if (extensions.length > MAX_EXTENSIONS) throw new PeerMisbehavedError(`more than ${MAX_EXTENSIONS} extensions in one hello`);
  }
  return extensions;
}

/** Writes nothing at all for an empty list: old peers know no extensions. */
export function encodeExtensions(writer: ByteWriter, extensions: readonly Extension[]): void {
  if (extensions.length === 0) return;
  writer.prefixed(2, (list) => {
    for (const { type, data } of extensions) list.u16(type).prefixed(2, (body) => body.bytes(data));
  });
}

/** The content of an extension; undefined if it is not there. */
export function extensionOf(extensions: readonly Extension[], type: number): Uint8Array | undefined {
  return extensions.find((extension) => extension.type === type)?.data;
}

/** renegotiation_info of a first handshake: "I know it, there is nothing to renegotiate". */
export const EMPTY_RENEGOTIATION_INFO: Extension = { type: EXTENSIONS.renegotiationInfo, data: Uint8Array.of(0) };

export const EXTENDED_MASTER_SECRET: Extension = { type: EXTENSIONS.extendedMasterSecret, data: new Uint8Array(0) };

export function recordSizeLimit(limit: number): Extension {
  return { type: EXTENSIONS.recordSizeLimit, data: new ByteWriter().u16(limit).finish() };
}

/** True if the hello has a renegotiation_info that fits a first handshake. Throws {@link PeerMisbehavedError} if it has another. */
export function hasRenegotiationInfo(extensions: readonly Extension[]): boolean {
  const data = extensionOf(extensions, EXTENSIONS.renegotiationInfo);
  if (data === undefined) return false;
  if (data.length !== 1 || data[0] !== 0) throw new PeerMisbehavedError('renegotiation_info of a first handshake is not empty');
  return true;
}

/** True if the hello has extended_master_secret. Throws {@link PeerMisbehavedError} if it has content. */
export function hasExtendedMasterSecret(extensions: readonly Extension[]): boolean {
  const data = extensionOf(extensions, EXTENSIONS.extendedMasterSecret);
  if (data !== undefined && data.length !== 0) throw new PeerMisbehavedError('extended_master_secret is not empty');
  return data !== undefined;
}

/** The largest plaintext that the peer takes in a record; undefined if it does not say. Throws {@link PeerMisbehavedError} below 64. */
export function recordSizeLimitOf(extensions: readonly Extension[]): number | undefined {
  const data = extensionOf(extensions, EXTENSIONS.recordSizeLimit);
  if (data === undefined) return undefined;
  const reader = new ByteReader(data);
  const limit = reader.u16('record_size_limit');
  if (reader.remaining > 0 || limit < MIN_RECORD_SIZE_LIMIT) {
    throw new PeerMisbehavedError(
      `record_size_limit: expected one number from ${MIN_RECORD_SIZE_LIMIT}, got ${data.length} bytes, ${limit}`,
    );
  }
  return Math.min(limit, MAX_PLAINTEXT_LENGTH); // RFC 8449 §4: a larger limit than the protocol's means the protocol's.
}

/** The App-ID in the extension that OpenConnect's gateway knows: one length byte, then the id. */
export function openconnectAppIdOf(extensions: readonly Extension[]): Uint8Array | undefined {
  const data = extensionOf(extensions, EXTENSIONS.openconnectAppId);
  if (data === undefined) return undefined;
  const reader = new ByteReader(data);
  const id = reader.bytes(reader.u8('App-ID length'), 'App-ID');
  if (reader.remaining > 0) throw new PeerMisbehavedError(`App-ID extension: ${reader.remaining} bytes after the id`);
  return id;
}
