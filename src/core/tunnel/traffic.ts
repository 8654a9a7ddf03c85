/**
 * What the packet engine needs to carry a path's data without knowing the protocol. Plain data: it goes to the engine's worker.
 *
 * From the description until it is withdrawn, the engine alone seals and opens the path, so that no nonce is used twice:
 * the machine receives opened records that are not data, and commits unsealed ones.
 */
import type { Cidr } from '../wire/ip-address.ts';

export interface TrafficDescription {
  readonly record: RecordLayout;
  readonly seal: TrafficKey;
  /** The current key and, for a while after a rekey, the one before. */
  readonly open: readonly TrafficKey[];
  /** Width of the anti-replay window in records. */
  readonly replayWindow: number;
  /** What stands in front of each IP packet inside a record. */
  readonly header: Uint8Array;
  readonly isData: DataMatch;
  /** Largest inner IP packet in bytes. */
  readonly tunnelMtu: number;
  /** Where the peer's packets may come from; others are dropped. Absent: from anywhere, and the device judges what is a packet. */
  readonly innerSources?: readonly Cidr[];
}

/** A DTLS 1.2 record with an AEAD cipher: header, explicit nonce (GCM), ciphertext, tag. */
export interface RecordLayout {
  readonly kind: 'dtls-aead';
  readonly cipher: AeadCipher;
}

export type AeadCipher = 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';

/** `id`: the epoch; `iv`: the fixed part of the nonce (4 bytes for GCM, 12 for ChaCha20-Poly1305). */
export interface TrafficKey {
  readonly id: number;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly nextSequence: number;
}

/** Data are opened records that have `value` as the byte at `offset`; what follows that byte is the IP packet. */
export interface DataMatch {
  readonly offset: number;
  readonly value: number;
}

/**
 * The same for a stream of frames over TLS, which is the engine's own: one frame a record when sending; cut by the header's length when receiving.
 * Frames that are not data go to the machine whole, header first, and so does everything from the first bytes on that are no frame.
 */
export interface StreamTraffic {
  readonly record: { readonly kind: 'tls-stream' };
  /** What stands in front of each payload. A frame's own header has the same bytes but for its length and the byte of {@link isData}. */
  readonly header: HeaderTemplate;
  /** Its offset lies in the header. */
  readonly isData: DataMatch;
  /** Largest payload that is accepted. */
  readonly maxPayload: number;
  /** Largest inner IP packet in bytes. */
  readonly tunnelMtu: number;
  /** As in {@link TrafficDescription}. */
  readonly innerSources?: readonly Cidr[];
  /** What has come of the frames so far and was not cut: the engine begins with it. */
  readonly received: Uint8Array;
}

export interface HeaderTemplate {
  readonly bytes: Uint8Array;
  /** Where the payload's length is, big endian. */
  readonly length: { readonly offset: number; readonly width: 2 | 4 };
}

/** A length of 16 bits, big endian, in a header: that of all that follows the header, plus `add`. */
export interface LengthPatch {
  readonly offset: number;
  readonly add: number;
}
