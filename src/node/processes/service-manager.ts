/**
 * Tells the service manager (systemd) how this service is, where there is one that wants to know.
 *
 * Read first: sd_notify(3). Without koffi the program systemd-notify says it, for which the unit needs `NotifyAccess=exec` or `all`.
 */
import { UnsupportedError } from '../../core/errors.ts';
import { libc } from '../ffi/libc.ts';
import { sendUnixDatagram } from '../ffi/unix-datagram.ts';
import { type CommandRunner, runProgram } from './run-program.ts';

/** Of a line for people, in characters. */
const MAX_STATUS_LENGTH = 512;

export interface ServiceManagerOptions {
  /** Default: that of this process, from which the name of the socket is then taken away: programs that we start have nothing to say. */
  readonly env?: NodeJS.ProcessEnv;
  readonly run?: CommandRunner;
  /** Sends by system call. Default: yes, if koffi is there. */
  readonly send?: (socket: string, message: string) => void;
}

export class ServiceManager {
  readonly #socket: string | undefined;
  readonly #run: CommandRunner;
  readonly #send: (socket: string, message: string) => void;

  constructor(options: ServiceManagerOptions = {}) {
    const env = options.env ?? process.env;
    const socket = env.NOTIFY_SOCKET;
    delete env.NOTIFY_SOCKET;
    this.#socket = socket === undefined || !/^[@/]./.test(socket) ? undefined : socket;
    this.#run = options.run ?? runProgram;
    this.#send = options.send ?? sendBySystemCall;
  }

  /** Whether anybody wants to know. */
  get isThere(): boolean {
    return this.#socket !== undefined;
  }

  /** Connections are taken. Also what ends {@link reloading}. */
  ready(status: string): Promise<void> {
    return this.#notify(['READY=1', statusLine(status)]);
  }

  /** The configuration is being read anew; {@link ready} comes next. */
  reloading(): Promise<void> {
    // systemd.service(5), notify-reload: the manager pairs this with its own request by the time.
    return this.#notify(['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`]);
  }

  stopping(status: string): Promise<void> {
    return this.#notify(['STOPPING=1', statusLine(status)]);
  }

  /** A line for `systemctl status`. */
  status(status: string): Promise<void> {
    return this.#notify([statusLine(status)]);
  }

  /** Rejects if the manager cannot be reached: worth a line in the log, and no reason to stop. */
  async #notify(lines: readonly string[]): Promise<void> {
    if (this.#socket === undefined) return;
    try {
      this.#send(this.#socket, lines.join('\n'));
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      await this.#run('env', [`NOTIFY_SOCKET=${this.#socket}`, 'systemd-notify', `--pid=${process.pid}`, ...lines]);
    }
  }
}

function sendBySystemCall(socket: string, message: string): void {
  sendUnixDatagram(libc('Telling the service manager'), socket, Buffer.from(message, 'utf8'));
}

function statusLine(status: string): string {
  return `STATUS=${status.replace(/\s+/g, ' ').slice(0, MAX_STATUS_LENGTH)}`;
}
