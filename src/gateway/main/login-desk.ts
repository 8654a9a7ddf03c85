/**
 * What workers may ask of main before a client has a session: may it come in, what is it asked, whose cookie does it bring. Questions go on to `auth`;
 * points for bad behaviour are counted here.
 */
import type { AuthStep, LoginHints } from '../../core/auth/dialogue.ts';
import type { FormValues } from '../../core/auth/form.ts';
import { MisuseError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Secret } from '../../core/secret.ts';
import { type Endpoint, formatIp, type IpAddress } from '../../core/wire/ip-address.ts';
import type { GatewayConfig } from '../config/gateway-config.ts';
import type { AuthService } from '../processes/auth-service.ts';
import type { WorkerSession } from '../processes/worker-contract.ts';
import type { BanTable } from './ban-table.ts';
import { addressOf, type Connection, knownBy, type SessionTable } from './session-table.ts';
import type { Statistics } from './statistics.ts';

export interface LoginDeskWorld {
  /** The configuration of now. */
  readonly config: () => GatewayConfig;
  readonly auth: AuthService;
  readonly table: SessionTable;
  readonly bans: BanTable;
  readonly statistics: Statistics;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class LoginDesk {
  readonly #world: LoginDeskWorld;
  readonly #beganAt = new WeakMap<Connection, number>();
  /** Questions to the back ends that are not answered yet. */
  underWay = 0;

  constructor(world: LoginDeskWorld) {
    this.#world = world;
  }

  /** What workers may call, by name; the first argument is the worker's number. */
  services(): Readonly<Record<string, (worker: number, ...args: never[]) => unknown>> {
    return {
      admits: (worker, id: number, remote: Endpoint, local: Endpoint) => this.admits(worker, id, { remote, local }),
      begin: (worker, id: number, hints: LoginHints) => this.begin(worker, id, hints),
      answer: (worker, id: number, dialogue: string, values: FormValues) => this.answer(worker, id, dialogue, values),
      knows: (worker, id: number, dialogue: string) => this.knows(worker, id, dialogue),
      session: (worker, id: number, cookie: Secret) => this.session(worker, id, cookie),
      rebound: (worker, id: number, session: string, key: Uint8Array) => this.rebound(worker, id, session, key),
    };
  }

  /** A connection whose real addresses are known only now. */
  admits(worker: number, id: number, { remote, local }: { readonly remote: Endpoint; readonly local: Endpoint }): boolean {
    const connection = this.#world.table.connectionOf(worker, id);
    if (connection.remote !== undefined) throw new MisuseError(`connection ${id} has an address already`);
    connection.remote = remote;
    connection.local = local; // where the client has come to, which is where its datagrams come to as well
    if (!this.mayKnock(remote.address)) return false;
    this.#world.table.waiting.enter(id, remote.address);
    return true;
  }

  /** Counts a connection from there; false: it is to be refused. */
  mayKnock(remote: IpAddress): boolean {
    const { bans, config, table, now, log } = this.#world;
    if (bans.isBanned(remote, now())) {
      log.log('debug', 'refused a banned address', { address: formatIp(remote) });
      return false;
    }
    if (!table.waiting.hasRoom(remote)) {
      log.log('debug', 'refused an address with too many connections', { address: formatIp(remote), all: table.waiting.size });
      return false;
    }
    this.#score(remote, config().bans.pointsConnection);
    return true;
  }

  async begin(worker: number, id: number, hints: LoginHints): Promise<{ readonly dialogue: string; readonly step: AuthStep }> {
    const connection = this.#world.table.connectionOf(worker, id);
    const remote = addressOf(connection);
    connection.state = 'authenticating';
    connection.userAgent = hints.userAgent;
    connection.host = hints.host;
    this.#beganAt.set(connection, this.#world.now());
    const begun = await this.#asked(this.#world.auth.begin({ ...hints, remote }));
    this.#stepped(connection, begun.step);
    return begun;
  }

  async answer(worker: number, id: number, dialogue: string, values: FormValues): Promise<AuthStep | undefined> {
    const connection = this.#world.table.connectionOf(worker, id);
    const step = await this.#asked(this.#world.auth.answer(dialogue, values, addressOf(connection).address));
    if (step !== undefined) this.#stepped(connection, step);
    return step;
  }

  async knows(worker: number, id: number, dialogue: string): Promise<boolean> {
    this.#world.table.connectionOf(worker, id);
    return this.#world.auth.knows(dialogue);
  }

  async session(worker: number, id: number, cookie: Secret): Promise<WorkerSession | undefined> {
    const connection = this.#world.table.connectionOf(worker, id);
    if (connection.tunnel !== undefined) throw new MisuseError(`connection ${id} has a tunnel already`);
    const known = await this.#world.auth.session(cookie, addressOf(connection).address);
    if (connection.tunnel !== undefined) throw new MisuseError(`connection ${id} has a tunnel already`);
    connection.known = known;
    if (known === undefined) return undefined;
    connection.state = 'authenticated';
    const { id: session, user, group, boundKey } = known;
    return { id: session, user, ...(group !== undefined && { group }), ...(boundKey !== undefined && { boundKey }) };
  }

  async rebound(worker: number, id: number, session: string, key: Uint8Array): Promise<void> {
    knownBy(this.#world.table, worker, id, session);
    await this.#world.auth.rebound(session, key);
  }

  /** Points for bad behaviour: a wrong password. */
  loginFailed(remote: IpAddress): void {
    const { statistics, config, now } = this.#world;
    statistics.loginFailed(now());
    this.#score(remote, config().bans.pointsWrongPassword);
  }

  async #asked<T>(answer: Promise<T>): Promise<T> {
    this.underWay++;
    try {
      return await answer;
    } finally {
      this.underWay--;
    }
  }

  #stepped(connection: Connection, step: AuthStep): void {
    if (step.type !== 'admitted' || step.isPass === true) return; // by a pass somebody logs in next
    const { statistics, now } = this.#world;
    statistics.loggedIn(now() - (this.#beganAt.get(connection) ?? now()), now());
    this.#beganAt.delete(connection);
  }

  #score(remote: IpAddress, points: number): void {
    const { bans, now, log } = this.#world;
    const verdict = bans.add(remote, points, now());
    if (verdict === 'banned') log.log('info', 'address banned', { address: formatIp(remote) });
    else if (verdict === 'exempt') log.log('info', 'not applying ban to local address', { address: formatIp(remote) });
  }
}
