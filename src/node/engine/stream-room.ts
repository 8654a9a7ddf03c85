/** The memory that the TLS connections of a thread share: each uses it for one pass at most. */
import type { OpenSslTls } from '../ffi/openssl-tls-calls.ts';
import { MAX_PACKET_LENGTH } from './shared-memory.ts';

/** Where plaintext of all connections lies, of one at a time: what the device lists until it is written, what was cut short, and a record. */
export const PLAINTEXT_ROOM: number = 256 * 1024;

/** In front of a packet, for its frame's header. */
export const HEADER_ROOM = 64;
/** Where a packet on its way out lies, and what main has to say. */
export const FRAME_ROOM: number = HEADER_ROOM + MAX_PACKET_LENGTH;

/** What the connections of a thread share. */
export interface StreamRoom {
  readonly tls: OpenSslTls;
  /** Offset in the context's arena of {@link PLAINTEXT_ROOM}; a virtio header fits in front, as the device wants it. */
  readonly plaintext: number;
  /** The same of {@link FRAME_ROOM}. */
  readonly frame: number;
}
