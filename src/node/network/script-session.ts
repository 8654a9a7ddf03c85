/**
 * The network script of one drop-in session, with a journal: from `connect` to `disconnect` it says how to undo it, so that after a
 * crash a recovery can run the script's `disconnect` with the environment it would have had.
 *
 * Read first: spec "vpnc-script", sections 1 to 3; script-runner.ts; recover.ts.
 *
 * No secret is written down. Variables are kept by a list of those that describe the network, and no others: CISCO_CSTP_OPTIONS holds every
 * header of the gateway's answer, some of which are secrets (X-CSTP-Post-Auth-XML), and a proxy's URL may have a password in it. A script
 * that reads those at `disconnect` finds them unset in a recovery, and only then.
 */
import { readFileSync } from 'node:fs';
import { type Logger, silentLogger } from '../../core/log.ts';
import type { ProcessIdentity } from '../processes/process-identity.ts';
import { Journal, type JournalHeader } from './journal.ts';
import { JournalKeeper } from './journal-keeper.ts';
import type { ScriptEnvironment, ScriptOutcome, ScriptRunner } from './script-runner.ts';
import { stateDirectory } from './state-directory.ts';
import { isDeviceName } from './steps.ts';

/** What a recovery needs to run the script's `disconnect`. */
export interface ScriptRecord {
  readonly command: string;
  readonly cwd: string;
  readonly set: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
}

/** The variables that describe the network. Spec "vpnc-script", section 3. */
const KEPT_VARIABLES =
  /^(?:VPNGATEWAY|VPNPID|TUNDEV|TUNIDX|LOG_LEVEL|IDLE_TIMEOUT|CISCO_DEF_DOMAIN|(?:INTERNAL_IP[46]|CISCO_(?:IPV6_)?SPLIT)_[A-Z0-9_]+)$/;
const REMOVED_VARIABLES = ['CISCO_CSTP_OPTIONS', 'CISCO_BANNER', 'CISCO_PROXY_PAC'];

export class ScriptSession {
  readonly #runner: ScriptRunner;
  readonly #directory: string;
  readonly #log: Logger;
  #journal: Journal | undefined;
  #keeper: JournalKeeper | undefined;

  constructor(runner: ScriptRunner, options: { readonly directory?: string; readonly log?: Logger } = {}) {
    this.#runner = runner;
    this.#directory = options.directory ?? stateDirectory();
    this.#log = options.log ?? silentLogger;
  }

  /**
   * Runs the script for the `reason` of the environment. The journal starts before `connect`, follows a `reconnect` with other values, and ends
   * after a `disconnect` that ran to its end, whatever its status. A journal that cannot be written is logged, and the script runs all the same:
   * openconnect has none at all.
   */
  async run(environment: ScriptEnvironment, options: { readonly signal?: AbortSignal } = {}): Promise<ScriptOutcome> {
    const { reason } = environment.set;
    if (reason === 'connect' || (reason === 'reconnect' && this.#journal !== undefined))
      await this.#attempt(() => this.#record(environment));
    const onStart = (script: ProcessIdentity) => void this.#attempt(() => this.#journal?.append([{ running: script }]));
    const outcome = await this.#runner.run(environment, { ...options, onStart });
    if (reason === 'disconnect' && outcome.kind !== 'killed') await this.#attempt(() => this.#forget());
    return outcome;
  }

  /**
   * Before this process becomes another user: the journal stays as it is, a `reconnect` with other values changes it no more, and a keeper
   * with today's rights removes it in the end.
   */
  handOver(): void {
    if (this.#journal === undefined) return;
    this.#keeper = new JournalKeeper(this.#journal.release());
    this.#journal = undefined;
  }

  async #attempt(write: () => void | Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#log.log('warn', 'script journal failed', { reason: error instanceof Error ? error.message : String(error) });
    }
  }

  #record(environment: ScriptEnvironment): void {
    const record = recordOf(this.#runner, environment);
    if (this.#journal !== undefined) {
      this.#journal.rewrite([record]);
      return;
    }
    const journal = Journal.create(this.#directory, 'script', deviceOf(environment.set.TUNDEV));
    journal.append([record]);
    this.#journal = journal;
  }

  async #forget(): Promise<void> {
    this.#journal?.remove();
    await this.#keeper?.remove();
    this.#journal = undefined;
    this.#keeper = undefined;
  }
}

function recordOf(runner: ScriptRunner, { set, unset }: ScriptEnvironment): ScriptRecord {
  const kept = Object.entries(set).filter(([name]) => KEPT_VARIABLES.test(name));
  return { command: runner.command, cwd: runner.cwd, set: Object.fromEntries(kept), unset: [...new Set([...unset, ...REMOVED_VARIABLES])] };
}

/** The device with its number, if there is such a device. */
function deviceOf(name: string | undefined): JournalHeader['device'] {
  const index = deviceIndex(name);
  return name === undefined || index === undefined ? undefined : { name, index };
}

/** The kernel's number of a network device; undefined if there is none of that name. */
export function deviceIndex(name: string | undefined): number | undefined {
  if (!isDeviceName(name)) return undefined;
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'latin1'));
  } catch {
    return undefined; // no such device
  }
}

/** Reads a record back; undefined if it is not one. */
export function parseScriptRecord(value: unknown): ScriptRecord | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { command, cwd, set, unset } = value as Partial<Record<string, unknown>>;
  const isRecord = typeof command === 'string' && typeof cwd === 'string' && isTextMap(set) && isTextList(unset);
  return isRecord ? { command, cwd, set, unset } : undefined;
}

/** Reads the note that a script was started; undefined if it is not one. */
export function parseRunningScript(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== 'object' || value === null || !('running' in value)) return undefined;
  const { pid, startTime } = (value.running ?? {}) as Partial<Record<string, unknown>>;
  return typeof pid === 'number' && typeof startTime === 'string' ? { pid, startTime } : undefined;
}

function isTextMap(value: unknown): value is Readonly<Record<string, string>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(([name, text]) => KEPT_VARIABLES.test(name) && typeof text === 'string')
  );
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
