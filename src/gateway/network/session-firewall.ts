/**
 * Keeps restricted sessions to their routes and ports (`restrict-user-to-routes`, `restrict-user-to-ports`), by a table of our own in nftables.
 *
 * Read first: firewall-rules.ts. Each change is one transaction of `nft -f -`: there is no moment at which a session is half restricted. A session whose
 * rules cannot be set is not let in. The table is made with the first restricted session; a gateway without any leaves the packet filter alone.
 */
import { SallyportError } from '../../core/errors.ts';
import type { Cidr } from '../../core/wire/ip-address.ts';
import { readLinks } from '../../node/network/facts.ts';
import { type Machine, thisMachine } from '../../node/network/machine.ts';
import { reasonOfResult } from '../../node/processes/run-program.ts';
import {
  addSessionLines,
  dropTableLines,
  isRestricted,
  networkLines,
  type Restriction,
  removeSessionLines,
  type SessionChain,
  TABLE_PREFIX,
  tableLines,
  tableOf,
} from './firewall-rules.ts';

export interface SessionFirewallOptions {
  readonly device: string;
  readonly machine?: Machine;
}

/** Routes, no-routes, ports and name servers of one session together. */
export const MAX_RULES = 4096;

/** Where there is no interface the workers hold sessions to their rules, and the packet filter has nothing to do. */
export const NO_FIREWALL: Pick<SessionFirewall, 'restrict' | 'release' | 'removeLeftovers' | 'close'> = {
  restrict: async (_session, sources, restriction) => checkCount(sources, restriction),
  release: () => Promise.resolve(),
  removeLeftovers: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

function checkCount(sources: readonly Cidr[], { dns, routes, noRoutes, restrictsToPorts }: Restriction): void {
  const rules = dns.length + routes.length + noRoutes.length + (restrictsToPorts?.ports.length ?? 0) + sources.length;
  if (rules > MAX_RULES)
    throw new SallyportError('ERR_FIREWALL', `A session is restricted by at most ${MAX_RULES} routes and ports, not ${rules}.`);
}

/** A session's chain with what it is made from. */
interface RestrictedSession extends SessionChain {
  readonly restriction: Restriction;
}

export class SessionFirewall {
  readonly #device: string;
  readonly #table: string;
  readonly #machine: Machine;
  readonly #sessions = new Map<string, RestrictedSession>();
  #isThere = false;
  #lastNumber = 0;
  /** Transactions are made one after the other. */
  #changing: Promise<void> = Promise.resolve();

  constructor({ device, machine = thisMachine }: SessionFirewallOptions) {
    this.#device = device;
    this.#table = tableOf(device);
    this.#machine = machine;
  }

  /** Removes what gateways have left that crashed: the table of this device, and those of devices that are gone. Nothing to do without nft. */
  async removeLeftovers(): Promise<void> {
    await this.#inTurn(async () => {
      if ((await this.#machine.findProgram('nft')) === undefined) return;
      const live = new Set((await readLinks(this.#machine)).map(({ name }) => tableOf(name)));
      const left = (await this.#tables()).filter((table) => table === this.#table || !live.has(table));
      if (left.length > 0) await this.#apply(left.flatMap(dropTableLines));
    });
  }

  /**
   * Restricts what a session sends from these sources: addresses and subnets that it was given, networks behind the client. In place of what restricted it before; a policy without restrictions ends that. Rejects where the rules cannot be set: then the
   * session is as it was.
   */
  async restrict(session: string, sources: readonly Cidr[], restriction: Restriction): Promise<void> {
    if (!isRestricted(restriction)) return await this.release(session);
    checkCount(sources, restriction);
    await this.#inTurn(async () => {
      const before = this.#sessions.get(session);
      const after = { table: this.#table, number: ++this.#lastNumber, sources, restriction };
      const sessions = new Map([...this.#sessions, [session, after] as const]);
      const change = [
        `flush chain inet ${this.#table} networks`, // they may lead to the chains that go
        ...(before === undefined ? [] : removeSessionLines(before)),
        ...addSessionLines(after, restriction),
        ...networkLines(this.#table, [...sessions.values()]),
      ];
      try {
        await this.#apply([...(this.#isThere ? [] : tableLines(this.#device)), ...change]);
      } catch (error) {
        // Somebody has flushed all rules of this machine, as a restart of its firewall does: then all of ours are made anew.
        if (!this.#isThere || (await this.#tables()).includes(this.#table)) throw error;
        await this.#apply(this.#wholeTable([...[...this.#sessions].filter(([id]) => id !== session).map(([, chain]) => chain), after]));
      }
      this.#isThere = true;
      this.#sessions.set(session, after);
    });
  }

  /** The session is over, or no longer restricted. Safe to call twice. */
  async release(session: string): Promise<void> {
    await this.#inTurn(async () => {
      const chain = this.#sessions.get(session);
      if (chain === undefined) return;
      this.#sessions.delete(session);
      try {
        await this.#apply([...networkLines(this.#table, [...this.#sessions.values()]), ...removeSessionLines(chain)]);
      } catch (error) {
        if ((await this.#tables()).includes(this.#table)) throw error;
        await this.#apply(this.#wholeTable([...this.#sessions.values()]));
      }
    });
  }

  /** Removes the table. Safe to call twice. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      if (!this.#isThere) return;
      this.#isThere = false;
      this.#sessions.clear();
      await this.#apply(dropTableLines(this.#table));
    });
  }

  /** The table with these sessions, from nothing. */
  #wholeTable(chains: readonly RestrictedSession[]): string[] {
    return [
      ...tableLines(this.#device),
      ...chains.flatMap((chain) => addSessionLines(chain, chain.restriction)),
      ...networkLines(this.#table, chains),
    ];
  }

  async #tables(): Promise<string[]> {
    const result = await this.#machine.run('nft', ['list', 'tables', 'inet']);
    if (result.status !== 0) throw new SallyportError('ERR_FIREWALL', `nft could not list its tables: ${reasonOfResult(result)}.`);
    return [...result.stdout.matchAll(/^table inet (\S+)$/gm)].map(([, name = '']) => name).filter((name) => name.startsWith(TABLE_PREFIX));
  }

  async #apply(lines: readonly string[]): Promise<void> {
    const result = await this.#machine.run('nft', ['-f', '-'], { input: `${lines.join('\n')}\n` });
    if (result.status !== 0)
      throw new SallyportError('ERR_FIREWALL', `nft did not take the rules of ${this.#table}: ${reasonOfResult(result)}.`);
  }

  async #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(change);
    this.#changing = turn.catch(() => undefined); // the caller hears of it
    await turn;
  }
}
