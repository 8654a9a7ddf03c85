/**
 * EAP packets as Pulse has them: RFC 3748 §4, with the vendor's own methods as expanded types (§5.7).
 *
 * Read first: spec "Pulse", section 5.1.
 *
 *   code | id | length, be16 | type | data…          type 0xfe: vendor, be24 | type, be32 | data…
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';

export const EAP_CODES = { request: 1, response: 2, success: 3, failure: 4 } as const;

const EXPANDED = 0xfe;
const VENDOR_JUNIPER = 0x0a4c;
/** A vendor's own types are numbers behind this one. */
const JUNIPER = EXPANDED * 0x1_0000_0000;

export const EAP_METHODS: Readonly<Record<'identity' | 'tokenCard' | 'ttls' | 'conversation' | 'password' | 'hostCheck', number>> = {
  identity: 0x01,
  /** RFC 3748 §5.6: a prompt and a code. */
  tokenCard: 0x06,
  ttls: 0x15,
  /** A list of AVPs: the whole conversation is in these. */
  conversation: JUNIPER + 1,
  password: JUNIPER + 2,
  hostCheck: JUNIPER + 3,
};

export interface EapPacket {
  readonly code: number;
  readonly id: number;
  /** One of {@link EAP_METHODS}, or another; success and failure have none. */
  readonly method?: number;
  readonly data: Uint8Array;
}

export function encodeEap({ code, id, method, data }: EapPacket): Uint8Array {
  const body = new ByteWriter();
  if (method !== undefined && method >= JUNIPER)
    body
      .u8(EXPANDED)
      .u24(VENDOR_JUNIPER)
      .u32(method - JUNIPER);
  else if (method !== undefined) body.u8(method);
  body.bytes(data);
  return new ByteWriter()
    .u8(code)
    .u8(id)
    .u16(4 + body.length)
    .bytes(body.finish())
    .finish();
}

/** All of `bytes`. Throws {@link PeerMisbehavedError} for what is no packet, and for another vendor's. */
export function decodeEap(bytes: Uint8Array): EapPacket {
  const reader = new ByteReader(bytes);
  const code = reader.u8('EAP code');
  const id = reader.u8('EAP id');
  const length = reader.u16('EAP length');
  if (length !== bytes.length) throw new PeerMisbehavedError(`EAP length: expected ${bytes.length}, got ${length}`);
  if (code === EAP_CODES.success || code === EAP_CODES.failure) return { code, id, data: reader.rest() };
  if (code !== EAP_CODES.request && code !== EAP_CODES.response) throw new PeerMisbehavedError(`EAP code ${code} is none`);
  return { code, id, method: methodOf(reader), data: reader.rest() };
}

function methodOf(reader: ByteReader): number {
  const type = reader.u8('EAP type');
  if (type !== EXPANDED) return type;
  const vendor = reader.u24('EAP vendor');
  if (vendor !== VENDOR_JUNIPER) throw new PeerMisbehavedError(`EAP vendor: expected ${VENDOR_JUNIPER}, got ${vendor}`);
  return JUNIPER + reader.u32('EAP vendor type');
}
