/**
 * The PROXY protocol: what a proxy writes in front of a connection that it hands on, to say whose it is. Versions 1 and 2, both ways.
 *
 * Read first: HAProxy's "The PROXY protocol", sections 2.1 (version 1), 2.2 (version 2) and 2.2.5 (what it knows of TLS); spec "AnyConnect", section 11.9.
 *
 *   1   PROXY TCP4 192.0.2.1 198.51.100.2 50000 443 CRLF
 *   2   0                        12         13       14       16
 *       +------------------------+----------+--------+--------+---------------------
 *       | 0D 0A 0D 0A 00 … 0A    | 2 | cmd  | family | length | addresses, ports, TLVs…
 *       +------------------------+----------+--------+--------+---------------------
 */
import { PeerMisbehavedError } from '../errors.ts';
import { ByteReader } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import { type Endpoint, formatIp, parseIp } from './ip-address.ts';
import { fromUtf8, utf8 } from './text.ts';

export interface ProxyHeader {
  /** Undefined: the proxy speaks for itself (a health check), or cannot say. */
  readonly ends?: { readonly remote: Endpoint; readonly local: Endpoint };
  /** What the proxy says of the client's TLS with it; to be believed of a proxy that can be trusted only. */
  readonly tls?: ProxyTls;
}

export interface ProxyTls {
  /** The client has shown a certificate on this connection or on the session that it resumes, and the proxy found it good. */
  readonly isCertificateVerified: boolean;
  /** Of that certificate's subject. */
  readonly commonName?: string;
}

/** Section 2.1: the longest line, with its end. */
const MAX_LINE = 107;

/** What version 2 may have behind its fixed part: with a certificate's whole subject it is some hundred bytes. */
const MAX_LENGTH = 4096;

const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const FIXED_LENGTH = 16;
const LINE_BEGINNING = utf8('PROXY ');

const COMMANDS = { local: 0x20, proxy: 0x21 } as const;
const FAMILIES = { unspecified: 0x00, tcp4: 0x11, tcp6: 0x21, unix: 0x31 } as const;
const UNIX_LENGTH = 216;

const TLV_SSL = 0x20;
const TLV_SSL_CN = 0x22;
const SSL_FLAGS = { tls: 0x01, certificateOnConnection: 0x02, certificateInSession: 0x04 } as const;

/** The header at the front, and its length; undefined while it is not all there. Throws {@link PeerMisbehavedError} for what is none. */
export function parseProxyHeader(bytes: Uint8Array): { readonly header: ProxyHeader; readonly length: number } | undefined {
  if (bytes.length === 0) return undefined;
  return bytes[0] === SIGNATURE[0] ? parseBinary(bytes) : parseLine(bytes);
}

function parseLine(bytes: Uint8Array): { header: ProxyHeader; length: number } | undefined {
  const line = bytes.subarray(0, MAX_LINE);
  if (!beginsLike(line, LINE_BEGINNING)) throw new PeerMisbehavedError('PROXY header: expected PROXY or the signature of version 2');
  const end = line.indexOf(0x0a);
  if (end < 0) {
    if (bytes.length >= MAX_LINE) throw new PeerMisbehavedError(`PROXY header: a line of version 1 has at most ${MAX_LINE} bytes`);
    return undefined;
  }
  if (line[end - 1] !== 0x0d) throw new PeerMisbehavedError('PROXY header: the line does not end with CR LF');
  const words = fromUtf8(line.subarray(LINE_BEGINNING.length, end - 1)).split(' ');
  return { header: headerOfWords(words), length: end + 1 };
}

function headerOfWords([kind, ...words]: readonly string[]): ProxyHeader {
  if (kind === 'UNKNOWN') return {}; // what follows is to be ignored
  const [source = '', destination = '', sourcePort = '', destinationPort = '', ...more] = words;
  const remote = endpointOf(source, sourcePort);
  const local = endpointOf(destination, destinationPort);
  const family = kind === 'TCP4' ? 4 : kind === 'TCP6' ? 6 : undefined;
  if (family === undefined || more.length > 0 || remote?.address.family !== family || local?.address.family !== family) {
    throw new PeerMisbehavedError('PROXY header: expected TCP4 or TCP6, two addresses of it and two ports');
  }
  return { ends: { remote, local } };
}

function endpointOf(address: string, port: string): Endpoint | undefined {
  const ip = parseIp(address);
  return ip === undefined || !/^(?:0|[1-9]\d{0,4})$/.test(port) || Number(port) > 0xffff ? undefined : { address: ip, port: Number(port) };
}

function parseBinary(bytes: Uint8Array): { header: ProxyHeader; length: number } | undefined {
  if (!beginsLike(bytes, SIGNATURE)) throw new PeerMisbehavedError('PROXY header: the signature of version 2 is wrong');
  if (bytes.length < FIXED_LENGTH) return undefined;
  const reader = new ByteReader(bytes.subarray(SIGNATURE.length));
  const command = reader.u8('PROXY command');
  const family = reader.u8('PROXY family');
  const length = reader.u16('PROXY length');
  if (command !== COMMANDS.local && command !== COMMANDS.proxy) throw new PeerMisbehavedError('PROXY header: unknown version or command');
  if (length > MAX_LENGTH) throw new PeerMisbehavedError(`PROXY header: at most ${MAX_LENGTH} bytes behind the fixed part, got ${length}`);
  if (bytes.length < FIXED_LENGTH + length) return undefined;
  const rest = new ByteReader(bytes.subarray(FIXED_LENGTH, FIXED_LENGTH + length));
  // Section 2.2: of a LOCAL connection everything else is to be ignored.
  const header = command === COMMANDS.local ? {} : { ...readEnds(rest, family), ...readTls(rest) };
  return { header, length: FIXED_LENGTH + length };
}

function readEnds(reader: ByteReader, family: number): Pick<ProxyHeader, 'ends'> {
  switch (family) {
    case FAMILIES.unspecified:
      return {};
    case FAMILIES.unix:
      reader.bytes(UNIX_LENGTH, 'PROXY unix addresses');
      return {};
    case FAMILIES.tcp4:
    case FAMILIES.tcp6: {
      const ip = family === FAMILIES.tcp4 ? ({ family: 4, length: 4 } as const) : ({ family: 6, length: 16 } as const);
      const address = (what: string) => ({ family: ip.family, bytes: reader.bytes(ip.length, what).slice() });
      const [source, destination] = [address('PROXY source'), address('PROXY destination')];
      const remote = { address: source, port: reader.u16('PROXY source port') };
      return { ends: { remote, local: { address: destination, port: reader.u16('PROXY destination port') } } };
    }
    default:
      throw new PeerMisbehavedError('PROXY header: expected TCP over IPv4 or IPv6, a unix socket, or nothing');
  }
}

/** The TLVs that are left: all but the one about TLS are passed over. */
function readTls(reader: ByteReader): Pick<ProxyHeader, 'tls'> {
  let tls: ProxyTls | undefined;
  for (const { type, value } of tlvsOf(reader)) if (type === TLV_SSL) tls = tlsOf(new ByteReader(value));
  return tls === undefined ? {} : { tls };
}

function* tlvsOf(reader: ByteReader): Generator<{ readonly type: number; readonly value: Uint8Array }> {
  while (reader.remaining > 0) {
    const type = reader.u8('PROXY TLV type');
    yield { type, value: reader.bytes(reader.u16('PROXY TLV length'), 'PROXY TLV value') };
  }
}

/** Section 2.2.5: real senders put the name inside of this TLV. */
function tlsOf(reader: ByteReader): ProxyTls {
  const flags = reader.u8('PROXY TLS flags');
  const fault = reader.u32('PROXY TLS verification');
  const hasCertificate = (flags & (SSL_FLAGS.certificateOnConnection | SSL_FLAGS.certificateInSession)) !== 0;
  let commonName: string | undefined;
  for (const { type, value } of tlvsOf(reader)) if (type === TLV_SSL_CN) commonName = fromUtf8(value);
  return { isCertificateVerified: hasCertificate && fault === 0, ...(commonName !== undefined && { commonName }) };
}

/** Whether the bytes are the beginning of `pattern`, or begin with it. */
function beginsLike(bytes: Uint8Array, pattern: Uint8Array): boolean {
  return pattern.subarray(0, bytes.length).every((byte, i) => bytes[i] === byte);
}

/** Version 1 has no place for what is known of TLS. */
export function renderProxyLine({ ends }: ProxyHeader): Uint8Array {
  if (ends === undefined) return utf8('PROXY UNKNOWN\r\n');
  const { remote, local } = ends;
  const kind = remote.address.family === 4 ? 'TCP4' : 'TCP6';
  return utf8(`PROXY ${kind} ${formatIp(remote.address)} ${formatIp(local.address)} ${remote.port} ${local.port}\r\n`);
}

/** Version 2. */
export function renderProxyHeader({ ends, tls }: ProxyHeader): Uint8Array {
  const rest = new ByteWriter();
  if (ends !== undefined) {
    const { remote, local } = ends;
    rest.bytes(remote.address.bytes).bytes(local.address.bytes).u16(remote.port).u16(local.port);
  }
  if (tls !== undefined) rest.bytes(renderTls(tls));
  const body = rest.finish();
  const family = ends === undefined ? FAMILIES.unspecified : ends.remote.address.family === 4 ? FAMILIES.tcp4 : FAMILIES.tcp6;
  return new ByteWriter().bytes(SIGNATURE).u8(COMMANDS.proxy).u8(family).u16(body.length).bytes(body).finish();
}

function renderTls({ isCertificateVerified, commonName }: ProxyTls): Uint8Array {
  const hasCertificate = isCertificateVerified || commonName !== undefined;
  const flags = SSL_FLAGS.tls | (hasCertificate ? SSL_FLAGS.certificateOnConnection : 0);
  const value = new ByteWriter().u8(flags).u32(isCertificateVerified ? 0 : 1);
  if (commonName !== undefined) value.bytes(tlv(TLV_SSL_CN, utf8(commonName)));
  return tlv(TLV_SSL, value.finish());
}

function tlv(type: number, value: Uint8Array): Uint8Array {
  return new ByteWriter().u8(type).u16(value.length).bytes(value).finish();
}
