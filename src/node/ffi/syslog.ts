/** The system's log, for `--syslog`. */
import { Arena } from './arena.ts';
import { type NativeFunction, nativeLibrary } from './koffi.ts';

/** Severities of RFC 5424 §6.2.1 that the client uses. */
export const SYSLOG_SEVERITY = { error: 3, warning: 4, notice: 5, info: 6, debug: 7 } as const;

export type SyslogSeverity = keyof typeof SYSLOG_SEVERITY;

const LOG_PID = 0x01;
const LOG_DAEMON = 3 << 3;
const IDENTITY_ROOM = 64;

/** openlog keeps the pointer to the name, for the life of the process: so the bytes stay where they are, in memory that nobody frees. */
let identityArena: Arena | undefined;

export class Syslog {
  readonly #syslog: NativeFunction;

  /** @param identity the program's name in front of each line */
  constructor(identity: string) {
    const library = nativeLibrary('The system log');
    identityArena ??= new Arena(IDENTITY_ROOM);
    identityArena.bytes.fill(0, 0, IDENTITY_ROOM);
    identityArena.bytes.write(identity, 0, IDENTITY_ROOM - 1, 'utf8');
    library.func('void openlog(uintptr_t, int, int)')(identityArena.address(0), LOG_PID, LOG_DAEMON);
    this.#syslog = library.func('void syslog(int, str, ...)');
  }

  /** One line. Never a format: `%` is a character like any other. */
  write(severity: SyslogSeverity, line: string): void {
    this.#syslog(SYSLOG_SEVERITY[severity], '%s', 'str', line.replaceAll('\0', ''));
  }
}
