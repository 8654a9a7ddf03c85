/**
 * Undoes what processes left behind that did not live to undo it: run at each start, and by `sallyport recover`.
 *
 * Read first: docs/network-setup.md, "After a crash"; journal.ts.
 *
 *   journal ─ its owner lives? ─ yes ─► leave it alone
 *      │ no
 *      ├─ rename it to ours: of several recoveries one wins each journal
 *      ├─ wait until the programs that its owner had started have ended: they hold the file open
 *      ├─ undo, the latest set-up first
 *      └─ remove it; if a step could not be undone, keep it for the next time
 *
 * Safe to run twice, and by several processes at once.
 */
import { appendFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { CancelledError, SallyportError } from '../../core/errors.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { findControls } from '../control-socket.ts';
import { holdersOf } from '../processes/open-files.ts';
import { bootId, isRunning, type ProcessIdentity } from '../processes/process-identity.ts';
import { readLinks } from './facts.ts';
import { claimJournal, creatorOf, type FoundJournal, findJournals, type JournalContent, networkNamespace, readJournal } from './journal.ts';
import { type Machine, thisMachine } from './machine.ts';
import { describeLeftover, revertSteps } from './perform.ts';
import { ownerOf, withoutDeadSessions } from './resolv-conf.ts';
import { RESOLV_CONF } from './resolver.ts';
import { describeScriptOutcome, ScriptRunner } from './script-runner.ts';
import { deviceIndex, parseRunningScript, parseScriptRecord } from './script-session.ts';
import { checkStateDirectory, stateDirectory } from './state-directory.ts';
import { describeStep, livesOnDevice, parseStep } from './steps.ts';

export interface Recovery {
  /** undone: all is as before; incomplete: something is left; left: nothing was touched. */
  readonly outcome: 'undone' | 'incomplete' | 'left';
  /** What happened, for people. */
  readonly lines: readonly string[];
  /** The journal, where it is still there. */
  readonly file?: string;
}

export interface RecoverOptions {
  /** Where the journals are; {@link stateDirectory} if absent. */
  readonly directory?: string;
  readonly machine?: Machine;
  /** Where a script's output goes; ours if absent. */
  readonly scriptOutput?: 'inherit' | 'ignore' | number;
  readonly signal?: AbortSignal;
}

/** How long to wait for programs that a dead process had started. Those we start for the network end within 15 seconds. */
const ORPHAN_TIMEOUT: Millis = 20_000;
const ORPHAN_POLL: Millis = 20;

/**
 * Undoes every set-up whose process is gone. One report for each; none: there was nothing to do.
 * Throws a {@link SallyportError} if others can write to the folder of the journals, and {@link CancelledError} if `signal` aborts.
 */
export async function recover(options: RecoverOptions = {}): Promise<readonly Recovery[]> {
  const scene = { directory: options.directory ?? stateDirectory(), machine: options.machine ?? thisMachine, options };
  const reports: Recovery[] = [];
  if (checkStateDirectory(scene.directory)) {
    await findControls(scene.directory); // removes the sockets of the dead
    for (const found of await abandonedJournals(scene.directory)) {
      if (options.signal?.aborted) throw new CancelledError();
      const report = await recoverJournal(found, scene);
      if (report !== undefined) reports.push(report);
    }
  }
  const orphan = await restoreOrphanedFile(scene);
  return orphan === undefined ? reports : [...reports, orphan];
}

interface Scene {
  readonly directory: string;
  readonly machine: Machine;
  readonly options: RecoverOptions;
}

/** The journals of the dead, the latest first: what was done last is undone first. */
async function abandonedJournals(directory: string): Promise<readonly FoundJournal[]> {
  const abandoned = (await findJournals(directory)).filter(({ owner }) => !isRunning(owner));
  const withTime = await Promise.all(
    abandoned.map(async (found) => ({ found, createdAt: (await readJournal(found.file).catch(() => undefined))?.header.createdAt ?? 0 })), // why it cannot be read is reported later
  );
  return withTime.sort((a, b) => b.createdAt - a.createdAt).map(({ found }) => found);
}

/** Undoes one journal. Undefined if nothing had begun, or if another process is at it. */
async function recoverJournal(found: FoundJournal, scene: Scene): Promise<Recovery | undefined> {
  const claimed = await claimJournal(found);
  if (claimed === undefined) return undefined;
  let isOver = false;
  try {
    const content = await readJournal(claimed.file);
    const report = content === undefined ? undefined : await undoJournal({ ...claimed, content }, scene);
    // A script that was killed would be killed again at every start, and nothing says what it has already undone.
    const isScriptRun = content?.header.kind === 'script' && report?.outcome === 'incomplete';
    isOver = report === undefined || report.outcome === 'undone' || isScriptRun;
    return isOver || report === undefined ? report : { ...report, file: found.file };
  } catch (error) {
    if (!(error instanceof SallyportError) || error instanceof CancelledError) throw error;
    return { outcome: 'left', lines: [error.message], file: found.file };
  } finally {
    if (isOver) await rm(claimed.file);
    else await rename(claimed.file, found.file); // we may live on, and must not be taken for its owner
  }
}

interface AbandonedJournal extends FoundJournal {
  readonly content: JournalContent;
}

async function undoJournal(journal: AbandonedJournal, scene: Scene): Promise<Recovery> {
  const { kind, boot, network, device } = journal.content.header;
  const what = `The ${kind === 'network' ? 'network set-up' : 'script session'}${device === undefined ? '' : ` of ${device.name}`} by process ${creatorOf(journal.name).pid}`;
  if (boot !== bootId()) return { outcome: 'undone', lines: [`${what} ended when the machine restarted.`] };
  if (network !== networkNamespace())
    return { outcome: 'left', lines: [`${what} belongs to another network namespace. Recover it there.`] };
  if (!(await programsEnded(journal, scene.options.signal))) {
    return { outcome: 'left', lines: [`${what} still has a program running. Try again when it has ended.`] };
  }
  return kind === 'network' ? await undoNetwork(what, journal, scene) : await replayDisconnect(what, journal, scene);
}

/** Waits for what the dead process had started: what it has yet to do would undo our undoing. False if that takes too long. */
async function programsEnded({ file, content }: AbandonedJournal, signal: AbortSignal | undefined): Promise<boolean> {
  const scripts = content.entries.flatMap((entry) => parseRunningScript(entry) ?? []);
  for (const deadline = performance.now() + ORPHAN_TIMEOUT; performance.now() < deadline; await delay(ORPHAN_POLL)) {
    if (signal?.aborted) throw new CancelledError();
    if (holdersOf(file).length === 0 && !scripts.some(isRunning)) return true;
  }
  return false;
}

async function undoNetwork(what: string, { name, file, content }: AbandonedJournal, scene: Scene): Promise<Recovery> {
  const { machine, directory } = scene;
  const { device } = content.header;
  const steps = content.entries.map(parseStep);
  const good = steps.filter((step) => step !== undefined);
  const links = await readLinks(machine);
  // A device of that name with another number is someone else's by now: what was done to ours went with it.
  const sameName = links.find((link) => link.name === device?.name);
  const isReplaced = device !== undefined && sameName !== undefined && sameName.index !== device.index;
  if (device !== undefined && sameName?.index === device.index) await machine.resetDevice(device.name);
  const ours = good.filter((step) => !(isReplaced && livesOnDevice(step, device.name)));
  const journal = await open(file, 'r');
  try {
    const others = new Set((await findJournals(directory)).map((found) => found.name));
    const context = {
      machine,
      session: name,
      holds: journal.fd,
      isLive: (session: string) => others.has(session),
    };
    const { reverted, leftovers } = await revertSteps(ours, context);
    const lines = reverted.length === 0 ? ['Nothing of it was left.'] : reverted.map((step) => `Took back ${describeStep(step)}.`);
    const failures = leftovers.map((leftover) => `Could not take back ${describeLeftover(leftover)}.`);
    if (good.length < steps.length) failures.push(`${steps.length - good.length} entries of its journal could not be read.`);
    return { outcome: leftovers.length === 0 ? 'undone' : 'incomplete', lines: [`${what} was left behind.`, ...lines, ...failures] };
  } finally {
    await journal.close();
  }
}

/** Runs the script's `disconnect` with the environment that was saved. */
async function replayDisconnect(what: string, { file, content }: AbandonedJournal, { machine, options }: Scene): Promise<Recovery> {
  const record = content.entries.map(parseScriptRecord).findLast((entry) => entry !== undefined);
  if (record === undefined) return { outcome: 'undone', lines: [`${what} had not begun.`] };
  const { device } = content.header;
  const index = deviceIndex(device?.name);
  if (device !== undefined && index !== undefined && index !== device.index) {
    return {
      outcome: 'left',
      lines: [`${what} was left behind, but ${device.name} is another program's device by now. Recover it when that has ended.`],
    };
  }
  if (device !== undefined && index !== undefined) await machine.resetDevice(device.name);
  const output = options.scriptOutput ?? 'inherit';
  const runner = new ScriptRunner({ command: record.command, cwd: record.cwd, stdin: 'ignore', stdout: output, stderr: output });
  const environment = { set: { ...record.set, reason: 'disconnect' }, unset: record.unset };
  const onStart = (script: ProcessIdentity) => appendFileSync(file, `${JSON.stringify({ running: script })}\n`); // in case we die meanwhile
  const outcome = await runner.run(environment, { onStart, ...(options.signal === undefined ? {} : { signal: options.signal }) });
  const problem = describeScriptOutcome(record.command, outcome);
  const lines = [`${what} was left behind.`, problem ?? `Ran its script '${record.command}' to disconnect.`];
  if (outcome.kind === 'killed') lines.push('It is not run again: look at addresses, routes and DNS yourself.');
  return { outcome: outcome.kind === 'killed' ? 'incomplete' : 'undone', lines };
}

/**
 * A resolv.conf of ours whose session and journal are gone: the machine lost power, and /run with it. The file itself says what was before.
 * Undefined if there is none.
 */
async function restoreOrphanedFile({ directory, machine }: Scene): Promise<Recovery | undefined> {
  const file = await machine.resolveLinks(RESOLV_CONF);
  const content = await machine.readFile(file);
  const session = ownerOf(content);
  if (session === undefined) return undefined;
  const names = checkStateDirectory(directory) ? (await findJournals(directory)).map(({ name }) => name) : [];
  const isLive = (name: string) => names.includes(name) || isRunning(creatorOf(name));
  if (isLive(session)) return undefined;
  try {
    await machine.replaceFile(file, withoutDeadSessions(content, isLive), `sallyport-${session}`);
    return { outcome: 'undone', lines: [`${file} named the DNS servers of a tunnel that is gone. Put back what was there before.`] };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      outcome: 'incomplete',
      lines: [`${file} names the DNS servers of a tunnel that is gone, and could not be put back: ${reason}`],
    };
  }
}
