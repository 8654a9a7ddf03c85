/** Messages as JSON, one a line: how processes of Sallyport talk to each other. Lines have a limit; the longest line ends the reading. */
import { PeerMisbehavedError } from '../core/errors.ts';

const LINE_FEED = 0x0a;

/** One line, with its end. JSON escapes line feeds inside of strings. */
export function renderJsonLine(message: object): string {
  return `${JSON.stringify(message)}\n`;
}

/** Cuts a stream into messages, in whatever pieces it arrives. */
export class JsonLineReader {
  readonly #maxBytes: number;
  #held: Buffer = Buffer.alloc(0);

  /** `maxBytes`: of one line. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The messages that these bytes complete. Throws {@link PeerMisbehavedError} for a line that is too long or no JSON; then reading is over. */
  push(bytes: Uint8Array): unknown[] {
    const messages: unknown[] = [];
    let rest = Buffer.concat([this.#held, bytes]);
    for (let end = rest.indexOf(LINE_FEED); end >= 0; end = rest.indexOf(LINE_FEED)) {
      messages.push(this.#parse(rest.subarray(0, end)));
      rest = rest.subarray(end + 1);
    }
    if (rest.length > this.#maxBytes) throw this.#tooLong();
    this.#held = rest;
    return messages;
  }

  #parse(line: Buffer): unknown {
    if (line.length > this.#maxBytes) throw this.#tooLong();
    try {
      return JSON.parse(line.toString('utf8'));
    } catch (cause) {
      throw new PeerMisbehavedError('a message is not JSON', { cause });
    }
  }

  #tooLong(): PeerMisbehavedError {
    return new PeerMisbehavedError(`a message is longer than ${this.#maxBytes} bytes`);
  }
}
