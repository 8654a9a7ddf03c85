/**
 * The outer end of a client's TCP connection: dials, and then moves bytes both ways.
 *
 *   client ◄─ stack ─► inner socket ◄── pipes ──► outer socket ─► host
 *
 * Back-pressure goes through: what the host does not take stays in the stack, whose window closes; what the client does not take stays in the kernel,
 * whose window closes. An end of one side is an end of that side (half-close), a reset a reset.
 */
import net, { type Socket } from 'node:net';
import type { TcpConnection } from '../../core/ip/tcp/connection.ts';
import { DIAL_TIMEOUT } from '../../core/nat/limits.ts';
import type { OuterFailure } from '../../core/nat/nat.ts';
import type { TcpFlow } from '../../core/nat/session.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { type Endpoint, formatIp } from '../../core/wire/ip-address.ts';
import type { StackDevice } from '../../node/devices/stack-device.ts';
import { StackSocket } from '../../node/ip/stack-socket.ts';
import { isOwnLimit, outerFailureOf } from './outer-failure.ts';
import { isSameHost } from './own-host.ts';

/** RFC 9293 §3.8.4: silence after which a peer is asked whether it is there. Less than routers on the way keep a silent connection. */
const KEEP_ALIVE: Millis = 240_000;

export interface TcpOutletOptions {
  readonly flow: TcpFlow;
  readonly device: StackDevice;
  /** Without a byte either way, both ends are reset after this. */
  readonly idle: Millis;
  /** The outer socket is there: the client's connection; undefined: it is wanted no more. */
  readonly onDialed: () => TcpConnection | undefined;
  readonly onFailed: (why: OuterFailure) => void;
  /** Both ends are gone. */
  readonly onEnded: () => void;
  /** This process has no descriptors left. */
  readonly onOwnLimit: () => void;
}

export class TcpOutlet {
  readonly #options: TcpOutletOptions;
  #outer: Socket | undefined;
  #inner: StackSocket | undefined;
  #isClosed = false;

  constructor(options: TcpOutletOptions) {
    this.#options = options;
  }

  dial(): void {
    this.#dial(0, 'host-unreachable');
  }

  /** Resets both ends. Safe to call twice. */
  close(): void {
    this.#isClosed = true;
    this.#outer?.resetAndDestroy();
    this.#inner?.resetAndDestroy();
  }

  #dial(index: number, before: OuterFailure): void {
    const { flow, onFailed, onEnded, onOwnLimit } = this.#options;
    const target = flow.targets[index];
    if (target === undefined) {
      onFailed(before);
      onEnded();
      return;
    }
    const outer = net.connect(optionsOf(target));
    this.#outer = outer;
    const next = (why: OuterFailure) => {
      outer.removeAllListeners().on('error', () => undefined);
      outer.destroy();
      if (!this.#isClosed) this.#dial(index + 1, why);
    };
    outer.setTimeout(DIAL_TIMEOUT, () => next('timed-out'));
    outer.once('error', (error) => {
      if (isOwnLimit(error)) onOwnLimit();
      next(outerFailureOf(error));
    });
    outer.once('connect', () => {
      if (!flow.isService && isSameHost(outer.localAddress, outer.remoteAddress)) next('prohibited');
      else this.#connected(outer);
    });
  }

  #connected(outer: Socket): void {
    const { device, idle, onDialed, onEnded } = this.#options;
    outer.removeAllListeners();
    outer.setTimeout(0);
    const connection = this.#isClosed ? undefined : onDialed();
    if (connection === undefined) {
      outer.on('error', () => undefined);
      outer.resetAndDestroy();
      onEnded();
      return;
    }
    const inner = StackSocket.accepted(device, connection, {
      ...{ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE },
    });
    this.#inner = inner;
    device.wake();
    inner.setTimeout(idle, () => this.close());
    inner.on('error', () => outer.resetAndDestroy());
    outer.on('error', () => inner.resetAndDestroy());
    let open = 2;
    const gone = () => {
      open--;
      if (open === 0) onEnded();
    };
    inner.once('close', () => {
      // Without an end of both sides there is nobody for what the host still sends.
      if (!inner.readableEnded || !inner.writableFinished) outer.resetAndDestroy();
      gone();
    });
    outer.once('close', () => {
      if (!outer.readableEnded || !outer.writableFinished) inner.resetAndDestroy();
      gone();
    });
    inner.pipe(outer);
    outer.pipe(inner);
  }
}

function optionsOf({ address, port }: Endpoint): net.TcpNetConnectOpts {
  return { host: formatIp(address), port, allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE };
}
