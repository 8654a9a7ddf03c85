/**
 * Reads header lines up to the empty line after them (RFC 9112 §5): those of a head, and the trailers of a chunked body.
 *
 * Lenient where it is harmless (LF alone ends a line, obsolete folding); strict about what could make two readers disagree (a blank in
 * front of the colon, CR or NUL inside a value).
 */
import { PeerMisbehavedError } from '../errors.ts';
import { printable } from '../wire/text.ts';
import type { ByteQueue } from './byte-queue.ts';
import { checkHttpLimit, type HttpLimits } from './limits.ts';
import type { HttpHeaders } from './message.ts';
import { exactText, isHeadText, isToken, trimBlanks } from './tokens.ts';

export class HeaderReader {
  readonly #limits: HttpLimits;
  readonly #headers: [name: string, value: string][] = [];
  #headBytes: number;
  /** Length of the last header with its folded lines. */
  #lastLength = 0;

  /** `headBytes` says how much of the head was read before its headers. */
  constructor(limits: HttpLimits, headBytes = 0) {
    this.#limits = limits;
    this.#headBytes = headBytes;
  }

  get headers(): HttpHeaders {
    return this.#headers;
  }

  /** Reads as far as the bytes go; true once the empty line has been read. Throws {@link PeerMisbehavedError}. */
  read(queue: ByteQueue): boolean {
    for (;;) {
      const before = queue.length;
      const line = headLine(queue, this.#limits);
      if (line === undefined) return false;
      this.#headBytes += before - queue.length;
      checkHttpLimit(this.#headBytes, this.#limits.headBytes, 'bytes of head');
      if (line === '') return true;
      if (line.startsWith(' ') || line.startsWith('\t')) this.#foldedLine(line);
      else this.#headerLine(line);
    }
  }

  #headerLine(line: string): void {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0));
    // RFC 9112 §5.1: a blank between name and colon is refused: who trims it and who does not would see different headers.
    if (!isToken(name)) throw new PeerMisbehavedError(`HTTP header line has no valid name: ${printable(line.slice(0, 40))}`);
    checkHttpLimit(this.#headers.length + 1, this.#limits.headerCount, 'header lines');
    this.#headers.push([name, trimBlanks(line.slice(colon + 1))]);
    this.#lastLength = line.length;
  }

  /** RFC 9112 §5.2: a line that begins with a blank goes on with the value before it; the line end and the blanks are one blank. */
  #foldedLine(line: string): void {
    const last = this.#headers.at(-1);
    if (last === undefined) throw new PeerMisbehavedError('HTTP head has a folded line before its first header');
    this.#lastLength += line.length;
    checkHttpLimit(this.#lastLength, this.#limits.lineBytes, 'characters in a folded header');
    const more = trimBlanks(line);
    if (more !== '') last[1] = last[1] === '' ? more : `${last[1]} ${more}`;
  }
}

/** The next line of a head as text; undefined while it is not all there. Throws {@link PeerMisbehavedError}. */
export function headLine(queue: ByteQueue, limits: HttpLimits): string | undefined {
  const bytes = queue.line(limits.lineBytes, 'bytes in a line of its head');
  if (bytes === undefined) return undefined;
  const line = exactText(bytes);
  if (!isHeadText(line)) throw new PeerMisbehavedError('HTTP head has a CR or NUL inside a line');
  return line;
}
