/**
 * Calls between the gateway's processes: each side serves some functions and calls the other's, over a channel that keeps the order.
 *
 *   call    {id, name, args} ─►            ◄─ {id, value} or {id, error}
 *   notice  {name, args} ─►                no answer; a socket may travel with it
 *
 * Values are plain data, bytes and {@link Secret}; errors keep their class. What the other side may call, and with what, is checked by
 * {@link Guards} where the other side may have fallen into an attacker's hands (a worker).
 */
import type { SendHandle } from 'node:child_process';
import { MisuseError, NetworkError, PeerMisbehavedError, SallyportError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { type PlainError, plainError, revivedError } from '../../node/plain-error.ts';

/** The way to the other process. */
export interface Channel {
  /** `sent` is called when it has left, or cannot. False: the other side does not keep up. */
  send(message: unknown, handle: SendHandle | undefined, sent: () => void): boolean;
  onMessage(listener: (message: unknown, handle: unknown) => void): void;
  /** The other process is gone. */
  onClose(listener: () => void): void;
}

/** A function that the other side may call. `handle`: the socket that came with a notice. */
export type Served = (...args: never[]) => unknown;

/** For each name, what checks and returns the arguments; throws for what cannot be. A name without one cannot be called. */
export type Guards = Readonly<Record<string, (args: unknown) => readonly unknown[]>>;

type RpcMessage =
  | { readonly type: 'call'; readonly id: number; readonly name: string; readonly args: readonly unknown[] }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'refusal'; readonly id: number; readonly error: PlainError }
  | { readonly type: 'notice'; readonly name: string; readonly args: readonly unknown[] };

/** Calls of the other side that are under way: more than any worker has connections. */
const MAX_UNDER_WAY = 16_384;

/** Notices that may be lost, on their way at once: bursts of packets, so some megabytes. */
const MAX_OFFERS = 64;

/** Characters that are shown of a name that nobody serves. */
const MAX_SHOWN_NAME = 32;

/** Depth of values: no message of ours has half of it. */
const MAX_DEPTH = 16;

interface Call {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface RpcOptions {
  /** Who is at the other end, for people: `worker 2`. */
  readonly peer: string;
  readonly serves: Readonly<Record<string, Served>>;
  /** Undefined: the other side is trusted. */
  readonly guards?: Guards;
  /** The other side broke the rules, or one of our functions for notices failed. */
  readonly onFault: (error: SallyportError) => void;
}

export class Rpc {
  readonly #channel: Channel;
  readonly #options: RpcOptions;
  readonly #calls = new Map<number, Call>();
  #lastId = 0;
  #underWay = 0;
  #offers = 0;
  /** Offers that the other side had no time for. */
  lost = 0;
  #isClosed = false;

  constructor(channel: Channel, options: RpcOptions) {
    this.#channel = channel;
    this.#options = options;
    channel.onMessage((message, handle) => this.#onMessage(message as RpcMessage, handle));
    channel.onClose(() => this.#onClose());
  }

  /** Rejects with what the other side threw, and with {@link NetworkError} when it is gone. */
  call(name: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#isClosed) return Promise.reject(this.#gone());
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#calls.set(id, { resolve, reject });
    this.#send({ type: 'call', id, name, args });
    return promise;
  }

  /** Tells the other side something, with a socket perhaps: `sent` says when this process needs it no more. False: the other side does not keep up. */
  notify(name: string, args: readonly unknown[], handle?: SendHandle, sent: () => void = nothing): boolean {
    if (!this.#isClosed) return this.#send({ type: 'notice', name, args }, handle, sent);
    sent();
    return false;
  }

  /** Tells the other side what may be lost, as packets may: it is, while {@link MAX_OFFERS} of them have not left. */
  offer(name: string, args: readonly unknown[]): void {
    if (this.#offers >= MAX_OFFERS) {
      this.lost++;
      return;
    }
    this.#offers++;
    this.notify(name, args, undefined, () => {
      this.#offers--;
    });
  }

  /** The other side's functions as an object: each of its methods is a {@link call}. */
  remote<S extends object>(): S {
    const methods = new Map<string, (...args: unknown[]) => Promise<unknown>>();
    return new Proxy({} as S, {
      get: (_, name) => {
        if (typeof name !== 'string' || name === 'then') return undefined; // it is awaited now and then: it is no promise
        let method = methods.get(name);
        if (method === undefined) {
          method = (...args) => this.call(name, args);
          methods.set(name, method);
        }
        return method;
      },
    });
  }

  #send(message: RpcMessage, handle?: SendHandle, sent: () => void = nothing): boolean {
    return this.#channel.send(toWire(message, 0), handle, sent);
  }

  #onMessage(wire: RpcMessage, handle: unknown): void {
    let message: RpcMessage;
    try {
      message = fromWire(wire, 0) as RpcMessage;
    } catch (error) {
      this.#options.onFault(revivedError(plainError(error)));
      return;
    }
    switch (message.type) {
      case 'call':
        this.#serve(message.id, message.name, message.args);
        return;
      case 'notice':
        this.#take(message.name, message.args, handle);
        return;
      case 'answer':
        this.#settle(message.id)?.resolve(message.value);
        return;
      case 'refusal':
        this.#settle(message.id)?.reject(revivedError(message.error));
        return;
      default:
        this.#options.onFault(new PeerMisbehavedError(`${this.#options.peer} sent a message of no known kind.`));
    }
  }

  #serve(id: number, name: string, args: readonly unknown[]): void {
    if (this.#underWay >= MAX_UNDER_WAY) {
      this.#options.onFault(new PeerMisbehavedError(`${this.#options.peer} has more than ${MAX_UNDER_WAY} calls under way.`));
      return;
    }
    this.#underWay++;
    void this.#answer(id, name, args);
  }

  async #answer(id: number, name: string, args: readonly unknown[]): Promise<void> {
    let answer: RpcMessage;
    try {
      answer = { type: 'answer', id, value: await this.#run(name, args, undefined) };
    } catch (error) {
      answer = { type: 'refusal', id, error: plainError(error) };
    }
    this.#underWay--;
    if (!this.#isClosed) this.#send(answer);
  }

  #take(name: string, args: readonly unknown[], handle: unknown): void {
    this.#run(name, args, handle).catch((error: unknown) => this.#options.onFault(revivedError(plainError(error))));
  }

  async #run(name: string, args: readonly unknown[], handle: unknown): Promise<unknown> {
    const { serves, guards, peer } = this.#options;
    const served = Object.hasOwn(serves, name) ? serves[name] : undefined;
    const guard = guards === undefined ? identity : guards[name];
    if (served === undefined || guard === undefined)
      throw new MisuseError(`${peer} called ${JSON.stringify(String(name).slice(0, MAX_SHOWN_NAME))}, which is not for it`);
    const checked = this.#checked(name, guard, args);
    return await (served as (...all: unknown[]) => unknown)(...checked, ...(handle === undefined ? [] : [handle]));
  }

  /** Whatever a guard throws, no value of the other side's gets into a message or a log by it. */
  #checked(name: string, guard: (args: unknown) => readonly unknown[], args: readonly unknown[]): readonly unknown[] {
    try {
      return guard(args);
    } catch (cause) {
      const why = cause instanceof SallyportError ? cause.message : 'its arguments cannot be';
      throw new PeerMisbehavedError(`${this.#options.peer} called ${JSON.stringify(name)}: ${why}`, { cause });
    }
  }

  #settle(id: number): Call | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  #onClose(): void {
    this.#isClosed = true;
    for (const { reject } of this.#calls.values()) reject(this.#gone());
    this.#calls.clear();
  }

  #gone(): NetworkError {
    return new NetworkError(`${this.#options.peer} has ended.`, { code: 'ERR_PROCESS_GONE' });
  }
}

function nothing(): void {}

function identity(args: unknown): readonly unknown[] {
  return args as readonly unknown[];
}

/** How a {@link Secret} travels: its class does not survive the way. */
interface WireSecret {
  readonly $secret: string;
}

function toWire(value: unknown, depth: number): unknown {
  if (value instanceof Secret) return { $secret: value.reveal() } satisfies WireSecret;
  return mapped(value, depth, toWire);
}

function fromWire(value: unknown, depth: number): unknown {
  if (typeof value === 'object' && value !== null && '$secret' in value && typeof value.$secret === 'string')
    return new Secret(value.$secret);
  return mapped(value, depth, fromWire);
}

/** Arrays and plain objects are gone through; everything else passes as it is. */
function mapped(value: unknown, depth: number, map: (value: unknown, depth: number) => unknown): unknown {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || value instanceof Map) return value;
  if (depth >= MAX_DEPTH) throw new PeerMisbehavedError(`a message between processes is deeper than ${MAX_DEPTH} values`);
  if (Array.isArray(value)) return value.map((member) => map(member, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, map(member, depth + 1)]));
}
