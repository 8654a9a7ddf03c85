/** A logger whose lines another process writes: main's. Secrets are gone before a line leaves. */
import type { LogFields, Logger, LogLevel } from '../../core/log.ts';
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

/** ocserv's levels (spec "Gateway contract", 2.1): what is more detailed than asked for does not travel. */
const LEAST_LEVEL: Readonly<Record<LogLevel, number>> = { error: 0, warn: 0, info: 0, debug: 3, trace: 9 };

export function remoteLogger(rpc: Pick<Rpc, 'notify'>, logLevel: number): Logger {
  return {
    log: (level, event, fields = {}) => {
      if (logLevel >= LEAST_LEVEL[level]) rpc.notify('log', [level, cut(event, LINE_LIMITS.event), plain(fields)]);
    },
  };
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
