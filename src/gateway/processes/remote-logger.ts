/** A logger whose lines another process writes: main's. Secrets are gone before a line leaves. */
import type { LogFields, Logger, LogLevel } from '../../core/log.ts';
import { isLogged, logThreshold } from '../log/log-level.ts';
import type { Rpc } from './rpc.ts';

/** As it travels: without secrets. */
export type PlainFields = Readonly<Record<string, string | number | boolean>>;

/** The notice by which a line travels. */
export interface LogNotices {
  log(level: LogLevel, event: string, fields: PlainFields): void;
}

/** What a line may have: who writes it keeps to it, and who receives it looks. */
export const LINE_LIMITS = {
  /** Characters of the event, of a field's name, and of its value. */
  event: 256,
  name: 64,
  value: 2048,
  fields: 32,
} as const;

export class RemoteLogger implements Logger {
  readonly #rpc: Pick<Rpc, 'notify'>;
  #threshold: LogLevel;

  /** `level`: ocserv's, 0 to 9: what is more detailed does not travel. */
  constructor(rpc: Pick<Rpc, 'notify'>, level: number) {
    this.#rpc = rpc;
    this.#threshold = logThreshold(level);
  }

  log(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (isLogged(level, this.#threshold)) this.#rpc.notify('log', [level, cut(event, LINE_LIMITS.event), plain(fields)]);
  }

  /** After a reload. */
  setLevel(level: number): void {
    this.#threshold = logThreshold(level);
  }
}

function plain(fields: LogFields): PlainFields {
  const known = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  return Object.fromEntries(known.slice(0, LINE_LIMITS.fields).map(([name, value]) => [cut(name, LINE_LIMITS.name), plainValue(value)]));
}

function plainValue(value: NonNullable<LogFields[string]>): PlainFields[string] {
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return value;
  return cut(String(value), LINE_LIMITS.value); // a Secret says that it is one
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
