/**
 * Where lines go, and whether they are shown (spec "CLI", section 5.1).
 *
 *   level 0 (errors)       standard error
 *   levels 1 to 3          standard output; standard error where that is for the result only (--authenticate, --cookieonly, --printcookie)
 *   all levels             syslog, once it was opened
 *   results, statistics    standard output, whatever the level
 */
import type { LogFields, Logger, LogLevel } from '../../core/log.ts';
import { printable } from '../../core/wire/text.ts';
import type { MessageSettings, Mode } from './settings.ts';
import { levelOf, type ProgressLine, progressLine } from './words.ts';

export interface TextSink {
  write(text: string): unknown;
}

/** openconnect's use of syslog: identity `openconnect`, facility daemon, with the process id. */
export interface SyslogSink {
  log(priority: 'notice' | 'info', line: string): void;
}

export interface OutputOptions {
  readonly messages: Pick<MessageSettings, 'level' | 'timestamp' | 'dumpHttpTraffic'>;
  readonly mode: Mode;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  now(): Date;
}

export class Output implements Logger {
  readonly #options: OutputOptions;
  #syslog: SyslogSink | undefined;

  constructor(options: OutputOptions) {
    this.#options = options;
  }

  /** An event of the library, in openconnect's words. */
  log(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (levelOf(level, event, fields) <= this.#options.messages.level) this.progress(progressLine(level, event, fields));
  }

  /** One line about what is going on; shown if the level allows. */
  progress(line: ProgressLine): void {
    const { level, dumpHttpTraffic } = this.#options.messages;
    if (line.level > level || (line.isDump === true && !dumpHttpTraffic)) return;
    this.#write(line);
  }

  /** Shown even with `--quiet`, as the statistics of SIGUSR1 are. */
  always(line: string): void {
    this.#write({ level: 1, text: line });
  }

  /** From now on progress goes to syslog. */
  useSyslog(sink: SyslogSink): void {
    this.#syslog = sink;
  }

  /** What the user asked for: standard output gets exactly this. */
  result(text: string): void {
    this.#options.stdout.write(text);
  }

  #write({ level, text, isBare }: ProgressLine): void {
    const line = printable(text);
    if (this.#syslog !== undefined) {
      this.#syslog.log(level === 0 ? 'notice' : 'info', line);
      return;
    }
    const { messages, mode, stdout, stderr } = this.#options;
    const sink = level === 0 || mode !== 'connect' ? stderr : stdout;
    sink.write(`${messages.timestamp && isBare !== true ? timestampOf(this.#options.now()) : ''}${line}\n`);
  }
}

/** `[YYYY-MM-DD HH:MM:SS] ` in local time. */
export function timestampOf(date: Date): string {
  const two = (number: number) => String(number).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `[${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}] `;
}
