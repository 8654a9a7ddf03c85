/**
 * A TLS connection as the driver sees it. Two implementations: the engine's, which lives in the worker and can carry a tunnel's data by itself
 * (engine/engine-stream.ts), and the portable one over node:tls (tls-connection.ts).
 */
import type { SallyportError } from '../core/errors.ts';
import type { StreamTraffic } from '../core/tunnel/traffic.ts';
import type { Endpoint } from '../core/wire/ip-address.ts';
import type { CarriedUse } from './driver/carried-use.ts';

/** Code of the error of a handshake that failed. */
export const TLS_FAILED = 'ERR_TLS';

export interface ConnectionEnds {
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

export interface TlsStream {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** `TLSv1.3-TLS_AES_256_GCM_SHA384`. */
  readonly cipherSuite: string;
  /** The verify_data of our Finished. */
  readonly finished: Uint8Array | undefined;
  /** Bytes that have not left yet. */
  readonly queued: number;
  /** Where the engine has it: how it carries the data by itself. */
  readonly carrier: StreamCarrier | undefined;
  /** RFC 5705 and RFC 8446 §7.5, without context. */
  exportKeyingMaterial(label: string, length: number): Promise<Uint8Array>;
  /** One call, one TLS record (up to 16384 bytes). The bytes belong to the connection until they have left. False: wait for {@link onDrain}. */
  write(bytes: Uint8Array): boolean;
  /** Bytes are lent for the call. */
  onData(listener: (bytes: Uint8Array) => void): void;
  onDrain(listener: () => void): void;
  /** The connection is over; `error` says why if it failed. */
  onClose(listener: (error: SallyportError | undefined) => void): void;
  /** Sends what is queued, says goodbye (close_notify) and closes; gives up after `limitMs`. Where the engine has it, the peer's goodbye is not waited for. */
  close(limitMs: number): Promise<void>;
  /** Closes at once; what is queued is lost. */
  destroy(): void;
}

export interface StreamCarrier {
  /**
   * From the call on the engine cuts and makes the frames of data; undefined takes that back. Frames that are not data, and what {@link TlsStream.write}
   * is given, pass as before.
   */
  carry(traffic: StreamTraffic | undefined): Promise<void>;
  /** {@link updateKeys} works: TLS 1.3. */
  readonly updatesKeys: boolean;
  /** New keys in both directions (RFC 8446 §4.6.3). */
  updateKeys(): Promise<void>;
  /** When the peer was heard last and when something was sent last: milliseconds of performance.now(); 0: never. */
  times(): { readonly heardAt: number; readonly sentAt: number };
  /** What has been carried so far. */
  use(): CarriedUse;
}
