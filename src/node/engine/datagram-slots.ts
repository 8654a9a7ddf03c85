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

  constructor(libc: Libc, arena: Arena, receivesBursts: boolean) {
    this.#libc = libc;
    this.#start = arena.allocate(SLOTS * STRIDE);
    this.#address = new KeptAddress(arena);
    this.#table = receivesBursts ? new MessageTable(arena, libc, SLOTS) : undefined;
    for (let i = 0; i < SLOTS; i++) this.#table?.set(i, this.offset(i), MAX_PACKET_LENGTH);
  }

  /** Takes what has arrived. How many slots are filled; -1: none, see errno. */
  receive(fd: number): number {
    if (this.#table !== undefined) return this.#table.receive(fd);
    this.#single = this.#libc.recv(fd, this.#address.of(this.#start), MAX_PACKET_LENGTH, LINUX.MSG_DONTWAIT);
    return this.#single < 0 ? -1 : 1;
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
