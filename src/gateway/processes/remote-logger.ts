/** A logger whose lines another process writes: main's. Secrets are gone before a line leaves. */
import type { LogFields, Logger, LogLevel } from '../../core/log.ts';
import { Secret } from '../../core/secret.ts';
import type { Rpc } from './rpc.ts';

/** As it travels: without {@link Secret}. */
export type PlainFields = Readonly<Record<string, string | number | boolean>>;

/** The notice by which a line travels. */
export interface LogNotices {
  log(level: LogLevel, event: string, fields: PlainFields): void;
}

/** ocserv's levels (spec "Gateway contract", 2.1): what is more detailed than asked for does not travel. */
const LEAST_LEVEL: Readonly<Record<LogLevel, number>> = { error: 0, warn: 0, info: 0, debug: 3, trace: 9 };

export function remoteLogger(rpc: Rpc, logLevel: number): Logger {
  return {
    log: (level, event, fields = {}) => {
      if (logLevel >= LEAST_LEVEL[level]) rpc.notify('log', [level, event, plain(fields)]);
    },
  };
}

function plain(fields: LogFields): PlainFields {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value instanceof Secret ? String(value) : value]],
    ),
  );
}
