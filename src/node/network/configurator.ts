/**
 * Configures this machine's network for a tunnel, and takes it all back: addresses, routes and DNS as one transaction.
 *
 * Read first: docs/network-setup.md; plan.ts (what is done), perform.ts (how), journal.ts (what a crash leaves behind).
 *
 *   apply ──► facts ─► plan ─► journal ─► steps ──► in effect ──► undo ──► as before
 *                                 a step fails: ──► undo what was done, say what failed
 *             update ──► facts without our steps ─► plan ─► only the differences
 *
 * Calls may overlap; they run one after the other. Linux only.
 */
import { MisuseError, SallyportError } from '../../core/errors.ts';
import { type Logger, silentLogger } from '../../core/log.ts';
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import type { IpAddress } from '../../core/wire/ip-address.ts';
import { changesBetween, factsWithout } from './effects.ts';
import { type NetworkFacts, readFacts } from './facts.ts';
import { findJournals, Journal } from './journal.ts';
import { type Machine, thisMachine } from './machine.ts';
import { describeLeftover, type PerformContext, performSteps, revertSteps } from './perform.ts';
import { planNetwork } from './plan.ts';
import { stateDirectory } from './state-directory.ts';
import { describeStep, isDeviceName, type Step } from './steps.ts';

export interface ConfiguratorOptions {
  /** The tunnel's network device; it must exist when {@link NetworkConfigurator.apply} is called. */
  readonly device: string;
  /** The address that the tunnel's packets go to. */
  readonly gateway: IpAddress;
  /** Where the journal is kept; {@link stateDirectory} if absent. */
  readonly directory?: string;
  readonly log?: Logger;
  /** The machine to change; this one if absent. */
  readonly machine?: Machine;
}

export interface NetworkChange {
  /** Whether anything was changed. */
  readonly changed: boolean;
  /** What could not be done as the gateway wants it, for people; empty: all of it. */
  readonly notes: readonly string[];
}

/** A new configuration, or a gateway at another address. What is absent stays as it is. */
export interface NetworkUpdate {
  readonly config?: TunnelConfig;
  readonly gateway?: IpAddress;
}

interface Applied {
  readonly journal: Journal;
  readonly config: TunnelConfig;
  readonly gateway: IpAddress;
  /** What may be in effect, in the order in which it was done. */
  readonly steps: readonly Step[];
  /** Whether all of them are: the last change was not cut short. */
  readonly isCertain: boolean;
}

export class NetworkConfigurator {
  readonly #options: ConfiguratorOptions;
  readonly #machine: Machine;
  readonly #directory: string;
  readonly #log: Logger;
  #applied: Applied | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: ConfiguratorOptions) {
    if (!isDeviceName(options.device)) throw new MisuseError('The name of the network device has characters that are not allowed.');
    this.#options = options;
    this.#machine = options.machine ?? thisMachine;
    this.#directory = options.directory ?? stateDirectory();
    this.#log = options.log ?? silentLogger;
  }

  /**
   * Sets the network up. Traffic may start when this returns. If a step fails, or `signal` aborts, what was done is undone first.
   * Throws a {@link SallyportError}: `ERR_NETWORK_SETUP` names the step that failed, and what could not be undone, for another {@link undo}.
   */
  apply(config: TunnelConfig, { signal }: { readonly signal?: AbortSignal } = {}): Promise<NetworkChange> {
    return this.#inTurn(async () => {
      if (this.#applied !== undefined) throw new MisuseError('The network is set up already: update() it.');
      const { device, gateway } = this.#options;
      const facts = await readFacts(this.#machine, device);
      const index = facts.links.find(({ name }) => name === device)?.index;
      const journal = Journal.create(this.#directory, 'network', index === undefined ? undefined : { name: device, index });
      this.#applied = { journal, config, gateway, steps: [], isCertain: true };
      try {
        return await this.#change({ config, gateway }, facts, signal);
      } catch (error) {
        const leftovers = await this.#takeBack();
        throw leftovers === undefined ? error : withLeftovers(error, leftovers);
      }
    });
  }

  /**
   * Brings the set-up up to date: with a new configuration after a reconnect, or with the same one when the network underneath has changed
   * (routes that the kernel dropped come back, the gateway's takes its new way). Changes only what differs.
   * If a step fails the rest stays as it is, and {@link undo} still takes back all of it.
   */
  update(update: NetworkUpdate = {}, { signal }: { readonly signal?: AbortSignal } = {}): Promise<NetworkChange> {
    return this.#inTurn(async () => {
      const { config, gateway } = this.#appliedOrThrow();
      const facts = await readFacts(this.#machine, this.#options.device);
      return await this.#change({ config: update.config ?? config, gateway: update.gateway ?? gateway }, facts, signal);
    });
  }

  /**
   * Takes everything back. Safe to call twice, and without a set-up. Throws a {@link SallyportError} that names what could not be taken back;
   * the journal of that stays, for another call or a recovery.
   */
  undo(): Promise<void> {
    return this.#inTurn(async () => {
      const leftovers = await this.#takeBack();
      if (leftovers !== undefined) throw leftoverError(leftovers);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.undo();
  }

  async #change(wish: Required<NetworkUpdate>, facts: NetworkFacts, signal: AbortSignal | undefined): Promise<NetworkChange> {
    const { journal, steps: taken, isCertain } = this.#appliedOrThrow();
    const wanted = { ...wish, device: this.#options.device, session: journal.name };
    const plan = planNetwork(wanted, factsWithout(taken, facts, journal.name));
    const { perform, revert } = changesBetween(taken, plan.steps, facts, isCertain);
    const added = perform.map(({ step }) => step);
    if (added.length > 0 || revert.length > 0) {
      const all = union(taken, added);
      journal.rewrite(all);
      this.#applied = { journal, ...wish, steps: all, isCertain: false };
      const context = await this.#context(journal);
      await performSteps(perform, context, signal);
      const { leftovers } = await revertSteps(revert, context);
      if (leftovers.length > 0) throw leftoverError(leftovers.map(describeLeftover).join('; '));
      journal.rewrite(plan.steps);
    }
    this.#applied = { journal, ...wish, steps: plan.steps, isCertain: true };
    for (const step of added) this.#log.log('debug', 'network step taken', { step: describeStep(step) });
    for (const step of revert) this.#log.log('debug', 'network step taken back', { step: describeStep(step) });
    for (const note of plan.notes) this.#log.log('warn', 'network note', { note });
    return { changed: added.length > 0 || revert.length > 0, notes: plan.notes };
  }

  /** Undoes all. What is left, for people; undefined if nothing is. */
  async #takeBack(): Promise<string | undefined> {
    if (this.#applied === undefined) return undefined;
    const { journal, steps } = this.#applied;
    const { leftovers } = await revertSteps(steps, await this.#context(journal));
    if (leftovers.length > 0) return leftovers.map(describeLeftover).join('; ');
    this.#applied = undefined;
    journal.remove();
    return undefined;
  }

  async #context(journal: Journal): Promise<PerformContext> {
    const alive = new Set((await findJournals(this.#directory)).map(({ name }) => name));
    return {
      machine: this.#machine,
      session: journal.name,
      holds: journal.descriptor,
      isLive: (session) => alive.has(session),
    };
  }

  #appliedOrThrow(): Applied {
    if (this.#applied === undefined) throw new MisuseError('The network is not set up: apply() comes first.');
    return this.#applied;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined); // whoever asked for it hears of its failure
    return result;
  }
}

/** Both, each step once: an update that fails again and again must not let the journal grow. */
function union(taken: readonly Step[], added: readonly Step[]): readonly Step[] {
  return [...new Map([...taken, ...added].map((step) => [JSON.stringify(step), step])).values()];
}

function withLeftovers(error: unknown, leftovers: string): SallyportError {
  const message = `${error instanceof Error ? error.message : String(error)} And not all of what was done before could be taken back: ${leftovers}.`;
  return new SallyportError('ERR_NETWORK_SETUP', message, { cause: error });
}

function leftoverError(leftovers: string): SallyportError {
  return new SallyportError('ERR_NETWORK_UNDO', `Not all of the network set-up could be taken back: ${leftovers}.`);
}
