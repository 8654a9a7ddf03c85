/** What main and the worker say to each other about TLS connections, besides the commands that all paths know. */
import type { PeerVerification, TlsHandle } from '../ffi/openssl-tls.ts';
import type { TlsSettings } from '../ffi/openssl-tls-context.ts';

/** Each command with what it takes and what it answers. */
export interface StreamCommands {
  /**
   * The worker takes a descriptor of its own for a connected socket of this process; it neither reads nor writes before `shake-hands`, so that main can
   * close its own. A handle: main has shaken hands already, and touches it no more; it is main's again if this is refused.
   */
  'open-stream': {
    readonly takes: { readonly path: number; readonly fd: number; readonly tls: TlsSettings | TlsHandle };
    readonly answers: undefined;
  };
  /** The report `secured` follows, or `broken`. */
  'shake-hands': { readonly takes: { readonly path: number }; readonly answers: undefined };
  /** RFC 5705 and RFC 8446 §7.5. */
  'export-keys': {
    readonly takes: { readonly path: number; readonly label: string; readonly length: number };
    readonly answers: Uint8Array;
  };
  /** New keys in both directions (RFC 8446 §4.6.3). Refused where TLS is older. */
  'update-keys': { readonly takes: { readonly path: number }; readonly answers: undefined };
  /** Answers when all that was given to the worker before is done: what comes of it is seen before the answer. */
  'settle-stream': { readonly takes: { readonly path: number }; readonly answers: undefined };
  /** Says goodbye (close_notify) behind what was committed; the report `said` follows when all of it has left. */
  'end-stream': { readonly takes: { readonly path: number }; readonly answers: undefined };
  /** Of connections that are to be closed, together: bytes that their peers' systems have not acknowledged yet. */
  unacknowledged: { readonly takes: { readonly paths: readonly number[] }; readonly answers: number };
}

/** From the worker, of one connection. */
export type StreamReport =
  | { readonly type: 'secured'; readonly facts: SecuredFacts }
  /** So many bytes that main committed have left since the report before. */
  | { readonly type: 'left'; readonly bytes: number }
  /** What was to be said before the end, and the goodbye, has left; `over` follows when the peer has said its own. */
  | { readonly type: 'said' }
  /** The peer has ended it, or it has been ended as main wanted and the peer has agreed. */
  | { readonly type: 'over' }
  /** It failed: by the number of a system call, or in OpenSSL's words. */
  | { readonly type: 'broken'; readonly errno: number }
  | { readonly type: 'broken'; readonly reason: string };

/** What a handshake agreed on. */
export interface SecuredFacts {
  /** DER; undefined: the peer showed none. */
  readonly peerCertificate: Uint8Array | undefined;
  /** Of a client's: by the authorities of its settings. */
  readonly verification?: PeerVerification;
  /** `TLSv1.3-TLS_AES_256_GCM_SHA384`. */
  readonly cipherSuite: string;
  /** The command `update-keys` works. */
  readonly updatesKeys: boolean;
  /** The verify_data of our Finished. */
  readonly finished: Uint8Array;
}

/** How many committed bytes leave between two reports of it. A message costs what 30 KiB of TLS cost. */
export const LEFT_STEP: number = 32 * 1024;

/** Committed bytes that are on their way to the worker, or wait there: several steps, and so few that the ring always has room for them. */
export const COMMIT_WINDOW: number = 96 * 1024;

/**
 * Bytes that may wait for the peer while it is read. Packets of a pass and what main commits stay far below, and must not reach it: two ends that each
 * wait for the other to read would wait for ever. Beyond it are answers of TLS itself, to a peer that demands key updates and does not read. Once it is
 * not read any more, the answers of one pass, half as much, come on top and nothing else; and main, which hears nothing of this peer, takes it for dead.
 */
export const MAX_UNSENT: number = 1024 * 1024;
