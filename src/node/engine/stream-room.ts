/** The memory that the TLS connections of a thread share: each uses it for one pass at most. */
import type { OpenSslTls } from '../ffi/openssl-tls-calls.ts';
import type { FrameRun } from './frame-run.ts';

/** Where plaintext of all connections lies, of one at a time: what the device lists until it is written, what was cut short, and a record. */
export const PLAINTEXT_ROOM: number = 256 * 1024;

/** What the connections of a thread share. */
export interface StreamRoom {
  readonly tls: OpenSslTls;
  /** Offset in the context's arena of {@link PLAINTEXT_ROOM}; a virtio header fits in front, as the device wants it. */
  readonly plaintext: number;
  /** What leaves. */
  readonly run: FrameRun;
}
