/** What a vendor's log-in may ask in a worker: everything goes to main, by the number of the connection. */
import type { AuthDialogue } from '../../core/auth/dialogue.ts';
import type { CryptoProvider } from '../../core/crypto/provider.ts';
import type { Logger } from '../../core/log.ts';
import type { ExpectedFlow, GatewaySession, HostPage, LeaseWishes, Visitor } from '../../core/protocols/gateway-protocol.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { DeskService, Lease, WorkerSession } from '../processes/worker-contract.ts';

export interface WorkerVisitorOptions {
  readonly connection: number;
  readonly desk: DeskService;
  readonly host: HostPage;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly now: () => Millis;
  /** Keeps what is expected of a session. */
  readonly expect: (session: string, flow: ExpectedFlow) => void;
}

/** A session, and the lease that it has got on this connection. */
export interface LeasedSession extends GatewaySession {
  readonly lastLease: Lease | undefined;
}

export function workerVisitor({ connection, desk, host, crypto, log, now, expect }: WorkerVisitorOptions): Visitor {
  const dialogueOf = (id: string): AuthDialogue => ({
    id,
    next: async (values) =>
      (await desk.answer(connection, id, values)) ?? { type: 'refused', message: 'The log-in took too long. Begin again.' },
  });
  return {
    ...{ host, crypto, log, now },
    timeOfDay: () => Date.now(),
    begin: async (hints) => {
      const { dialogue, step } = await desk.begin(connection, hints);
      return { dialogue: dialogueOf(dialogue), step };
    },
    resume: async (id) => ((await desk.knows(connection, id)) ? dialogueOf(id) : undefined),
    session: async (cookie) => {
      const known = await desk.session(connection, cookie);
      return known && new WorkerGatewaySession({ connection, desk, now, expect }, known);
    },
  };
}

type SessionWorld = Pick<WorkerVisitorOptions, 'connection' | 'desk' | 'now' | 'expect'>;

class WorkerGatewaySession implements LeasedSession {
  readonly user: string;
  readonly group?: string;
  readonly boundKey?: Uint8Array;
  readonly #world: SessionWorld;
  readonly #id: string;
  lastLease: Lease | undefined;

  constructor(world: SessionWorld, { id, user, group, boundKey }: WorkerSession) {
    this.#world = world;
    this.#id = id;
    this.user = user;
    if (group !== undefined) this.group = group;
    if (boundKey !== undefined) this.boundKey = boundKey;
  }

  rebind(key: Uint8Array): Promise<void> {
    const { desk, connection } = this.#world;
    return desk.rebound(connection, this.#id, key);
  }

  async preview(wishes: LeaseWishes): Promise<Lease['terms']> {
    const { desk, connection, now } = this.#world;
    return termsStartingAt(await desk.preview(connection, this.#id, wishes), now());
  }

  async lease(wishes: LeaseWishes): Promise<Lease['terms']> {
    const { desk, connection, now } = this.#world;
    this.lastLease = startingAt(await desk.lease(connection, this.#id, wishes), now());
    return this.lastLease.terms;
  }

  async expect(flow: ExpectedFlow): Promise<boolean> {
    const { desk, connection, expect } = this.#world;
    const isExpected = await desk.expects(connection, this.#id, flow.datagramId);
    if (isExpected) expect(this.#id, flow);
    return isExpected;
  }

  async end(): Promise<void> {
    const { desk, connection } = this.#world;
    await desk.endSession(connection, this.#id);
  }
}

/** A lease with its times by our clock. */
function startingAt({ terms, ...lease }: Lease, now: Millis): Lease {
  return { ...lease, terms: termsStartingAt(terms, now) };
}

function termsStartingAt(terms: Lease['terms'], now: Millis): Lease['terms'] {
  const { expiresAt } = terms.config;
  return expiresAt === undefined ? terms : { ...terms, config: { ...terms.config, expiresAt: now + expiresAt } };
}
