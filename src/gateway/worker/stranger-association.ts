/**
 * A DTLS association of nobody's yet: shakes hands on a UDP flow, and hands out what the client says, until it is known whose it is; then the tunnel
 * machine has it, and the flow with it.
 *
 * Read first: RFC 6347 §4.2.1: the client has proved its address before there is any of this.
 */
import type { DtlsServer } from '../../core/dtls/server.ts';
import { type LayerSink, MAX_RESERVE } from '../../core/tunnel/layer.ts';
import { type Millis, packetBytes, packetOf } from '../../core/tunnel/packet.ts';
import { copyOf } from '../../core/wire/copy.ts';
import type { DatagramPath } from '../../node/datagram-path.ts';

/** Records that wait to be looked at. */
const MAX_WAITING = 16;

export class StrangerAssociation {
  readonly dtls: DtlsServer;
  readonly #path: DatagramPath;
  readonly #now: () => Millis;
  readonly #room = new Uint8Array(MAX_RESERVE);
  readonly #sink: LayerSink;
  readonly #records: Uint8Array[] = [];
  readonly #limit: NodeJS.Timeout;
  #timer: NodeJS.Timeout | undefined;
  #waiting: ((record: Uint8Array | undefined) => void) | undefined;
  #isOver = false;

  /** @param limit how long it may be nobody's */
  constructor(path: DatagramPath, dtls: DtlsServer, { now, limit }: { readonly now: () => Millis; readonly limit: Millis }) {
    this.dtls = dtls;
    this.#path = path;
    this.#now = now;
    this.#sink = {
      reserve: (maxLength) => this.#room.subarray(0, maxLength),
      commit: (length) => path.send(this.#room.subarray(0, length)),
      packet: (packet) => {
        if (this.#records.length < MAX_WAITING) this.#records.push(copyOf(packetBytes(packet)));
      },
    };
    this.#limit = setTimeout(() => this.#end(), limit);
    path.start({
      datagram: (bytes) => this.#turn(() => dtls.receive(bytes, now(), this.#sink)),
      record: () => undefined, // nothing is carried
      problem: ({ type }) => {
        if (type === 'failed') this.#end();
      },
    });
  }

  /** The next thing that the client says; undefined: it has left, or said nothing in time. One call at a time. */
  next(): Promise<Uint8Array | undefined> {
    const record = this.#records.shift();
    if (record !== undefined || this.#isOver) return Promise.resolve(record);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  say(bytes: Uint8Array): void {
    this.#turn(() => this.dtls.send(packetOf(bytes), this.#now(), this.#sink));
  }

  /** What the client has said that nobody has asked for. */
  takeWaiting(): Uint8Array[] {
    return this.#records.splice(0);
  }

  /** It is somebody's now. False: it is over. The flow waits for its new owner. */
  release(): boolean {
    if (this.#isOver) return false;
    this.#stop();
    return true;
  }

  /** Ends it, unless it was released. */
  async close(): Promise<void> {
    if (this.#isOver) return;
    this.dtls.close(this.#now(), this.#sink);
    this.#stop();
    await this.#path.close();
  }

  #turn(input: () => void): void {
    if (this.#isOver) return;
    input();
    const { name } = this.dtls.state;
    if (name === 'failed' || name === 'closed') {
      this.#end();
      return;
    }
    this.#arm();
    const record = this.#waiting === undefined ? undefined : this.#records.shift();
    if (record !== undefined) this.#give(record);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const due = this.dtls.nextTimeout();
    if (due === undefined) return;
    const fire = () => this.#turn(() => this.dtls.handleTimeout(this.#now(), this.#sink));
    this.#timer = setTimeout(fire, Math.max(0, due - this.#now()));
  }

  #give(record: Uint8Array | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.(record);
  }

  #stop(): void {
    this.#isOver = true;
    clearTimeout(this.#limit);
    clearTimeout(this.#timer);
    this.#path.stop();
    this.#give(undefined);
  }

  #end(): void {
    if (this.#isOver) return;
    this.#stop();
    void this.#path.close();
  }
}
