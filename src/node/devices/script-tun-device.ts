/**
 * A program in place of a kernel device (`--script-tun`: ocproxy, tunsocks): it gets one end of a datagram socket pair, one IP packet a datagram.
 *
 * Read first: spec "vpnc-script", section 3, VPNFD. Observed of openconnect 9.01: the program runs in a process group of its own, which gets
 * SIGHUP when the tunnel ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { SallyportError } from '../../core/errors.ts';
import { EngineDevice } from '../engine/engine-device.ts';
import type { PacketEngine } from '../engine/packet-engine.ts';

export interface ScriptTunOptions {
  /** A command line for `/bin/sh -c`: the user's own words, never a server's. */
  readonly command: string;
  /** The program's whole environment, but for VPNFD. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The program's place for the socket: behind the terminal's three. */
const VPNFD = 3;

/** How long the program has to end after SIGHUP before it is killed. */
const END_DEADLINE = 1000;

export class ScriptTunDevice extends EngineDevice {
  #program: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  /** Starts the program. It inherits the terminal; when it ends, the device has failed. */
  static async open(engine: PacketEngine, options: ScriptTunOptions): Promise<ScriptTunDevice> {
    const device = new ScriptTunDevice(engine);
    try {
      await device.#start(options);
      return device;
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  private constructor(engine: PacketEngine) {
    super(engine);
  }

  /** The program has its own idea of an MTU, from its environment. */
  setMtu(): Promise<void> {
    return Promise.resolve();
  }

  protected override async closeDevice(): Promise<void> {
    await super.closeDevice();
    this.#signal('SIGHUP');
    const deadline = setTimeout(() => this.#signal('SIGKILL'), END_DEADLINE);
    await this.#ended;
    clearTimeout(deadline);
  }

  async #start(options: ScriptTunOptions): Promise<void> {
    const { theirs } = await this.link.call('open-script', {});
    let program: ChildProcess;
    try {
      program = spawn('/bin/sh', ['-c', options.command], {
        stdio: ['inherit', 'inherit', 'inherit', theirs],
        env: { ...options.environment, VPNFD: String(VPNFD) },
        detached: true, // a process group of its own, to be signalled whole
      });
    } finally {
      closeSync(theirs); // the program has its copy
    }
    this.#program = program;
    // It is in a process group of its own: nobody else tells it when this process ends without closing the device.
    const hangUp = () => this.#signal('SIGHUP');
    process.once('exit', hangUp);
    this.#ended = new Promise<void>((resolve) => {
      program.once('error', (error) => {
        this.fail(new SallyportError('ERR_SCRIPT', `The script could not be started: ${error.message}`, { cause: error }));
        resolve();
      });
      program.once('exit', (status, signal) => {
        const how = signal === null ? `with status ${status}` : `by ${signal}`;
        this.fail(new SallyportError('ERR_SCRIPT', `The script "${options.command}" ended ${how}.`));
        resolve();
      });
    }).finally(() => process.removeListener('exit', hangUp));
  }

  /** To the whole process group: the shell and what it started. */
  #signal(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#program ?? {};
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It ended in this moment.
    }
  }
}
