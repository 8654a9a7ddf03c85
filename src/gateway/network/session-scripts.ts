/**
 * Runs the administrator's scripts: `connect`, `disconnect`, `host-update`.
 *
 * Read first: spec "Gateway contract", section 6. Directly, without a shell and without arguments; all that they are told is in the environment, and what
 * they print goes to our standard error.
 *
 *   connect       awaited: anything but 0 refuses the client
 *   others        not awaited, but known until they end: `settled` is for the gateway's own end
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { PeerRefusedError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { mergedEnvironment } from '../../node/network/script-runner.ts';
import type { ScriptConfig } from '../config/gateway-config.ts';
import { type ScriptReason, type SessionScriptFacts, sessionEnvironment } from './session-environment.ts';

export interface SessionScriptsOptions {
  readonly scripts: ScriptConfig;
  readonly log: Logger;
  /** Descriptor that standard output and standard error of scripts go to. Default: our standard error. */
  readonly output?: number;
  /** Default: {@link MAX_SCRIPT_TIME}. */
  readonly maxTime?: Millis;
}

/** A script that runs longer is killed, with all that it has started: a client waits for it, or the gateway's end does. */
export const MAX_SCRIPT_TIME: Millis = 120_000;

/** More wait for their turn: at the end of a gateway all its sessions have one to run. */
export const MAX_SCRIPTS_AT_ONCE = 32;

const STANDARD_ERROR = 2;

/** How it ended; undefined: well. */
type Fault = { readonly why: string } | undefined;

export class SessionScripts {
  #scripts: ScriptConfig;
  readonly #log: Logger;
  readonly #output: number;
  readonly #maxTime: Millis;
  readonly #running = new Set<Promise<Fault>>();
  readonly #waiting: (() => void)[] = [];
  #places = MAX_SCRIPTS_AT_ONCE;

  constructor({ scripts, log, output = STANDARD_ERROR, maxTime = MAX_SCRIPT_TIME }: SessionScriptsOptions) {
    this.#scripts = scripts;
    this.#log = log;
    this.#output = output;
    this.#maxTime = maxTime;
  }

  /** Other scripts from now on. */
  reload(scripts: ScriptConfig): void {
    this.#scripts = scripts;
  }

  /**
   * Runs the script of this kind, if there is one. Resolves at the end of `connect`, and at once for the others.
   * Throws {@link PeerRefusedError} where the client is not to be let in: `connect` said so, took too long, or could not be run.
   */
  async run(kind: ScriptReason, facts: SessionScriptFacts): Promise<void> {
    const path = { connect: this.#scripts.connect, disconnect: this.#scripts.disconnect, 'host-update': this.#scripts.hostUpdate }[kind];
    if (path === undefined) return;
    const run = this.#inTurn(() => this.#execute(path, kind, facts));
    this.#running.add(run);
    const ended = run.finally(() => this.#running.delete(run));
    if (kind !== 'connect') return;
    const fault = await ended;
    if (fault !== undefined) throw new PeerRefusedError(`The connect script ${path} ${fault.why}.`, { code: 'ERR_CONNECT_SCRIPT' });
  }

  /** When all scripts that run now, and those that wait, have ended. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Never rejects: `#execute` does not. */
  async #inTurn(execute: () => Promise<Fault>): Promise<Fault> {
    if (this.#places === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#places--;
    try {
      return await execute();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#places++;
      else next();
    }
  }

  async #execute(path: string, kind: ScriptReason, facts: SessionScriptFacts): Promise<Fault> {
    const fault = await this.#faultOf(path, kind, facts);
    const fields = { script: path, reason: kind, user: facts.user, id: facts.id };
    if (fault === undefined) this.#log.log('debug', 'script ended', fields);
    else this.#log.log('error', 'script failed', { ...fields, why: fault.why });
    return fault;
  }

  #faultOf(path: string, kind: ScriptReason, facts: SessionScriptFacts): Promise<Fault> {
    let child: ChildProcess;
    try {
      const env = mergedEnvironment(process.env, sessionEnvironment(kind, facts));
      // A group of its own: Ctrl-C in our terminal is ours to answer, and what hangs is ended with all that it has started.
      child = spawn(path, [], { env, cwd: '/', stdio: ['ignore', this.#output, this.#output], detached: true });
    } catch (error) {
      return Promise.resolve({ why: `could not be run: ${error instanceof Error ? error.message : String(error)}` });
    }
    return new Promise((resolve) => {
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        killGroup(child.pid);
      }, this.#maxTime);
      const end = (fault: Fault) => {
        clearTimeout(timer);
        resolve(fault);
      };
      child.on('error', (error) => end({ why: `could not be run: ${error.message}` }));
      child.on('exit', (status, signal) => {
        if (isLate) end({ why: `took more than ${this.#maxTime} ms` });
        else if (signal !== null) end({ why: `was ended by ${signal}` });
        else end(status === 0 ? undefined : { why: `said no (status ${status})` });
      });
    });
  }
}

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    /* it has ended in this moment, which is what we wanted */
  }
}
