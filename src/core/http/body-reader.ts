/**
 * Reads the body of an HTTP/1.1 message in any of its framings.
 *
 *   length        n bytes
 *   chunked       ( hex-size [; extensions] CRLF  size bytes  CRLF )*  0 CRLF  trailers  CRLF      (RFC 9112 §7.1)
 *   until-close   everything until the connection ends
 */
import { PeerMisbehavedError } from '../errors.ts';
import { ByteWriter } from '../wire/byte-writer.ts';
import type { ByteQueue } from './byte-queue.ts';
import type { BodyFraming } from './framing.ts';
import { HeaderReader } from './header-reader.ts';
import { checkHttpLimit, type HttpLimits } from './limits.ts';
import { exactText } from './tokens.ts';

type State =
  | { readonly at: 'run'; remaining: number; readonly followedBy: 'done' | 'chunk-end' }
  | { readonly at: 'chunk-size' }
  | { readonly at: 'chunk-end' }
  | { readonly at: 'trailers'; readonly reader: HeaderReader }
  | { readonly at: 'until-close' }
  | { readonly at: 'done' };

export class BodyReader {
  readonly #limits: HttpLimits;
  readonly #body = new ByteWriter();
  #state: State;

  constructor(framing: BodyFraming, limits: HttpLimits) {
    this.#limits = limits;
    this.#state = initialState(framing);
  }

  /** True if the end of the connection is the end of the body. */
  get endsWithConnection(): boolean {
    return this.#state.at === 'until-close';
  }

  /** What has been read of it, as a copy. Trailers are read and dropped: nothing here has a use for them. */
  bytes(): Uint8Array {
    return this.#body.finish();
  }

  /** Reads as far as the bytes go; true once the body is complete. Throws {@link PeerMisbehavedError}. */
  read(queue: ByteQueue): boolean {
    while (this.#state.at !== 'done') {
      const next = this.#step(this.#state, queue);
      if (next === undefined) return false;
      this.#state = next;
    }
    return true;
  }

  /** The state after what can be read now; undefined if that is not enough to leave this one. */
  #step(state: State, queue: ByteQueue): State | undefined {
    switch (state.at) {
      case 'run': {
        const run = queue.take(state.remaining);
        this.#body.bytes(run);
        state.remaining -= run.length;
        return state.remaining === 0 ? { at: state.followedBy } : undefined;
      }
      case 'chunk-size': {
        const line = queue.line(this.#limits.chunkLineBytes, 'bytes in a chunk-size line');
        if (line === undefined) return undefined;
        const size = chunkSize(exactText(line));
        checkHttpLimit(this.#body.length + size, this.#limits.bodyBytes, 'bytes of body');
        return size > 0
          ? { at: 'run', remaining: size, followedBy: 'chunk-end' }
          : { at: 'trailers', reader: new HeaderReader(this.#limits) };
      }
      case 'chunk-end': {
        const line = queue.line(this.#limits.chunkLineBytes, 'bytes in the line end of a chunk');
        if (line !== undefined && line.length > 0) throw new PeerMisbehavedError('HTTP chunk goes on after its size');
        return line === undefined ? undefined : { at: 'chunk-size' };
      }
      case 'trailers':
        return state.reader.read(queue) ? { at: 'done' } : undefined;
      case 'until-close':
        this.#body.bytes(queue.take(queue.length));
        checkHttpLimit(this.#body.length, this.#limits.bodyBytes, 'bytes of body');
        return undefined;
      case 'done':
        return undefined;
    }
  }
}

function initialState(framing: BodyFraming): State {
  switch (framing.kind) {
    case 'length':
      return framing.length === 0 ? { at: 'done' } : { at: 'run', remaining: framing.length, followedBy: 'done' };
    case 'chunked':
      return { at: 'chunk-size' };
    case 'until-close':
      return { at: 'until-close' };
  }
}

/** The size in front of a chunk; extensions and blanks behind it are ignored. Too large a number fails the body's limit, never wraps. */
function chunkSize(line: string): number {
  const digits = /^([0-9a-f]+)[ \t]*(?:;|$)/i.exec(line)?.[1];
  if (digits === undefined) throw new PeerMisbehavedError('HTTP chunk has no valid size');
  return Number.parseInt(digits, 16);
}
