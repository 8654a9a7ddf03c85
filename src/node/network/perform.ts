/** Takes steps and takes them back, on a machine. Knows nothing of journals: who calls has written down what is about to happen. */
import { CancelledError, SallyportError } from '../../core/errors.ts';
import { type ProgramResult, type RunOptions, reasonOfResult } from '../processes/run-program.ts';
import { readLinks, readRoutingFacts } from './facts.ts';
import { performLine, revertLines } from './ip-commands.ts';
import type { Machine } from './machine.ts';
import { ownerOf, withoutDeadSessions } from './resolv-conf.ts';
import { type DnsStep, describeStep, type IpStep, isIpStep, type ResolvConfStep, type Step } from './steps.ts';

export interface PerformContext {
  readonly machine: Machine;
  /** Whose steps these are. */
  readonly session: string;
  /** The journal's descriptor: what we start keeps it open, so that a recovery after our death waits for it. */
  readonly holds?: number;
  /** Whether another session, by its name, is still to be undone; asked when a resolv.conf of its turns up. */
  readonly isLive: (session: string) => boolean;
}

export interface PlannedStep<S extends Step = Step> {
  readonly step: S;
  /** A step of ours with the same subject is in effect and gives way. */
  readonly overOurs: boolean;
}

/**
 * Takes the steps in order. Throws a {@link SallyportError} with code `ERR_NETWORK_SETUP` that names the step that could not be taken, and
 * {@link CancelledError} if `signal` aborts between two of them; some steps are then in effect.
 */
export async function performSteps(steps: readonly PlannedStep[], context: PerformContext, signal?: AbortSignal): Promise<void> {
  for (const group of grouped(steps)) {
    if (signal?.aborted) throw new CancelledError();
    if (group.dns === undefined) await performIp(group.ip, context);
    else await performDns(group.dns, context).catch((error: unknown) => Promise.reject(setupError(group.dns, error)));
  }
}

type Group = { readonly ip: readonly PlannedStep<IpStep>[]; readonly dns?: undefined } | { readonly dns: DnsStep };

/** Neighbouring `ip` steps go to one `ip -batch`: a gateway may name hundreds of networks. */
function grouped(steps: readonly PlannedStep[]): readonly Group[] {
  const groups: Group[] = [];
  let batch: PlannedStep<IpStep>[] | undefined;
  for (const { step, overOurs } of steps) {
    if (!isIpStep(step)) {
      groups.push({ dns: step });
      batch = undefined;
      continue;
    }
    if (batch === undefined) {
      batch = [];
      groups.push({ ip: batch });
    }
    batch.push({ step, overOurs });
  }
  return groups;
}

async function performIp(steps: readonly PlannedStep<IpStep>[], context: PerformContext): Promise<void> {
  const lines = steps.map((planned) => performLine(planned.step, planned));
  const result = await runBatch(lines, context);
  if (result.status === 0) return;
  const line = /Command failed -:(\d+)/.exec(result.stderr)?.[1]; // it stops at the first that fails, and says which
  throw setupError(
    line === undefined ? undefined : steps[Number(line) - 1]?.step,
    new SallyportError('ERR_PROGRAM', reasonOfResult(result)),
  );
}

async function performDns(step: DnsStep, context: PerformContext): Promise<void> {
  switch (step.kind) {
    case 'resolved':
      await mustRun(context, 'resolvectl', ['dns', step.device, ...step.servers]);
      await mustRun(context, 'resolvectl', ['domain', step.device, ...(step.domains.length === 0 ? [''] : step.domains)]);
      await mustRun(context, 'resolvectl', ['default-route', step.device, step.isDefault ? 'yes' : 'no']);
      return;
    case 'resolvconf':
      await mustRun(context, 'resolvconf', ['-a', step.record], { input: step.content });
      return;
    case 'network-manager':
      await context.machine.replaceFile(step.path, step.content, tagOf(context));
      await mustRun(context, 'nmcli', ['general', 'reload', 'conf']);
      return;
    case 'resolv-conf':
      await context.machine.replaceFile(step.path, step.content, tagOf(context));
      return;
  }
}

/** A step that could not be taken back. */
export interface Leftover {
  readonly step: Step;
  readonly reason: string;
}

/** For people: what is still there and why. */
export function describeLeftover({ step, reason }: Leftover): string {
  return `${describeStep(step)} (${reason})`;
}

export interface Reverted {
  /** What was in effect and no longer is. */
  readonly reverted: readonly Step[];
  /** What could not be taken back; none: all is as before. */
  readonly leftovers: readonly Leftover[];
}

/** Takes steps back, last one first. What is no longer in effect is left alone, so this may be called again after it was cut short. */
export async function revertSteps(steps: readonly Step[], context: PerformContext): Promise<Reverted> {
  const reversed = steps.toReversed();
  const reverted: Step[] = [];
  const leftovers: Leftover[] = [];
  for (const step of reversed) {
    if (isIpStep(step)) continue;
    try {
      if (await revertDns(step, context)) reverted.push(step);
    } catch (error) {
      leftovers.push({ step, reason: reasonOf(error) });
    }
  }
  const network = reversed.filter(isIpStep);
  try {
    const ip = await revertIp(network, context);
    return { reverted: [...reverted, ...ip.reverted], leftovers: [...leftovers, ...ip.leftovers] };
  } catch (error) {
    return { reverted, leftovers: [...leftovers, ...network.map((step) => ({ step, reason: reasonOf(error) }))] };
  }
}

async function revertIp(steps: readonly IpStep[], context: PerformContext): Promise<Reverted> {
  const before = await readRoutingFacts(context.machine);
  const present = steps.filter((step) => revertLines(step, before).length > 0);
  if (present.length === 0) return { reverted: [], leftovers: [] };
  const result = await runBatch(
    present.flatMap((step) => revertLines(step, before)),
    context,
    ['-force'],
  );
  // What the kernel takes away by itself in the meantime makes `ip` complain: only what is still there counts.
  const after = await readRoutingFacts(context.machine);
  const remains = new Set(present.filter((step) => revertLines(step, after).length > 0));
  return {
    reverted: present.filter((step) => !remains.has(step)),
    leftovers: [...remains].map((step) => ({ step, reason: reasonOfResult(result) })),
  };
}

/** Whether there was something to take back. Rejects with the reason if that failed. */
async function revertDns(step: DnsStep, context: PerformContext): Promise<boolean> {
  const { machine, session } = context;
  switch (step.kind) {
    case 'resolved': {
      const links = await readLinks(machine);
      if (!links.some(({ name }) => name === step.device)) return false; // resolved forgot it with the device
      await mustRun(context, 'resolvectl', ['revert', step.device]);
      return true;
    }
    case 'resolvconf': {
      // Observed: openresolv fails where there is no such record, unless told -f, which Debian's resolvconf does not know.
      const { status } = await run(context, 'resolvconf', ['-d', step.record]);
      if (status !== 0) await mustRun(context, 'resolvconf', ['-f', '-d', step.record]);
      return status === 0;
    }
    case 'network-manager': {
      const wasThere = (await machine.readFile(step.path)) !== null;
      await machine.replaceFile(step.path, null, tagOf(context));
      await mustRun(context, 'nmcli', ['general', 'reload', 'conf']);
      return wasThere;
    }
    case 'resolv-conf': {
      const current = await machine.readFile(step.path);
      const isOurs = ownerOf(current) === session || isHalfRestored(step, current);
      if (isOurs) await machine.replaceFile(step.path, withoutDeadSessions(step.before, context.isLive), tagOf(context));
      else await machine.discardTemporary(step.path, tagOf(context)); // never written, or by someone else since
      return isOurs;
    }
  }
}

/** A file that can only be written in place, by a process that died between the writing and the cutting off. */
function isHalfRestored({ before, content }: ResolvConfStep, current: string | null): boolean {
  return before !== null && current !== before && current === before + content.slice(before.length);
}

function tagOf({ session }: PerformContext): string {
  return `sallyport-${session}`;
}

function runBatch(lines: readonly string[], context: PerformContext, options: readonly string[] = []): Promise<ProgramResult> {
  return run(context, 'ip', [...options, '-batch', '-'], { input: lines.map((line) => `${line}\n`).join('') });
}

async function mustRun(context: PerformContext, program: string, args: readonly string[], options?: RunOptions): Promise<void> {
  const result = await run(context, program, args, options);
  if (result.status !== 0) throw new SallyportError('ERR_PROGRAM', `${program}: ${reasonOfResult(result)}`);
}

function run(
  { machine, holds }: PerformContext,
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<ProgramResult> {
  return machine.run(program, args, { ...options, holds });
}

function setupError(step: Step | undefined, cause: unknown): SallyportError {
  const reason = reasonOf(cause);
  const what = step === undefined ? 'the network' : describeStep(step);
  const hint = /not permitted|permission denied/i.test(reason) ? ' Changing the network needs root, or the capability CAP_NET_ADMIN.' : '';
  return new SallyportError('ERR_NETWORK_SETUP', `Could not set ${what}: ${reason}.${hint}`, { cause });
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.replace(/\.$/, '') : String(error);
}
