/**
 * Reads one HTTP/1.1 message after the other from the bytes of a connection, in any slices. What the two directions share;
 * {@link ResponseParser} and {@link RequestParser} say what a head means.
 *
 *   push ─► queue ─► start line ─► headers ─► body ─┬─ keep-alive ─► start line …
 *                        ▲            │             ├─ close ──────► over, later bytes are dropped
 *                        └─ interim ──┘             └─ tunnel ─────► over, later bytes are the tunnel's
 */
import { MisuseError, TruncatedError } from '../errors.ts';
import { BodyReader } from './body-reader.ts';
import { ByteQueue } from './byte-queue.ts';
import type { BodyFraming } from './framing.ts';
import { HeaderReader, headLine } from './header-reader.ts';
import { checkHttpLimit, type HttpLimits } from './limits.ts';
import type { HttpHeaders } from './message.ts';

export interface Received<Message> {
  readonly message: Message;
  readonly connection: ConnectionUse;
}

/** What a connection is good for after a message: the next one, nothing, or a protocol that is not HTTP. */
export type ConnectionUse = 'keep-alive' | 'close' | 'tunnel';

/** What distinguishes the two directions. Both throw {@link SallyportError} for what they cannot take. */
export interface MessageSyntax<StartLine, Message> {
  parseStartLine(line: string): StartLine;
  /** What a whole head says about the rest of its message. */
  understand(startLine: StartLine, headers: HttpHeaders): HeadMeaning<Message>;
}

export type HeadMeaning<Message> =
  | 'interim'
  | { readonly framing: BodyFraming; readonly connection: ConnectionUse; readonly build: (body: Uint8Array) => Message };

type State<StartLine, Message> =
  /** `blankBytes`: empty lines in front of the start line, which count as part of the head. */
  | { readonly at: 'start-line'; readonly blankBytes: number }
  | { readonly at: 'headers'; readonly startLine: StartLine; readonly reader: HeaderReader }
  | BodyState<Message>
  | { readonly at: 'close' | 'tunnel' };

interface BodyState<Message> {
  readonly at: 'body';
  readonly reader: BodyReader;
  readonly connection: ConnectionUse;
  readonly build: (body: Uint8Array) => Message;
}

const BEGINNING = { at: 'start-line', blankBytes: 0 } as const;

export class MessageReader<StartLine, Message> {
  #limits: HttpLimits;
  readonly #syntax: MessageSyntax<StartLine, Message>;
  readonly #queue = new ByteQueue();
  #state: State<StartLine, Message> = BEGINNING;
  #failure: unknown;

  constructor(limits: HttpLimits, syntax: MessageSyntax<StartLine, Message>) {
    this.#limits = limits;
    this.#syntax = syntax;
  }

  /** True once a byte of the message that is to come next has arrived. */
  get hasBegun(): boolean {
    return this.#queue.length > 0 || this.#isInside;
  }

  /** True after a message with which HTTP ends on this connection. */
  get isOver(): boolean {
    return this.#state.at === 'close' || this.#state.at === 'tunnel';
  }

  get #isInside(): boolean {
    return this.#state.at === 'headers' || this.#state.at === 'body';
  }

  /** For bodies that begin from now on. */
  allowBody(bodyBytes: number): void {
    this.#limits = { ...this.#limits, bodyBytes };
  }

  push(bytes: Uint8Array): void {
    if (this.#state.at !== 'close') this.#queue.push(bytes);
  }

  /** The next message, once all of it has come. Throws what the syntax throws, and the same error again from then on. */
  next(): Received<Message> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return this.#read();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  /** The stream has ended: completes a body that ends with it. Throws {@link TruncatedError} inside any other message. */
  finish(): Received<Message> | undefined {
    const received = this.next();
    if (received !== undefined || this.isOver || !this.hasBegun) return received;
    if (this.#state.at === 'body' && this.#state.reader.endsWithConnection) return this.#complete(this.#state);
    throw new TruncatedError(`HTTP connection ended inside the ${this.#state.at === 'body' ? 'body' : 'head'} of a message`);
  }

  /** Takes the bytes that follow the last message: they belong to the protocol that follows HTTP. */
  takeRest(): Uint8Array {
    if (this.#isInside) throw new MisuseError('The rest of an HTTP connection can be taken between messages only.');
    return this.#queue.take(this.#queue.length).slice();
  }

  #read(): Received<Message> | undefined {
    for (;;) {
      const state = this.#state;
      switch (state.at) {
        case 'start-line': {
          const before = this.#queue.length;
          const line = headLine(this.#queue, this.#limits);
          if (line === undefined) return undefined;
          const headBytes = state.blankBytes + before - this.#queue.length;
          checkHttpLimit(headBytes, this.#limits.headBytes, 'bytes of head');
          this.#state = this.#afterLine(line, headBytes);
          break;
        }
        case 'headers':
          if (!state.reader.read(this.#queue)) return undefined;
          this.#state = this.#afterHead(state.startLine, state.reader.headers);
          break;
        case 'body':
          return state.reader.read(this.#queue) ? this.#complete(state) : undefined;
        case 'close':
        case 'tunnel':
          return undefined;
      }
    }
  }

  #afterLine(line: string, headBytes: number): State<StartLine, Message> {
    // RFC 9112 §2.2: empty lines that an earlier body left behind are skipped.
    if (line === '') return { at: 'start-line', blankBytes: headBytes };
    return { at: 'headers', startLine: this.#syntax.parseStartLine(line), reader: new HeaderReader(this.#limits, headBytes) };
  }

  #afterHead(startLine: StartLine, headers: HttpHeaders): State<StartLine, Message> {
    const meaning = this.#syntax.understand(startLine, headers);
    if (meaning === 'interim') return BEGINNING;
    const { framing, connection, build } = meaning;
    return { at: 'body', reader: new BodyReader(framing, this.#limits), connection, build };
  }

  #complete({ reader, connection, build }: BodyState<Message>): Received<Message> {
    this.#state = connection === 'keep-alive' ? BEGINNING : { at: connection };
    return { message: build(reader.bytes()), connection };
  }
}
