/** The limits of a PPP link: what a hostile peer can make it do, and how long it waits. Spec "PPP", sections 8 and 14. */
import type { Millis } from '../tunnel/packet.ts';

// ---- of the specification

/** The largest PPP frame, without its encapsulation. */
export const MAX_FRAME = 16_384;

export const MIN_MRU = 576;
export const MAX_MRU = 16_384;

/** RFC 1661 §6.1: of a peer that says nothing. */
export const DEFAULT_MRU = 1500;

export const RESEND_PERIOD: Millis = 3000;
export const MAX_REQUESTS = 10;
export const NETWORK_LIMIT: Millis = 60_000;
export const TERMINATE_WAIT: Millis = 1000;
/** A stream delivers or is dead; a datagram may be lost. */
export const TERMINATE_TRIES = { stream: 1, datagram: 3 } as const;

/** Rounds of Nak after which an option is rejected, or no longer asked for. */
export const MAX_NAKS = 5;
/** Naks and Rejects together, of one protocol, after which it is given up. */
export const MAX_REFUSALS = 16;

// ---- our own

/** A request that comes again means that our Ack was lost. One that comes more often means that the peer has lost everything, and waits for our request. */
export const MAX_REPEATS = 3;

// ---- against hostile peers

/** Control packets that are answered. */
export const MAX_ANSWERS_PER_SECOND = 20;
/** Each protocol is rejected once in this time; of so many protocols it is remembered, the others are not answered. */
export const PROTOCOL_REJECT_PERIOD: Millis = 1000;
export const MAX_REJECTED_PROTOCOLS = 16;
/** How often a link may lose what was agreed on. */
export const MAX_RESTARTS = 10;
export const RESTART_PERIOD: Millis = 60_000;

/** Texts of a peer's that are shown. */
export const MAX_MESSAGES = 10;
export const MESSAGE_PERIOD: Millis = 60_000;
/** Characters of each. */
export const MAX_TEXT = 200;
/** Bytes of a text that we send with a Terminate-Request (spec 11). */
export const MAX_SENT_TEXT = 100;
/** Longer control packets are dropped: none needs as much, and answers to them must fit a frame. */
export const MAX_CONTROL_PACKET = 1500;
/** Of a packet that is rejected, this much is sent back: it fits the smallest MRU. */
export const MAX_REJECTED_BYTES = 512;
