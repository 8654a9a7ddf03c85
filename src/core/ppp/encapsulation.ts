/**
 * What stands around a PPP frame on the way: how frames are told apart in a stream, and which of the forms of a PPP header are sent.
 *
 * Read first: spec "PPP", sections 1.2 and 2.
 *
 *   prefixed   [header with one or two lengths] [PPP frame]
 *   hdlc       7E [PPP frame and FCS, escaped] 7E
 *   record     [PPP frame]                                    one TLS record, one frame
 */
import type { FrameHeader } from '../tunnel/traffic.ts';

export type PppRole = 'client' | 'gateway';

export interface Encapsulation {
  readonly framing: Framing;
  /**
   * Whether the address and control bytes (FF 03) stand in front of what we send. `negotiated`: of LCP always, of the rest until the peer asks for
   * less (RFC 1661 §6.6). All forms are taken, whatever is sent.
   */
  readonly addressControl: 'negotiated' | 'always' | 'never';
  /** Our LCP asks for compressed protocol, address and control fields (options 7 and 8). */
  readonly asksCompression: boolean;
  /** Our LCP asks for a control character map of zero (option 2). */
  readonly asksAccm: boolean;
}

export type Framing = { readonly kind: 'prefixed'; readonly prefix: FrameHeader } | { readonly kind: 'hdlc' } | { readonly kind: 'record' };

/** Spec 2.2. */
const F5_PREFIX: FrameHeader = { bytes: Uint8Array.of(0xf5, 0, 0, 0), lengths: [{ offset: 2, width: 2, add: 0 }] };

/** Spec 2.4: the total, the magic, and the length of what follows. */
const FORTINET_PREFIX: FrameHeader = {
  bytes: Uint8Array.of(0, 0, 0x50, 0x50, 0, 0),
  lengths: [
    { offset: 0, width: 2, add: 6 },
    { offset: 4, width: 2, add: 0 },
  ],
};

/** Spec 2.4: clients differ, so a gateway leaves FF 03 out, which all of them take, and a client sends it as openconnect does. */
export function fortinetEncapsulation(role: PppRole): Encapsulation {
  const addressControl = role === 'client' ? 'always' : 'never';
  return { framing: { kind: 'prefixed', prefix: FORTINET_PREFIX }, addressControl, asksCompression: false, asksAccm: false };
}

/** Spec "F5", 5.4: a gateway asks for the same five options with and without HDLC; there are clients that know no other request. */
export function f5Encapsulation(role: PppRole): Encapsulation {
  return {
    framing: { kind: 'prefixed', prefix: F5_PREFIX },
    addressControl: 'negotiated',
    asksCompression: true,
    asksAccm: role === 'gateway',
  };
}

/** RFC 1662. What F5 calls HDLC framing is the same, without a header of its own (spec 2.3). */
export const HDLC: Encapsulation = { framing: { kind: 'hdlc' }, addressControl: 'negotiated', asksCompression: true, asksAccm: true };

/** RFC 1661 with one frame in a TLS record (spec 2.5). */
export const RAW: Encapsulation = { framing: { kind: 'record' }, addressControl: 'negotiated', asksCompression: true, asksAccm: false };
