/**
 * A TCP connection as its user sees it: bytes in order both ways.
 *
 * It calls nobody but {@link TcpConnection.onReady}, and that only from {@link IpStack.dispatch}: then there may be something to read, room to write
 * again, or an end. Whoever uses it looks at all of these, as with level-triggered readiness of a kernel.
 */
import type { Millis } from '../../tunnel/packet.ts';
import type { Endpoint } from '../../wire/ip-address.ts';
import { LEAST_SEND_BUFFER } from '../limits.ts';
import type { ControlBlock, TcpError, TcpState } from './control-block.ts';
import { isKeptBlock } from './receive-queue.ts';
import { readerGone } from './segment-arrival.ts';
import { armKeepAlive } from './timeouts.ts';

/** What {@link TcpConnection.statistics} tells. Times are milliseconds, sizes bytes. */
export interface TcpStatistics {
  readonly congestionWindow: number;
  readonly inFlight: number;
  readonly roundTrip: Millis | undefined;
  readonly peerWindow: number;
  readonly receiveWindow: number;
  readonly segment: number;
  readonly unacknowledged: number;
}

export class TcpConnection {
  readonly #block: ControlBlock;

  constructor(block: ControlBlock) {
    this.#block = block;
  }

  get state(): TcpState {
    return this.#block.state;
  }

  /** Why it is closed, if not in the order of the protocol. */
  get error(): TcpError | undefined {
    return this.#block.error;
  }

  get local(): Endpoint {
    return this.#block.local;
  }

  get remote(): Endpoint {
    return this.#block.remote;
  }

  /** The handshake is done. */
  get isMade(): boolean {
    return this.#block.isMade;
  }

  set onReady(listener: (() => void) | undefined) {
    this.#block.onReady = listener;
  }

  /** Bytes that {@link read} has. */
  get readable(): number {
    return this.#block.queue.readable;
  }

  /** The peer has ended its side, and everything before that has been read. */
  get hasEnded(): boolean {
    return this.#block.hasPeerEnded && this.#block.queue.readable === 0;
  }

  /** Bytes that {@link write} takes now. */
  get room(): number {
    const { isEnding, state, sendBuffer, sendLimit, services } = this.#block;
    if (isEnding || state === 'closed') return 0;
    const isTight = services.rings.held >= services.limits.sendMemory;
    return Math.max(0, (isTight ? Math.min(sendLimit, LEAST_SEND_BUFFER) : sendLimit) - sendBuffer.length);
  }

  /** Everything that was written has been acknowledged. */
  get isFlushed(): boolean {
    return this.#block.sendBuffer.length === 0;
  }

  /**
   * Takes a copy of as many bytes as there is room for, and says how many. Fewer than were given: {@link onReady} is called when there is room again.
   * Also before the connection is made.
   */
  write(bytes: Uint8Array, start = 0, end: number = bytes.length): number {
    const block = this.#block;
    const length = Math.min(end - start, this.room);
    if (length < end - start) block.wantsRoom = true;
    if (length === 0) return 0;
    block.sendBuffer.append(bytes, start, start + length);
    block.services.wantsTransmit(block);
    return length;
  }

  /** The next bytes, which are the caller's from here on; undefined: none are there now. */
  read(): Uint8Array | undefined {
    const block = this.#block;
    const { queue, services, window } = block;
    const chunk = queue.read();
    if (chunk === undefined) return undefined;
    services.received -= chunk.length;
    const { receiveMemory } = services.limits;
    window.consumed(chunk.length, block.now, services.received < (receiveMemory * 3) / 4);
    if (block.isMade && !block.hasPeerEnded && window.isWorthTelling(queue.next, queue.readable, block.receiveSegment))
      block.acknowledgeNow();
    return chunk;
  }

  /**
   * Gives memory that {@link read} has handed out to whoever reads next: for readers who are done with it and move much. Nobody may use the chunk
   * afterwards, nor give it back a second time.
   */
  giveBack(chunk: Uint8Array): void {
    const { buffer, byteOffset } = chunk;
    // A block is handed out once, and is all there is in its memory; smaller chunks are the collector's.
    if (byteOffset === 0 && isKeptBlock(buffer.byteLength)) this.#block.services.rings.give(new Uint8Array(buffer));
  }

  /** No more will be written: FIN follows what was. */
  end(): void {
    const block = this.#block;
    if (block.isEnding || block.state === 'closed') return;
    block.isEnding = true;
    block.services.wantsTransmit(block);
  }

  /** Ends it in order, and reads no more: what still comes is answered by a reset. */
  close(): void {
    const block = this.#block;
    if (block.state === 'closed') {
      block.dropReceived();
      return;
    }
    if (block.state === 'syn-sent') {
      block.release('aborted'); // RFC 9293 §3.10.4
      return;
    }
    if (block.queue.readable > 0) {
      // RFC 1122 §4.2.2.13: what was not read is lost, and the peer shall know.
      this.abort();
      return;
    }
    block.isReaderGone = true;
    block.dropReceived();
    this.end();
    readerGone(block, block.now);
    block.services.reschedule(block);
  }

  /** Ends it by a reset (RFC 9293 §3.10.5). */
  abort(): void {
    const block = this.#block;
    if (block.state === 'closed') {
      block.dropReceived();
      return;
    }
    block.isReaderGone = true;
    if (block.state !== 'syn-sent' && block.state !== 'time-wait') {
      block.mustReset = true;
      block.services.wantsTransmit(block);
    }
    block.release('aborted');
  }

  /** Small writes leave at once. */
  setNoDelay(noDelay: boolean): void {
    this.#block.noDelay = noDelay;
    this.#block.services.wantsTransmit(this.#block);
  }

  /** Asks a peer that was silent for so long whether it is there; 0: never. */
  setKeepAlive(idle: Millis): void {
    this.#block.keepAliveIdle = idle;
    armKeepAlive(this.#block);
    this.#block.services.reschedule(this.#block);
  }

  /** Gives an attempt to connect up at a time, if it has not come about by then. */
  giveUpAt(deadline: Millis): void {
    if (this.#block.isMade) return;
    this.#block.endAt = deadline;
    this.#block.services.reschedule(this.#block);
  }

  statistics(): TcpStatistics {
    const { recovery, rtt, peerWindow, window, segment, sendBuffer } = this.#block;
    return {
      congestionWindow: Math.floor(recovery.congestion.window),
      inFlight: recovery.pipe,
      roundTrip: rtt.smoothed,
      peerWindow,
      receiveWindow: Math.floor(window.capacity),
      segment,
      unacknowledged: sendBuffer.length,
    };
  }
}
