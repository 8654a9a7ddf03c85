/**
 * The gateway's log: events with fields, as JSON lines (by pino) for machines, as text for a terminal, or to the system's log.
 *
 *   {"level":"info","time":"2026-11-29T19:01:00.000Z","pid":24874,"process":"main","event":"user logged in","user":"alice","remote":"192.0.2.2:48480"}
 *
 * Secrets are left out before anything is made of an event (`log-fields.ts`).
 */
import { pino } from 'pino';
import type { LogFields, Logger, LogLevel } from '../../core/log.ts';
import type { SyslogSeverity } from '../../node/ffi/syslog.ts';
import { type VisibleFields, visibleFields } from './log-fields.ts';
import { isLogged, logThreshold } from './log-level.ts';
import { type ProcessName, textLine } from './text-line.ts';

/** Where lines go, whole ones: standard error, a file, a test's memory. */
export interface LineSink {
  write(line: string): void;
}

/** `node/ffi/syslog.ts`. */
export interface SyslogSink {
  write(severity: SyslogSeverity, line: string): void;
}

export interface GatewayLoggerOptions {
  readonly process: ProcessName;
  /** 0 to 9, ocserv's: `log-level`, or `-d`, which wins. */
  readonly level: number;
  readonly output:
    | { readonly form: 'json'; readonly sink: LineSink }
    /** `program`: in front of each line, with the process id: `ocserv`. */
    | { readonly form: 'text'; readonly sink: LineSink; readonly program: string }
    | { readonly form: 'syslog'; readonly syslog: SyslogSink };
  /** Default: this process. */
  readonly pid?: number;
}

export class GatewayLogger implements Logger {
  readonly #options: GatewayLoggerOptions;
  #threshold: LogLevel;
  readonly #write: Writer;

  constructor(options: GatewayLoggerOptions) {
    this.#options = options;
    this.#threshold = logThreshold(options.level);
    this.#write = writerOf(options);
  }

  /** For lines of another process, which are written by this one: with its name, with this one's process id and level. */
  of(process: ProcessName): Logger {
    const write = writerOf({ ...this.#options, process });
    return {
      log: (level, event, fields = {}) => {
        if (isLogged(level, this.#threshold)) write(level, event, visibleFields(fields));
      },
    };
  }

  log(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (isLogged(level, this.#threshold)) this.#write(level, event, visibleFields(fields));
  }

  /** After a reload. */
  setLevel(ocservLevel: number): void {
    this.#threshold = logThreshold(ocservLevel);
  }
}

/** The log for lines of another process; a program's own kind of log hears of it by a field. */
export function logFor(log: Logger, process: ProcessName): Logger {
  if (log instanceof GatewayLogger) return log.of(process);
  return { log: (level, event, fields) => log.log(level, event, { ...fields, process }) };
}

type Writer = (level: LogLevel, event: string, fields: VisibleFields) => void;

function writerOf({ process: name, output, pid = process.pid }: GatewayLoggerOptions): Writer {
  switch (output.form) {
    case 'json':
      return jsonWriter(name, output.sink, pid);
    case 'text':
      return (level, event, fields) => output.sink.write(`${output.program}[${pid}]: ${textLine(name, level, event, fields)}\n`);
    case 'syslog':
      return (level, event, fields) => output.syslog.write(SEVERITIES[level], textLine(name, level, event, fields));
  }
}

const SEVERITIES: Readonly<Record<LogLevel, SyslogSeverity>> = {
  error: 'error',
  warn: 'warning',
  info: 'info',
  debug: 'debug',
  trace: 'debug',
};

/** Names that a line has already: a field of such a name gets an underscore. */
const TAKEN: ReadonlySet<string> = new Set(['level', 'time', 'pid', 'process', 'event']);

function jsonWriter(name: ProcessName, sink: LineSink, pid: number): Writer {
  const logger = pino(
    {
      level: 'trace', // what is shown was decided before
      base: { pid, process: name },
      messageKey: 'event',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    sink,
  );
  return (level, event, fields) => {
    const named = Object.entries(fields).map(([key, value]) => [TAKEN.has(key) ? `_${key}` : key, value]);
    logger[level](Object.fromEntries(named), event);
  };
}
