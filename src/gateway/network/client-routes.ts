/**
 * Routes that belong to sessions: networks behind clients (`iroute`), and addresses that lie in no pool.
 *
 * All clients share one device, so a network has one route however many sessions claim it: it comes with the first and goes with the last. Which
 * client a packet is for is decided by the worker that reads it. The device's end takes what is left with it.
 */
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { type Cidr, formatCidr, networkOf } from '../../core/wire/ip-address.ts';
import { type Machine, thisMachine } from '../../node/network/machine.ts';
import { reasonOfResult } from '../../node/processes/run-program.ts';
import { fillRouteCommand, type RouteCommand } from './route-command.ts';

export interface ClientRoutesOptions {
  readonly device: string;
  /** False: there is no interface, and routes are kept in mind only. Default: true. */
  readonly hasInterface?: boolean;
  /** {@link ClientRoutes.networks} are others than before. */
  readonly onChange?: () => void;
  readonly log: Logger;
  /** The administrator's commands; undefined: `ip route`. */
  readonly addCommand?: RouteCommand;
  readonly deleteCommand?: RouteCommand;
  readonly machine?: Machine;
}

/** Networks of one session. */
export const MAX_SESSION_ROUTES = 96;

/** A command of the administrator's is killed after this: log-ins wait for it. */
const MAX_COMMAND_TIME: Millis = 30_000;

/** A route, and the sessions that want it. */
interface Claim {
  readonly network: Cidr;
  readonly kind: 'network' | 'address';
  readonly sessions: Set<string>;
}

export class ClientRoutes {
  readonly #options: ClientRoutesOptions;
  readonly #machine: Machine;
  /** By network, as text. */
  readonly #claims = new Map<string, Claim>();
  /** Routes change one after the other: an add must not overtake the delete before it. */
  #changing: Promise<void> = Promise.resolve();

  constructor(options: ClientRoutesOptions) {
    this.#options = options;
    this.#machine = options.machine ?? thisMachine;
  }

  /**
   * Adds the routes of a session, on top of those it has: to networks behind it, by the administrator's command where there is one, and to addresses of
   * its own that lie in no pool. Rejects with what could not be added; then nothing of this call is there.
   */
  async add(session: string, networks: readonly Cidr[], addresses: readonly Cidr[] = []): Promise<void> {
    if (networks.length > MAX_SESSION_ROUTES)
      throw new SallyportError('ERR_ROUTES', `A session has at most ${MAX_SESSION_ROUTES} networks.`);
    await this.#inTurn(async () => {
      const added: Cidr[] = [];
      try {
        for (const [kind, members] of [
          ['network', networks],
          ['address', addresses],
        ] as const) {
          for (const network of members.map(networkOf)) if (await this.#claim(session, network, kind)) added.push(network);
        }
      } catch (error) {
        for (const network of added) await this.#giveUp(session, network);
        throw error;
      }
    });
  }

  /** Takes all routes of a session away. What cannot be taken away is logged. Safe to call twice. */
  async remove(session: string): Promise<void> {
    await this.#inTurn(async () => {
      const networks = [...this.#claims.values()].filter(({ sessions }) => sessions.has(session)).map(({ network }) => network);
      for (const network of networks) await this.#giveUp(session, network);
    });
  }

  /** All networks and addresses that have a route. */
  get networks(): readonly Cidr[] {
    return [...this.#claims.values()].map(({ network }) => network);
  }

  /** Networks behind the clients of all other sessions: what `expose-iroutes` tells this one. */
  othersThan(session: string): readonly Cidr[] {
    return [...this.#claims.values()]
      .filter(({ kind, sessions }) => kind === 'network' && !sessions.has(session))
      .map(({ network }) => network);
  }

  /** False: the session has it already. */
  async #claim(session: string, network: Cidr, kind: Claim['kind']): Promise<boolean> {
    const text = formatCidr(network);
    const claim = this.#claims.get(text);
    if (claim?.sessions.has(session)) return false;
    if (claim !== undefined) {
      claim.sessions.add(session);
      return true;
    }
    await this.#addRoute(network, kind);
    this.#claims.set(text, { network, kind, sessions: new Set([session]) });
    this.#options.onChange?.();
    return true;
  }

  async #addRoute(network: Cidr, kind: Claim['kind']): Promise<void> {
    const { device, hasInterface = true } = this.#options;
    if (!hasInterface) return;
    const text = formatCidr(network);
    const addCommand = kind === 'network' ? this.#options.addCommand : undefined;
    const [program, ...args] = addCommand === undefined ? ipRoute('add', text, device) : fillRouteCommand(addCommand, network, device);
    const result = await this.#machine.run(program, args, { timeout: MAX_COMMAND_TIME });
    if (result.status !== 0) {
      throw new SallyportError(
        'ERR_ROUTES',
        `The route to ${text} by ${device} could not be added: ${program}: ${reasonOfResult(result)}.`,
      );
    }
  }

  async #giveUp(session: string, network: Cidr): Promise<void> {
    const text = formatCidr(network);
    const claim = this.#claims.get(text);
    if (claim === undefined || !claim.sessions.delete(session) || claim.sessions.size > 0) return;
    this.#claims.delete(text);
    this.#options.onChange?.();
    if (this.#options.hasInterface !== false) await this.#deleteRoute(claim);
  }

  async #deleteRoute({ network, kind }: Claim): Promise<void> {
    const { device, log } = this.#options;
    const text = formatCidr(network);
    const deleteCommand = kind === 'network' ? this.#options.deleteCommand : undefined;
    const [program, ...args] =
      deleteCommand === undefined ? ipRoute('delete', text, device) : fillRouteCommand(deleteCommand, network, device);
    const reason = await this.#machine.run(program, args, { timeout: MAX_COMMAND_TIME }).then(
      (result) => (result.status === 0 ? undefined : reasonOfResult(result)),
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (reason !== undefined) log.log('warn', 'route not deleted', { route: text, device, reason });
  }

  async #inTurn(change: () => Promise<void>): Promise<void> {
    const turn = this.#changing.then(change);
    this.#changing = turn.catch(() => undefined); // the caller hears of it
    await turn;
  }
}

function ipRoute(verb: 'add' | 'delete', network: string, device: string): RouteCommand {
  return ['ip', 'route', verb, network, 'dev', device];
}
