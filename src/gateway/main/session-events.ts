/**
 * Who comes and goes, for those who watch (`occtl show events`): the newest events, numbered, and a way to wait for the next one.
 *
 * Holds no timer: how long a watcher waits is said by its signal.
 */
import { formatIp } from '../../core/wire/ip-address.ts';
import type { EventPage, SessionEvent } from '../control/control-target.ts';
import { addressOf, type Tunnel } from './session-table.ts';

/** Events that are kept; a watcher that lags further behind is told how many it has missed. */
export const MAX_KEPT_EVENTS = 1024;

/** An event before it has its number. */
export type NewSessionEvent = SessionEvent extends infer Event ? (Event extends SessionEvent ? Omit<Event, 'number'> : never) : never;

export class SessionEvents {
  readonly #kept: SessionEvent[] = [];
  /** The number that the next event gets; the first is 1. */
  #next = 1;
  readonly #watchers = new Set<() => void>();

  publish(event: NewSessionEvent): void {
    this.#kept.push({ ...event, number: this.#next++ });
    if (this.#kept.length > MAX_KEPT_EVENTS) this.#kept.shift();
    for (const watcher of [...this.#watchers]) watcher();
  }

  /**
   * What has happened since the event of that number: at once if something has, else as soon as it does. Undefined: nothing but the number of the
   * newest event, at once. When the signal aborts, what it resolves with is empty.
   */
  async after(number: number | undefined, signal: AbortSignal): Promise<EventPage> {
    if (number === undefined) return { events: [], last: this.#next - 1, missed: 0 };
    // A number from before a restart of the gateway: all that is known is news.
    const known = number < this.#next ? number : 0;
    if (known === this.#next - 1 && !signal.aborted) await this.#happening(signal);
    const events = this.#kept.filter((event) => event.number > known);
    const first = events[0]?.number ?? this.#next;
    return { events, last: this.#next - 1, missed: first - known - 1 };
  }

  #happening(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#watchers.add(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    return promise.finally(() => this.#watchers.delete(resolve));
  }
}

type EventFacts = Pick<SessionEvent, 'at' | 'id' | 'user' | 'host' | 'remote' | 'address'>;

/** What all events of a tunnel say. */
export function eventFacts({ connection, session, lease }: Tunnel, at: number): EventFacts {
  const address = lease.ipv4?.address ?? lease.ipv6?.address;
  return {
    at,
    id: connection.id,
    user: session.user,
    host: session.host ?? 'default',
    remote: formatIp(addressOf(connection).address),
    address: address === undefined ? '' : formatIp(address),
  };
}
