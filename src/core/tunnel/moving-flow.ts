/**
 * A gateway's client whose UDP flow comes from elsewhere all at once: a NAT has changed its port, or the client its network.
 *
 *   opened ─► arriving ── its first datagram opens under the keys in use, and was not seen before ──────────────► the client's
 *                │
 *                └─ the engine has the keys and the numbers that were seen: it is asked ─► moving ── moved ─► the client's
 *
 * Whose channel it is, and what else a flow may begin with, is the vendor's. At most one flow arrives, and one is asked for.
 */
import type { Path, TunnelSink } from './machine.ts';

export interface Flow {
  readonly path: Path;
  /** The engine can carry it. */
  readonly engine: boolean;
}

/** The channel that a flow may be of. */
export interface MovingChannel<Owner> {
  /** What {@link MovingFlow.moved} gives back. */
  readonly owner: Owner;
  /** Where it is now; undefined: nowhere. */
  readonly path: Path | undefined;
  /** The engine opens its datagrams. */
  readonly isHandedOver: boolean;
  /** True: the datagram, which has come by the arriving flow, is the client's. */
  readonly receive: () => boolean;
}

export class MovingFlow<Owner> {
  /** Has not said anything yet. */
  #arriving: Flow | undefined;
  /** Where the engine is asked to move to, and whose that is. */
  #moving: { readonly flow: Flow; readonly owner: Owner } | undefined;

  /** A new flow, of which nothing is known but that it may be this client's. The one before, which has said nothing, makes room. */
  opened(flow: Flow, out: TunnelSink): void {
    if (this.#arriving !== undefined) out.event({ type: 'drop', path: this.#arriving.path });
    this.#arriving = flow;
  }

  get arriving(): Path | undefined {
    return this.#arriving?.path;
  }

  /** What comes by it the engine has opened: it has moved already, and the notice of that follows. */
  get moving(): Path | undefined {
    return this.#moving?.flow.path;
  }

  /** The flow that arrives by this path, of which something has come: it arrives no more. */
  take(path: Path): Flow | undefined {
    const arriving = this.#arriving;
    if (arriving?.path !== path) return undefined;
    this.#arriving = undefined;
    return arriving;
  }

  /** The first datagram of a flow. True: the flow is the client's. Else it is dropped, unless the engine is asked: `moved` says so then. */
  admit(flow: Flow, datagram: Uint8Array, channel: MovingChannel<Owner> | undefined, out: TunnelSink): boolean {
    const { path, engine } = flow;
    if (channel?.isHandedOver === false && channel.receive()) return true;
    // Only the engine can tell whether it opens.
    const isAsked = channel?.isHandedOver === true && channel.path !== undefined && engine && this.#moving === undefined;
    if (isAsked) {
      this.#moving = { flow, owner: channel.owner };
      out.event({ type: 'move', from: channel.path, to: path, datagram });
    } else out.event({ type: 'drop', path });
    return false;
  }

  /** The engine has found that it opens. Undefined: that was about another flow. */
  moved(path: Path): { readonly flow: Flow; readonly owner: Owner } | undefined {
    const moving = this.#moving;
    if (moving?.flow.path !== path) return undefined;
    this.#moving = undefined;
    return moving;
  }

  lost(path: Path): void {
    if (path === this.arriving) this.#arriving = undefined;
    if (path === this.moving) this.#moving = undefined;
  }

  /** There is nothing any more that could move. */
  dropMoving(out: TunnelSink): void {
    if (this.#moving !== undefined) out.event({ type: 'drop', path: this.#moving.flow.path });
    this.#moving = undefined;
  }

  /** For good. */
  drop(out: TunnelSink): void {
    if (this.#arriving !== undefined) out.event({ type: 'drop', path: this.#arriving.path });
    this.#arriving = undefined;
    this.dropMoving(out);
  }
}
