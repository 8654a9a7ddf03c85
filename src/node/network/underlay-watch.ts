/**
 * Watches the network underneath a tunnel: says when the way to the gateway changes, so that the session can reconnect at once instead of
 * waiting for a dead peer, and the configurator can repair the gateway's route.
 *
 * Read first: ip-monitor(8); wayTo() in routes.ts.
 *
 *   `ip monitor` prints anything ─► wait for the rest of the burst ─► read the routes ─► changed? ─► onChange
 *   nothing for a while, or no monitor ───────────────────────────────┘
 *
 * What is compared is how the kernel would reach the gateway, so the tunnel's own routes and their repair are no changes. Linux only.
 */
import { spawn } from 'node:child_process';
import { isDeepStrictEqual } from 'node:util';
import { type Logger, silentLogger } from '../../core/log.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp, type IpAddress, sameIp } from '../../core/wire/ip-address.ts';
import { programEnvironment } from '../processes/run-program.ts';
import { readLinks, readRoutes } from './facts.ts';
import { type Machine, thisMachine } from './machine.ts';
import { hostNetwork, type MachineRoute, sameNetwork, wayTo } from './routes.ts';

/** How the gateway is reached outside of the tunnel. */
export interface UnderlayWay {
  readonly device: string;
  readonly via?: string;
}

export interface UnderlayState {
  /** How it would be reached if nobody had made a route just for it; absent: not at all. */
  readonly way?: UnderlayWay;
  /** Packets to the gateway would be lost now, or would enter the tunnel: its route is missing, or the network is. */
  readonly isLost: boolean;
  /** The address that the tunnel's sockets are bound to is no longer this machine's. */
  readonly isAddressGone: boolean;
}

export interface UnderlayWatchOptions {
  readonly gateway: IpAddress;
  /** The tunnel's device: routes through it are not the underlay's. */
  readonly device: string;
  /** The address that the tunnel's sockets have at this end. */
  readonly localAddress?: IpAddress;
  readonly machine?: Machine;
  readonly log?: Logger;
  /** Tells of changes of links, addresses and routes; `ip monitor` if absent. */
  readonly monitor?: NetworkMonitor;
}

export interface UnderlayWatch {
  /** What was seen last. */
  readonly state: UnderlayState;
  /** Stops watching; nothing is said after this. Safe to call twice. */
  close(): Promise<void>;
}

/** Calls `onEvent` when something about the network has changed, and `onEnd` if it cannot go on. Returns how to stop it. */
export type NetworkMonitor = (onEvent: () => void, onEnd: (reason: string) => void) => { stop(): void };

/** A change comes as a burst of events: a link, its addresses, its routes. */
const BURST: Millis = 200;
/** Looking without being told to: in case an event was missed, or nothing tells us. */
const POLL: Millis = 30_000;
const POLL_WITHOUT_MONITOR: Millis = 5_000;

/** Starts to watch; resolves when the state at the start is known. Close what it returns. */
export async function watchUnderlay(options: UnderlayWatchOptions, onChange: (state: UnderlayState) => void): Promise<UnderlayWatch> {
  const watch = new Watch(options, onChange);
  await watch.start();
  return watch;
}

class Watch implements UnderlayWatch {
  readonly #options: UnderlayWatchOptions;
  readonly #machine: Machine;
  readonly #log: Logger;
  readonly #onChange: (state: UnderlayState) => void;
  #state: UnderlayState = { isLost: true, isAddressGone: false };
  #monitor: ReturnType<NetworkMonitor> | undefined;
  #hasMonitor = true;
  /** Something changed since we looked last. */
  #isTold = true;
  /** Ends the present sleep early. */
  #wake: () => void = () => undefined;
  #isClosed = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: UnderlayWatchOptions, onChange: (state: UnderlayState) => void) {
    this.#options = options;
    this.#machine = options.machine ?? thisMachine;
    this.#log = options.log ?? silentLogger;
    this.#onChange = onChange;
  }

  get state(): UnderlayState {
    return this.#state;
  }

  async start(): Promise<void> {
    this.#monitor = (this.#options.monitor ?? ipMonitor)(this.#onEvent, this.#onMonitorEnd);
    try {
      this.#state = await this.#look();
    } catch (error) {
      this.#monitor.stop();
      throw error;
    }
    this.#running = this.#run(); // looks again soon: the monitor may not have listened yet when we looked
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#monitor?.stop();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      if (!this.#isTold) await this.#sleep(this.#hasMonitor ? POLL : POLL_WITHOUT_MONITOR);
      if (this.#isTold) await this.#sleep(BURST); // the rest of the burst
      this.#isTold = false;
      if (!this.#isClosed) await this.#check();
    }
  }

  async #check(): Promise<void> {
    const before = this.#state;
    try {
      this.#state = await this.#look();
    } catch (error) {
      this.#log.log('warn', 'underlay unknown', { reason: error instanceof Error ? error.message : String(error) });
      return; // the next look may tell more
    }
    const { way, isLost, isAddressGone } = this.#state;
    const isNews = !isDeepStrictEqual(way, before.way) || (isLost && !before.isLost) || (isAddressGone && !before.isAddressGone);
    if (!isNews || this.#isClosed) return;
    this.#log.log('info', 'underlay changed', { device: way?.device, via: way?.via, lost: isLost, addressGone: isAddressGone });
    this.#onChange(this.#state);
  }

  async #look(): Promise<UnderlayState> {
    const { gateway, device, localAddress } = this.#options;
    const routes = await readRoutes(this.#machine);
    const isAddressGone =
      localAddress !== undefined &&
      !(await readLinks(this.#machine)).some(({ addresses }) => addresses.some(({ address }) => sameIp(address, localAddress)));
    return { ...underlayState(gateway, device, routes), isAddressGone };
  }

  /** Waits, or until {@link #wake}. */
  #sleep(duration: Millis): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, duration);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  readonly #onEvent = (): void => {
    if (this.#isTold) return; // and about to look
    this.#isTold = true;
    this.#wake();
  };

  readonly #onMonitorEnd = (reason: string): void => {
    this.#hasMonitor = false;
    this.#log.log('warn', 'network monitor ended', { reason });
    this.#onEvent();
  };
}

/** How the gateway is reached by these routes. */
export function underlayState(gateway: IpAddress, tunnel: string, routes: readonly MachineRoute[]): Pick<UnderlayState, 'way' | 'isLost'> {
  const host = hostNetwork(gateway);
  const actual = wayTo(host, routes)?.hop;
  const general = wayTo(
    host,
    routes.filter(({ destination }) => !sameNetwork(destination, host)),
    tunnel,
  )?.hop;
  const isLost = actual === undefined || actual.device === tunnel;
  if (general === undefined) return { isLost };
  return { way: { device: general.device, ...(general.via === undefined ? {} : { via: formatIp(general.via) }) }, isLost };
}

const ipMonitor: NetworkMonitor = (onEvent, onEnd) => {
  const child = spawn('ip', ['monitor', 'link', 'address', 'route'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: programEnvironment(),
    detached: true, // Ctrl-C at the terminal is for us to answer
  });
  let isStopped = false;
  const end = (reason: string) => {
    if (!isStopped) onEnd(reason);
    isStopped = true;
  };
  child.stdout.on('data', onEvent);
  child.on('error', (error) => end(error.message));
  child.on('exit', (status, signal) => end(signal ?? `status ${status}`));
  return {
    stop: () => {
      isStopped = true;
      child.kill();
    },
  };
};
