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
  readonly framing: PacketFraming;
  /** Largest inner IP packet in bytes. */
  readonly tunnelMtu: number;
  /** Where the peer's packets may come from; others are dropped. Absent: from anywhere, and the device judges what is a packet. */
  readonly innerSources?: readonly Cidr[];
}

/**
 * What stands around a packet on the wire, and how it is sealed.
 *
 * `dtls-aead`: a record of DTLS 1.2: header, explicit nonce (GCM), ciphertext, tag.
 * `dtls-cbc`: a record of any dialect, whose version bytes are `version`: header, IV, and encrypted plaintext, MAC and padding (RFC 5246 §6.2.3.2).
 * `esp`: a packet of RFC 4303 without extended sequence numbers: SPI, sequence number, IV, encrypted payload with its trailer, truncated MAC. What the
 * framing is about is the payload with its next header in front.
 */
export type RecordLayout =
  | { readonly kind: 'dtls-aead'; readonly cipher: AeadCipher }
  | { readonly kind: 'dtls-cbc'; readonly cipher: CbcCipher; readonly mac: DtlsMac; readonly version: number }
  | { readonly kind: 'esp'; readonly cipher: CbcCipher; readonly mac: EspMac };

export type AeadCipher = 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';
export type CbcCipher = 'aes-128-cbc' | 'aes-256-cbc';
export type DtlsMac = 'sha1' | 'sha256';
export type EspMac = DtlsMac | 'md5';

export interface TrafficKey {
  /** The epoch; of ESP the SPI. */
  readonly id: number;
  readonly key: Uint8Array;
  /** The fixed part of the nonce: 4 bytes for GCM, 12 for ChaCha20-Poly1305. empty for CBC, whose records bring their own. */
  readonly iv: Uint8Array;
  /** With CBC: as long as its hash. */
  readonly mac?: Uint8Array;
  readonly nextSequence: number;
}

/**
 * How IP packets stand in a record or a stream:
 *
 *   +--------------+------+-----------
 *   | frame header | sent | IP packet        what is sent; what is received may have another of the marks of {@link isData} in the middle
 *   +--------------+------+-----------
 *
 * What is described here goes past the machine. All else is the machine's: frames that are no data, and packets of the device that have no place in it.
 */
export interface PacketFraming {
  /** In front of everything, data or not. Records that need none have no bytes here. */
  readonly frame: FrameHeader;
  readonly sent: SentMarks;
  readonly isData: DataMatch;
  /** Packets that are the machine's all the same, both ways. */
  readonly exceptions?: readonly PacketException[];
}

/** Fixed bytes, but for lengths, and for marks that lie in them. */
export interface FrameHeader {
  readonly bytes: Uint8Array;
  readonly lengths: readonly LengthField[];
  /** Bytes that are sent as they stand here, and may be any in what is received. */
  readonly unread?: readonly ByteRange[];
}

/** A length of all that follows the frame header, plus `add`; big endian unless said otherwise. */
export interface LengthField {
  readonly offset: number;
  readonly width: 2 | 4;
  readonly add: number;
  readonly isLittleEndian?: true;
}

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** What tells the family of a packet that is sent, equally long for both. A family that is absent is not the engine's to send. */
export interface SentMarks {
  readonly ipv4?: Uint8Array;
  readonly ipv6?: Uint8Array;
  /** Where in the frame header they stand, instead of the bytes there. Absent: behind it. */
  readonly at?: number;
}

/**
 * Data is what has one of `values` at `offset` from the frame header's start, which may lie in the header itself; the IP packet follows both. No value
 * begins with another, but that two may be the same for two families; they are empty where everything is data.
 */
export interface DataMatch {
  readonly offset: number;
  readonly values: readonly DataMark[];
}

export interface DataMark {
  readonly bytes: Uint8Array;
  /** Of the packet behind it: what does not begin as such a packet is no data. Absent: the device judges what is a packet. */
  readonly family?: 4 | 6;
}

/** A packet of this family in which all of these bytes stand, counted from its first. */
export interface PacketException {
  readonly family: 4 | 6;
  readonly bytes: readonly { readonly offset: number; readonly value: Uint8Array }[];
}

/** Of records whose first byte tells what they are: `mark` that they are data. */
export function framingByMark(mark: number): PacketFraming {
  const value = Uint8Array.of(mark);
  return {
    frame: { bytes: new Uint8Array(0), lengths: [] },
    sent: { ipv4: value, ipv6: value },
    isData: { offset: 0, values: [{ bytes: value }] },
  };
}

/**
 * The same for a stream of frames over TLS, which is the engine's own: one frame a record when sending; cut by the header's length when receiving.
 * Frames that are not data go to the machine whole, header first, and so does everything from the first bytes on that are no frame.
 */
export interface StreamTraffic {
  readonly record: { readonly kind: 'tls-stream' };
  readonly framing: StreamFraming;
  /** The most that may follow a frame header. */
  readonly maxPayload: number;
  /** Largest inner IP packet in bytes. */
  readonly tunnelMtu: number;
  /** As in {@link TrafficDescription}. */
  readonly innerSources?: readonly Cidr[];
  /** What has come of the frames so far and was not cut: the engine begins with it. */
  readonly received: Uint8Array;
}

/**
 * The frame header says at least one length, or has no bytes: then the stream is IP packets one behind the other, each as long as it says itself.
 *
 * A sender may put more into a frame than we do:
 *
 *   +--------------+--------+--------+-------------------+--------
 *   | frame header | packet | packet | its part that     | packet       a frame is data if all in it is
 *   |     :  part  |        |        | comes again       |
 *   +--------------+--------+--------+-------------------+--------
 */
export interface StreamFraming extends PacketFraming {
  /**
   * Where in the frame header the part begins that comes again. Lengths before it are of all that follows the frame header, those in it of what follows
   * up to the next such part. A part may be cut, and go on in the next frame behind what does not come again: the machine puts it together. Absent: none does.
   */
  readonly repeatedFrom?: number;
  /** Packets of one family may follow each other, each as long as it says itself. */
  readonly holdsSeveral?: true;
}
