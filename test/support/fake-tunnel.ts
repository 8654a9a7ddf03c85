/**
 * The gateway's end of a tunnel's TLS stream, for tests: CSTP frames as a script wants them, right or wrong.
 *
 * Read first: spec "AnyConnect", section 5 "CSTP framing".
 */
import type { TLSSocket } from 'node:tls';
import { BYE_REASON_CODE, CSTP_TYPES, CstpDeframer, sendCstpFrame } from '../../src/core/protocols/anyconnect/cstp-frame.ts';
import { fromUtf8, utf8 } from '../../src/core/wire/text.ts';
import { CollectingSink } from './collecting-sink.ts';

export interface TunnelFrame {
  readonly type: number;
  readonly payload: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);

export class FakeTunnel {
  readonly tls: TLSSocket;
  /** Every TLS record as it came: a frame each, if the client keeps the rule. */
  readonly records: Uint8Array[] = [];
  /** Resolves when the connection is gone, also if nothing is read any more. */
  readonly closed: Promise<void>;
  readonly #deframer = new CstpDeframer();
  readonly #frames: TunnelFrame[] = [];
  readonly #waiting: PromiseWithResolvers<TunnelFrame | undefined>[] = [];
  #hasEnded = false;
  #failure: unknown;

  /** `rest`: what came behind the CONNECT request. */
  constructor(tls: TLSSocket, rest: Uint8Array) {
    this.tls = tls;
    // Queued writes must not be merged into one record: one frame is one record.
    Object.assign(tls, { _writev: null });
    const gone = Promise.withResolvers<void>();
    this.closed = gone.promise;
    if (rest.length > 0) this.#receive(rest);
    // OpenSSL hands out at most one record a read, and node:tls emits what one read gave.
    tls.on('data', (bytes: Buffer) => this.#receive(new Uint8Array(bytes)));
    tls.on('end', () => this.#end());
    tls.on('close', () => {
      this.#end();
      gone.resolve();
    });
    if (tls.destroyed) {
      this.#end();
      gone.resolve();
    }
    tls.resume();
  }

  /** The next frame; undefined once the client has closed. Rejects for bytes that are no frame. */
  async next(): Promise<TunnelFrame | undefined> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return frame;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#hasEnded) return undefined;
    const waiting = Promise.withResolvers<TunnelFrame | undefined>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** The next frame of a type; others in between are skipped. Undefined once the client has closed. */
  async nextOf(type: number): Promise<TunnelFrame | undefined> {
    for (;;) {
      const frame = await this.next();
      if (frame === undefined || frame.type === type) return frame;
    }
  }

  send(type: number, payload: Uint8Array = NO_BYTES): void {
    const sink = new CollectingSink();
    sendCstpFrame(sink, type, payload);
    for (const record of sink.records) this.tls.write(record);
  }

  /** Bytes as they are: half frames, wrong magic. */
  sendRaw(bytes: Uint8Array): void {
    this.tls.write(bytes);
  }

  /** Type 5, with a code and a text or without. */
  disconnect(text?: string, code = 4): void {
    this.send(CSTP_TYPES.disconnect, text === undefined ? NO_BYTES : Uint8Array.of(code, ...utf8(text)));
  }

  /** Type 9. */
  terminate(): void {
    this.send(CSTP_TYPES.terminate);
  }

  /** Reads nothing more, so that the client's writes stall. */
  stall(): void {
    this.tls.pause();
  }

  /** Ends the connection without a word. */
  drop(): void {
    this.tls.destroy();
  }

  #receive(bytes: Uint8Array): void {
    this.records.push(bytes);
    try {
      this.#deframer.push(bytes);
      while (this.#deframer.next()) this.#frame();
    } catch (error) {
      this.#failure = error;
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    }
  }

  #frame(): void {
    const { type, bytes, start, end } = this.#deframer;
    const frame = { type, payload: bytes.slice(start, end) };
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#frames.push(frame);
    else waiting.resolve(frame);
  }

  #end(): void {
    this.#hasEnded = true;
    for (const { resolve } of this.#waiting.splice(0)) resolve(undefined);
  }
}

/** Sends every packet back and answers DPD as ocserv does; resolves with the client's goodbye, or undefined if it left without one. */
export async function echoPackets(tunnel: FakeTunnel): Promise<string | undefined> {
  for (;;) {
    const frame = await tunnel.next();
    if (frame === undefined) return undefined;
    if (frame.type === CSTP_TYPES.data) tunnel.send(CSTP_TYPES.data, frame.payload);
    if (frame.type === CSTP_TYPES.dpdRequest) tunnel.send(CSTP_TYPES.dpdResponse, frame.payload);
    if (frame.type === CSTP_TYPES.disconnect) return goodbyeOf(frame);
  }
}

/** The reason in a client's goodbye; undefined if the frame is none. */
export function goodbyeOf(frame: TunnelFrame | undefined): string | undefined {
  if (frame?.type !== CSTP_TYPES.disconnect || frame.payload[0] !== BYE_REASON_CODE) return undefined;
  return fromUtf8(frame.payload.subarray(1));
}
