/**
 * What there is to say about a configuration file: collected while it is read, so that a person sees all mistakes at once and not one a start.
 *
 *   error    the gateway does not start
 *   warning  it starts, but something is not as the file says
 *   note     what was understood
 */
import { SallyportError } from '../../core/errors.ts';
import type { ConfigNotice } from './gateway-config.ts';

/** A configuration that cannot be used. The administrator's mistake; the message has a line for each. */
export class ConfigError extends SallyportError {
  /** Everything that was found, the errors among it. */
  readonly notices: readonly ConfigNotice[];

  constructor(notices: readonly ConfigNotice[], options?: ErrorOptions) {
    const errors = notices.filter(({ level }) => level === 'error');
    super('ERR_CONFIG', errors.map(formatNotice).join('\n'), options);
    this.notices = notices;
  }
}

/**
 * As ocserv prints it, and where it has no place, with file and line: `error: /etc/ocserv/ocserv.conf:12: …`. Notes are word for word ocserv's: they
 * say what was understood of the whole file.
 */
export function formatNotice({ file, line, column, level, message }: ConfigNotice): string {
  if (level === 'note') return `note: ${message}`;
  const place = [file, ...(line > 0 ? [line] : []), ...(column === undefined ? [] : [column])].join(':');
  return `${level}: ${place}: ${message}`;
}

/** More than a person reads; a hostile or binary file makes one a line. */
const MAX_NOTICES = 500;

/** A place in the file: a line, or {@link WHOLE_FILE}. */
export interface Place {
  readonly line: number;
  readonly column?: number;
}

/** For what is missing. */
export const WHOLE_FILE: Place = { line: 0 };

/** Collects notices about one file. */
export class ConfigReport {
  readonly file: string;
  readonly #notices: ConfigNotice[] = [];

  constructor(file: string) {
    this.file = file;
  }

  get notices(): readonly ConfigNotice[] {
    return this.#notices;
  }

  error(place: Place, message: string): void {
    this.#add('error', place, message);
  }

  warning(place: Place, message: string): void {
    this.#add('warning', place, message);
  }

  note(place: Place, message: string): void {
    this.#add('note', place, message);
  }

  /** Throws {@link ConfigError} if there was an error. */
  throwIfUnusable(): void {
    if (this.#notices.some(({ level }) => level === 'error')) throw new ConfigError(this.#notices);
  }

  #add(level: ConfigNotice['level'], { line, column }: Place, message: string): void {
    // Errors are never dropped: each of them keeps the gateway from starting.
    if (this.#notices.length >= MAX_NOTICES && (level !== 'error' || this.#notices.some((notice) => notice.level === 'error'))) return;
    this.#notices.push({ file: this.file, line, ...(column !== undefined && { column }), level, message });
  }
}
