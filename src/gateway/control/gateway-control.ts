/** A running gateway as its administrator reaches it: {@link ControlTarget} at the other end of the control socket. */
import { PeerMisbehavedError } from '../../core/errors.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { ControlClient } from '../../node/control-socket.ts';
import type { BanListing } from '../main/ban-table.ts';
import type { ControlRequest } from './control-request.ts';
import type { ControlSession, ControlTarget, EventPage, GatewayStatus, UserStatus } from './control-target.ts';

/** The list of 10,000 users, each with a hundred routes. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;

/** A gateway that is busy answers late; one that hangs does not keep its administrator. */
const ANSWER_LIMIT: Millis = 30_000;

export class GatewayControl implements ControlTarget {
  readonly #client: ControlClient;

  /** Rejects with {@link NetworkError} if no gateway answers there; its cause has the system's word. */
  static async connect(file: string): Promise<GatewayControl> {
    return new GatewayControl(await ControlClient.connect(file, { maxReplyBytes: MAX_REPLY_BYTES }));
  }

  private constructor(client: ControlClient) {
    this.#client = client;
  }

  /** Resolves when the connection is over. */
  get closed(): Promise<void> {
    return this.#client.closed;
  }

  async status(): Promise<GatewayStatus> {
    return (await this.#ask({ verb: 'status' }, isObject)) as GatewayStatus;
  }

  async users(): Promise<readonly UserStatus[]> {
    return (await this.#ask({ verb: 'users' }, Array.isArray)) as readonly UserStatus[];
  }

  async sessions(): Promise<readonly ControlSession[]> {
    return (await this.#ask({ verb: 'sessions' }, Array.isArray)) as readonly ControlSession[];
  }

  async bans(): Promise<readonly BanListing[]> {
    return (await this.#ask({ verb: 'bans' }, Array.isArray)) as readonly BanListing[];
  }

  /** The gateway answers after `EVENT_WAIT` at the latest; an abort closes the connection. */
  async events(after: number | undefined, signal: AbortSignal): Promise<EventPage> {
    const close = () => this.close();
    signal.addEventListener('abort', close, { once: true });
    try {
      return (await this.#ask({ verb: 'events', ...(after !== undefined && { after }) }, isObject)) as EventPage;
    } finally {
      signal.removeEventListener('abort', close);
    }
  }

  async disconnectUser(name: string): Promise<number> {
    return (await this.#ask({ verb: 'disconnect-user', name }, (value) => typeof value === 'number')) as number;
  }

  async disconnectId(id: number): Promise<boolean> {
    return (await this.#ask({ verb: 'disconnect-id', id }, (value) => typeof value === 'boolean')) as boolean;
  }

  async unban(address: string): Promise<boolean> {
    return (await this.#ask({ verb: 'unban', address }, (value) => typeof value === 'boolean')) as boolean;
  }

  async reload(): Promise<void> {
    await this.#ask({ verb: 'reload' }, isNull);
  }

  async stop(): Promise<void> {
    await this.#ask({ verb: 'stop' }, isNull);
  }

  async maintain(isOn: boolean): Promise<void> {
    await this.#ask({ verb: 'maintain', isOn }, isNull);
  }

  close(): void {
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** `isAnswer` looks at the outside only: a socket that only root can make is believed what is inside. */
  async #ask(request: ControlRequest, isAnswer: (value: unknown) => boolean): Promise<unknown> {
    const reply = await this.#client.request(request, ANSWER_LIMIT);
    const value = typeof reply === 'object' && reply !== null && 'value' in reply ? reply.value : undefined;
    if (!isAnswer(value)) throw new PeerMisbehavedError('The gateway gave an answer that fits no question.');
    return value;
  }
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNull(value: unknown): boolean {
  return value === null;
}
