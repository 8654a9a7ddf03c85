/**
 * EAP-TTLS as Pulse has it: TLS messages in EAP packets, in fragments where they are long, and what is said inside, one AVP at a time.
 *
 * Read first: spec "Pulse", sections 7.1 and 7.3 (RFC 5281 §9 has the same form).
 *
 *   flags | [length of the whole message, be32, where L is set] | data         nothing but flags 0: go on
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { checkHttpLimit } from '../../http/limits.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { joined } from '../../wire/copy.ts';
import { AVP_CODES } from './avp.ts';
import { decodeEap, type EapPacket, encodeEap } from './eap.ts';

const FLAGS = { hasLength: 0x80, hasMore: 0x40, start: 0x20, version: 0x07 } as const;

/** Bytes of one message, and of what is inside (spec 15). */
const MAX_MESSAGE = 64 * 1024;
/** Of data in one of ours: observed, openconnect's. */
const MAX_FRAGMENT = 8192;

/** Packets of one conversation: a chain of certificates in small fragments, and a question now and then. */
const MAX_PACKETS = 1024;

/** A gateway's first packet. */
export const TTLS_START: Uint8Array = Uint8Array.of(FLAGS.start);
const ACKNOWLEDGEMENT = Uint8Array.of(0);
const NO_BYTES = new Uint8Array(0);

export type TtlsTurn =
  /** The conversation begins: whoever is the client says its first TLS message. */
  | { readonly type: 'start' }
  | { readonly type: 'message'; readonly bytes: Uint8Array }
  /** To be answered with this, and nothing else. */
  | { readonly type: 'answer'; readonly data: Uint8Array };

/** One end's messages, in turns: each packet of the peer's is answered with one packet. */
export class TtlsMessages {
  #received: Uint8Array = NO_BYTES;
  /** How long the peer has said that its message is, once it has. */
  #announced: number | undefined;
  #packets = 0;
  /** What is still to be sent of our message. */
  #unsent: Uint8Array[] = [];

  /** Throws {@link PeerMisbehavedError} for what is none. */
  receive(data: Uint8Array): TtlsTurn {
    checkHttpLimit(++this.#packets, MAX_PACKETS, 'EAP-TTLS packets');
    const reader = new ByteReader(data);
    const flags = reader.u8('EAP-TTLS flags');
    if ((flags & FLAGS.version) !== 0) throw new PeerMisbehavedError(`EAP-TTLS version: expected 0, got ${flags & FLAGS.version}`);
    if ((flags & FLAGS.start) !== 0) return { type: 'start' };
    const length = (flags & FLAGS.hasLength) === 0 ? undefined : reader.u32('EAP-TTLS length');
    if (length !== undefined) checkHttpLimit(length, MAX_MESSAGE, 'bytes of an EAP-TTLS message');
    const fragment = this.#unsent.shift();
    if (fragment !== undefined) {
      if (reader.remaining > 0) throw new PeerMisbehavedError('EAP-TTLS: expected an acknowledgement');
      return { type: 'answer', data: fragment };
    }
    this.#announced = length ?? this.#announced;
    this.#received = joined(this.#received, reader.rest());
    checkHttpLimit(this.#received.length, MAX_MESSAGE, 'bytes of an EAP-TTLS message');
    if ((flags & FLAGS.hasMore) !== 0) return { type: 'answer', data: ACKNOWLEDGEMENT };
    const [bytes, announced] = [this.#received, this.#announced];
    this.#received = NO_BYTES;
    this.#announced = undefined;
    if (announced !== undefined && announced !== bytes.length) {
      throw new PeerMisbehavedError(`EAP-TTLS length: expected ${announced}, got ${bytes.length}`);
    }
    return { type: 'message', bytes };
  }

  /** The data of the first packet of a message; the others follow when the peer has acknowledged it. Empty: an acknowledgement. */
  send(message: Uint8Array): Uint8Array {
    const [first = ACKNOWLEDGEMENT, ...rest] = fragments(message);
    this.#unsent = rest;
    return first;
  }
}

function fragments(message: Uint8Array): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let at = 0; at < message.length; at += MAX_FRAGMENT) {
    const data = message.subarray(at, at + MAX_FRAGMENT);
    const hasMore = at + data.length < message.length;
    const writer = new ByteWriter().u8((at === 0 && hasMore ? FLAGS.hasLength : 0) | (hasMore ? FLAGS.hasMore : 0));
    if (at === 0 && hasMore) writer.u32(message.length);
    all.push(writer.bytes(data).finish());
  }
  return all;
}

/** Of the AVP inside, which has no padding (spec 7.3). */
const HEADER_LENGTH = 8;

/** What is written inside, as one record. */
export function encodeInner(packet: EapPacket): Uint8Array {
  const eap = encodeEap(packet);
  return new ByteWriter()
    .u32(AVP_CODES.eapMessage)
    .u8(0)
    .u24(HEADER_LENGTH + eap.length)
    .bytes(eap)
    .finish();
}

/** Cuts what comes inside into EAP packets. */
export class InnerPackets {
  #bytes: Uint8Array = NO_BYTES;

  push(bytes: Uint8Array): void {
    this.#bytes = joined(this.#bytes, bytes);
    checkHttpLimit(this.#bytes.length, MAX_MESSAGE, 'bytes inside EAP-TTLS');
  }

  /** Undefined: nothing whole. Throws {@link PeerMisbehavedError} for what is no EAP message. */
  next(): EapPacket | undefined {
    if (this.#bytes.length < HEADER_LENGTH) return undefined;
    const reader = new ByteReader(this.#bytes);
    const code = reader.u32('AVP code');
    reader.u8('AVP flags');
    const length = reader.u24('AVP length');
    if (code !== AVP_CODES.eapMessage || length < HEADER_LENGTH) throw new PeerMisbehavedError('EAP-TTLS: expected an EAP message inside');
    if (this.#bytes.length < length) return undefined;
    const packet = decodeEap(reader.bytes(length - HEADER_LENGTH, 'EAP message'));
    this.#bytes = this.#bytes.subarray(length);
    return packet;
  }
}
