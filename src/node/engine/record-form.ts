/**
 * Where things stand in the records of a layout, and which records can be of it: the part that needs no key.
 *
 * Read first: RFC 6347 §4.1 (DTLS), RFC 4303 §2 (ESP), and what a {@link RecordLayout} says of each kind.
 *
 *   DTLS, GCM        | type | version | epoch | sequence | length | explicit nonce 8 | plaintext | tag 16
 *   DTLS, ChaCha20   | type | version | epoch | sequence | length | plaintext | tag 16
 *   DTLS, CBC        | type | version | epoch | sequence | length | IV 16 | plaintext | MAC | padding | padding length
 *   ESP              | SPI | sequence | IV 16 | payload | padding | padding length | next header | MAC
 *
 * ESP's plaintext, as everybody here sees it, is its payload with the next header in front: that stands in the IV's last byte before a packet is sealed and
 * after it was opened. Where DTLS has its content type ESP then has {@link APPLICATION_DATA}, as all it carries is of one kind; between main and the worker
 * it has none.
 */
import { MAC_LENGTHS } from '../../core/tls-messages/cipher-suites.ts';
import type { AeadCipher, DtlsMac, EspMac, RecordLayout } from '../../core/tunnel/traffic.ts';
import { explicitNonceLength, RECORD_HEADER_LENGTH, TAG_LENGTH } from '../ffi/openssl.ts';

export const APPLICATION_DATA = 23;

const DTLS_1_2 = 0xfefd;

export const BLOCK_LENGTH = 16;

/** SPI (4) and sequence number (4). */
export const ESP_HEADER_LENGTH = 8;

/** Padding length and next header. */
export const ESP_TRAILER_LENGTH = 2;

/** What of the MAC is sent: RFC 2403, RFC 2404, RFC 4868. */
export const ESP_MAC_LENGTHS: Readonly<Record<EspMac, number>> = { md5: 12, sha1: 12, sha256: 16 };

/** The most that stands in front of a plaintext: DTLS's header and an IV. */
export const MAX_PAYLOAD_OFFSET: number = RECORD_HEADER_LENGTH + BLOCK_LENGTH;

/** The most that stands behind it: DTLS's longest MAC, and a block of padding. */
export const MAX_TRAILER_LENGTH: number = MAC_LENGTHS.sha256 + BLOCK_LENGTH;

/** Whether this is what a cipher that lets records wait leaves of one that it could not seal: zeros. None begins so (RFC 4303 §2.1 of SPIs). */
export function isUnsealed(view: DataView, record: number): boolean {
  return view.getUint32(record) === 0;
}

export interface RecordForm {
  /** Where the plaintext lies in a record. */
  readonly payloadOffset: number;
  /** Bytes of the content type in front of a plaintext, where main gives or gets an opened record. */
  readonly typeLength: 0 | 1;
  /** The number that can no longer be. */
  readonly maxSequence: number;
  /** What {@link readHeader} found: the epoch or SPI, the record's number and its whole length. */
  id: number;
  sequence: number;
  recordLength: number;
  /** Writes what stands in front of a plaintext of `length` bytes, but for nonces. Answers the length that the record will have. */
  writeHeader(view: DataView, record: number, contentType: number, id: number, sequence: number, length: number): number;
  /** False: no record of this layout begins there. The record's length is known even so if there is one, else 0. */
  readHeader(view: DataView, record: number, available: number): boolean;
}

export function recordForm(layout: RecordLayout): RecordForm {
  switch (layout.kind) {
    case 'dtls-aead':
      return new DtlsForm(DTLS_1_2, new AeadBody(layout.cipher));
    case 'dtls-cbc':
      return new DtlsForm(layout.version, new CbcBody(layout.mac));
    case 'esp':
      return new EspForm(layout.mac);
  }
}

/** How long what follows a DTLS record's header is. */
interface DtlsBody {
  readonly offset: number;
  lengthFor(plaintextLength: number): number;
  canBe(length: number): boolean;
}

class AeadBody implements DtlsBody {
  readonly offset: number;

  constructor(cipher: AeadCipher) {
    this.offset = explicitNonceLength(cipher);
  }

  lengthFor(plaintextLength: number): number {
    return this.offset + plaintextLength + TAG_LENGTH;
  }

  canBe(length: number): boolean {
    return length >= this.offset + TAG_LENGTH;
  }
}

class CbcBody implements DtlsBody {
  readonly offset: number = BLOCK_LENGTH;
  readonly #macLength: number;

  constructor(mac: DtlsMac) {
    this.#macLength = MAC_LENGTHS[mac];
  }

  lengthFor(plaintextLength: number): number {
    return this.offset + wholeBlocks(plaintextLength + this.#macLength + 1);
  }

  canBe(length: number): boolean {
    return length % BLOCK_LENGTH === 0 && length >= this.lengthFor(0);
  }
}

class DtlsForm implements RecordForm {
  readonly payloadOffset: number;
  readonly typeLength = 1;
  readonly maxSequence: number = 2 ** 48; // RFC 6347 §4.1: six bytes
  id = 0;
  sequence = 0;
  recordLength = 0;
  readonly #version: number;
  readonly #body: DtlsBody;

  constructor(version: number, body: DtlsBody) {
    this.#version = version;
    this.#body = body;
    this.payloadOffset = RECORD_HEADER_LENGTH + body.offset;
  }

  writeHeader(view: DataView, record: number, contentType: number, id: number, sequence: number, length: number): number {
    const bodyLength = this.#body.lengthFor(length);
    view.setUint8(record, contentType);
    view.setUint16(record + 1, this.#version);
    view.setUint16(record + 3, id);
    view.setUint16(record + 5, Math.floor(sequence / 2 ** 32));
    view.setUint32(record + 7, sequence % 2 ** 32);
    view.setUint16(record + 11, bodyLength);
    return RECORD_HEADER_LENGTH + bodyLength;
  }

  readHeader(view: DataView, record: number, available: number): boolean {
    this.recordLength = 0;
    if (available < RECORD_HEADER_LENGTH || view.getUint16(record + 1) !== this.#version) return false;
    const bodyLength = view.getUint16(record + 11);
    if (bodyLength > available - RECORD_HEADER_LENGTH) return false;
    this.recordLength = RECORD_HEADER_LENGTH + bodyLength;
    this.id = view.getUint16(record + 3);
    this.sequence = view.getUint16(record + 5) * 2 ** 32 + view.getUint32(record + 7);
    return this.#body.canBe(bodyLength);
  }
}

class EspForm implements RecordForm {
  /** Of the next header, in the IV's last byte. */
  readonly payloadOffset: number = ESP_HEADER_LENGTH + BLOCK_LENGTH - 1;
  readonly typeLength = 0;
  readonly maxSequence: number = 2 ** 32; // RFC 4303 §3.3.3: the counter must not cycle
  id = 0;
  sequence = 0;
  recordLength = 0;
  readonly #macLength: number;

  constructor(mac: EspMac) {
    this.#macLength = ESP_MAC_LENGTHS[mac];
  }

  writeHeader(view: DataView, record: number, _contentType: number, id: number, sequence: number, length: number): number {
    view.setUint32(record, id);
    view.setUint32(record + 4, sequence);
    return ESP_HEADER_LENGTH + BLOCK_LENGTH + wholeBlocks(length - 1 + ESP_TRAILER_LENGTH) + this.#macLength;
  }

  readHeader(view: DataView, record: number, available: number): boolean {
    const sealed = available - ESP_HEADER_LENGTH - BLOCK_LENGTH - this.#macLength;
    this.recordLength = available; // one in a datagram
    if (sealed < BLOCK_LENGTH || sealed % BLOCK_LENGTH !== 0) return false;
    this.id = view.getUint32(record);
    this.sequence = view.getUint32(record + 4);
    return true;
  }
}

function wholeBlocks(length: number): number {
  return Math.ceil(length / BLOCK_LENGTH) * BLOCK_LENGTH;
}
