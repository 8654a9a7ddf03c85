/**
 * Where datagrams arrive: as many of one socket's as a call brings, each slot one datagram or, with UDP_GRO, a run of equal ones.
 *
 *   slot 0: | datagram |            |      slot 1: | datagram | datagram | datagram (shorter) |      …
 */
import type { Arena } from '../ffi/arena.ts';
import { KeptAddress } from '../ffi/arena.ts';
import { LINUX, type Libc } from '../ffi/libc.ts';
import { MessageTable } from '../ffi/message-table.ts';
import { MAX_PACKET_LENGTH } from './shared-memory.ts';

/** A burst of a peer that sends single datagrams is about this long, and so is what one that sends runs fills a socket's buffer with. */
const SLOTS = 32;

/**
 * Small datagrams that one call shall bring. They are packets for the host, whose programs have a socket of the default size mostly: it holds some 250 of
 * them, and its program needs a turn on the processor before it holds more. What the engine opens beyond them the host throws away: of 180,000 a second
 * that came as runs it was 42 %.
 */
const MAX_SMALL = 64;

/** Before anything is known of a socket's runs. */
export const FIRST_SLOTS = 1;

/** Up to this length a datagram is small. What is longer is a stream's mostly, whose sockets hold more. */
const SMALL = 512;

/** So many datagrams are a long run: a sender that makes such ones has nothing to gain by being waited for. */
const LONG_RUN = 16;

/**
 * From one slot to the next. Not a power of two: slots whose starts fall into the same sets of the processor's cache would throw each other out, and
 * single datagrams use nothing but the starts.
 */
const STRIDE = 65_536 + 2048 + 64;

export class DatagramSlots {
  readonly #libc: Libc;
  readonly #start: number;
  /** Undefined: one datagram a call. */
  readonly #table: MessageTable | undefined;
  readonly #address: KeptAddress;
  #single = 0;
  /** How many slots the next call for the same socket may fill; the first one: {@link FIRST_SLOTS}. */
  most: number = FIRST_SLOTS;
  /** A call since it was last set to false has stopped at its limit: more waits, very likely. */
  leavesSome = false;
  /** A call since then has brought long runs of what is not small: their sender has gathered them. */
  hasRuns = false;

  constructor(libc: Libc, arena: Arena, receivesBursts: boolean) {
    this.#libc = libc;
    this.#start = arena.allocate(SLOTS * STRIDE);
    this.#address = new KeptAddress(arena);
    this.#table = receivesBursts ? new MessageTable(arena, libc, SLOTS) : undefined;
    for (let i = 0; i < SLOTS; i++) this.#table?.set(i, this.offset(i), MAX_PACKET_LENGTH);
  }

  /**
   * Whether the pass is to be followed by no more rest than need be: more waits; or, where many share the device, a peer like this one has sent, and what
   * answers it would only wait.
   */
  wantsBriefRest(isShared: boolean): boolean {
    return this.leavesSome || (isShared && this.hasRuns);
  }

  /** Takes what has arrived, up to so many slots. How many are filled; -1: none, see errno. */
  receive(fd: number, most: number): number {
    if (this.#table !== undefined) {
      const filled = this.#table.receive(fd, most);
      this.leavesSome ||= filled === most && filled < SLOTS;
      this.most = this.#mostAfter(filled, most);
      return filled;
    }
    this.#single = this.#libc.recv(fd, this.#address.of(this.#start), MAX_PACKET_LENGTH, LINUX.MSG_DONTWAIT);
    return this.#single < 0 ? -1 : 1;
  }

  /** Runs are as long as their sender makes them: from what one call brought follows how much the next one may. Less at once, more step by step. */
  #mostAfter(filled: number, most: number): number {
    let datagrams = 0;
    for (let slot = 0; slot < filled; slot++) {
      const size = this.datagramLength(slot);
      if (size > SMALL) {
        this.hasRuns ||= this.length(slot) >= LONG_RUN * size;
        return SLOTS;
      }
      datagrams += Math.ceil(this.length(slot) / Math.max(size, 1));
    }
    if (datagrams > MAX_SMALL) return Math.max(Math.floor((filled * MAX_SMALL) / datagrams), 1);
    return filled === most && 2 * datagrams <= MAX_SMALL ? Math.min(2 * most, SLOTS) : most;
  }

  offset(slot: number): number {
    return this.#start + slot * STRIDE;
  }

  /** Bytes in a slot. */
  length(slot: number): number {
    return this.#table?.length(slot) ?? this.#single;
  }

  /** Bytes of each datagram in a slot, but perhaps the last. */
  datagramLength(slot: number): number {
    const size = this.#table?.segmentSize(slot) ?? 0;
    return size > 0 ? size : this.length(slot);
  }

  /** All of the room, for packets that come another way while no datagrams lie here. */
  get room(): { readonly start: number; readonly end: number } {
    return { start: this.#start, end: this.#start + SLOTS * STRIDE };
  }
}
