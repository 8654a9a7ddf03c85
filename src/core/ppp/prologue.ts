/**
 * What a vendor says before PPP begins on a new path: the part of a PPP tunnel that differs from vendor to vendor, seen from the client.
 *
 * Read first: spec "Fortinet", sections 4 and 5; spec "F5", the tunnel's requests.
 */
import type { CloseReason } from '../tunnel/machine.ts';

/** On a stream: a request, and an answer that begins with something else than PPP, or not. */
export interface StreamPrologue {
  readonly request: Uint8Array;
  /** PPP begins behind the request; false: when the answer has come. */
  readonly startsAtOnce: boolean;
  /** Bytes of the gateway, from its first on, until it is not `waiting`. Throws nothing: what makes no sense is `denied`. */
  receive(bytes: Uint8Array): PrologueResult;
}

export type PrologueResult =
  | { readonly type: 'waiting' }
  /** `rest`: what has come of PPP already. */
  | { readonly type: 'begun'; readonly rest: Uint8Array }
  | { readonly type: 'denied'; readonly reason: CloseReason };

/** In a DTLS association: one datagram each way. */
export interface DatagramPrologue {
  /** Says whose association it is; sent again until it is answered. */
  readonly hello: Uint8Array;
  /** `frame`: no answer, but PPP already, which means that the answer was lost. */
  read(datagram: Uint8Array): 'accepted' | 'refused' | 'frame' | 'unknown';
}
