/**
 * Many sessions of our client in one process, by the client's own machines: log-in, tunnel over TLS or DTLS, packets. No interface and no root.
 * Serves {@link LoadCalls}; says `ready`.
 */

import { clientSettings } from '../../src/client/client-settings.ts';
import { formAnswers } from '../../src/client/form-answers.ts';
import { noNetworkSetup } from '../../src/client/network-setup.ts';
import { VpnClient } from '../../src/client/vpn-client.ts';
import type { VpnSession } from '../../src/client/vpn-session.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { TunnelConfig } from '../../src/core/tunnel/config.ts';
import type { Path } from '../../src/core/tunnel/machine.ts';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { parseIp } from '../../src/core/wire/ip-address.ts';
import { serveCalls } from '../../test/support/remote-calls.ts';
import { SessionDevice, type SessionTraffic } from './session-device.ts';

export interface LoadTarget {
  readonly gateway: string;
  readonly pin: string;
  readonly password: string;
  /** Who answers inside. */
  readonly responder: { readonly address: string; readonly port: number };
  readonly packetLength: number;
}

export interface Connecting {
  /** Numbers of the sessions: user `load7` has number 7. */
  readonly sessions: readonly number[];
  /** Log-ins that are under way at once. */
  readonly lanes: number;
  readonly usesDatagrams: boolean;
}

export interface LoadReport extends SessionTraffic {
  /** Tunnels that are up now. */
  readonly up: number;
  /** Of these, over UDP. */
  readonly byDatagrams: number;
  /** Times that a tunnel that was up has been lost. */
  readonly drops: number;
  /** The first reasons. */
  readonly reasons: readonly string[];
}

/** Sessions are asked to send one after the other, so that packets do not come all at once. */
const TICK: Millis = 20;

/** How long one session may take to come up. */
const CONNECT_LIMIT: Millis = 60_000;

const MAX_REASONS = 5;

/** Between looks for packets of {@link Bulk} that are lost. */
const LOST_AFTER: Millis = 250;

export interface Bulk {
  /** Numbers of the sessions that carry traffic. */
  readonly sessions: readonly number[];
  /** Packets of each that are kept on their way. */
  readonly window: number;
  /** Bytes of each packet. */
  readonly length: number;
}

interface Running {
  readonly number: number;
  readonly session: VpnSession;
  device: SessionDevice | undefined;
  path: Path['kind'] | undefined;
}

const running: Running[] = [];
let drops = 0;
const reasons: string[] = [];
let ticker: NodeJS.Timeout | undefined;
let target: LoadTarget | undefined;

function note(reason: string): void {
  if (reasons.length < MAX_REASONS) reasons.push(reason);
}

async function connectOne(number: number, usesDatagrams: boolean): Promise<void> {
  if (target === undefined) throw new Error('aim first');
  const { gateway, pin, password } = target;
  const login = { user: `load${number}`, password };
  const settings = await clientSettings(gateway, { ...login, pins: [pin], systemTrust: false, udp: usesDatagrams, ipv6: false });
  const client = await VpnClient.create(settings, {
    log: silentLogger,
    answerer: () => formAnswers(login, silentLogger, () => undefined),
    checkHost: () => Promise.reject(new Error('there is no host checker')),
  });
  const up = Promise.withResolvers<void>();
  const one: Running = {
    number,
    session: client.session({
      openDevice: (config) => {
        one.device = deviceFor(number, config);
        return Promise.resolve(one.device);
      },
      network: noNetworkSetup,
    }),
    device: undefined,
    path: undefined,
  };
  one.session.on('path', (kind) => {
    one.path = kind;
    if (!usesDatagrams || kind === 'datagram') up.resolve();
  });
  one.session.on('lost', (reason) => {
    drops++;
    note(`${reason.kind} ${reason.error?.message ?? reason.message ?? ''}`);
  });
  one.session.closed.then(({ error }) => up.reject(error ?? new Error('the session has ended')));
  const timer = setTimeout(() => up.reject(new Error('the session did not come up in time')), CONNECT_LIMIT);
  running.push(one);
  one.session.start();
  await up.promise.finally(() => clearTimeout(timer));
}

function deviceFor(session: number, { ipv4 }: TunnelConfig): SessionDevice {
  const address = parseIp(target?.responder.address ?? '');
  if (ipv4 === undefined || address === undefined || target === undefined) throw new Error('the session has no IPv4 address');
  return new SessionDevice({
    ...{ session, address: ipv4.address, length: target.packetLength },
    target: { address, port: target.responder.port },
  });
}

const calls = {
  aim(at: LoadTarget): void {
    target = at;
  },

  /** Resolves when all are up or have failed; the number of those that have, and the first reasons. */
  async connect({ sessions, lanes, usesDatagrams }: Connecting): Promise<{ readonly failed: number; readonly reasons: readonly string[] }> {
    let failed = 0;
    let next = 0;
    const lane = async () => {
      for (let number = sessions[next++]; number !== undefined; number = sessions[next++]) {
        try {
          await connectOne(number, usesDatagrams);
        } catch (error) {
          failed++;
          note(error instanceof Error ? error.message : String(error));
        }
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return { failed, reasons };
  },

  /** Each session sends a packet so often. */
  startTraffic(interval: Millis): void {
    let tick = 0;
    const ticks = Math.max(1, Math.round(interval / TICK));
    ticker = setInterval(() => {
      tick = (tick + 1) % ticks;
      for (let i = tick; i < running.length; i += ticks) running[i]?.device?.sendNext();
    }, TICK);
  },

  /** Some sessions send as much as comes back. */
  startBulk({ sessions, window, length }: Bulk): void {
    const wanted = new Set(sessions);
    const devices = running.flatMap(({ number, device }) => (wanted.has(number) && device !== undefined ? [device] : []));
    for (const device of devices) device.keep(window, length);
    ticker = setInterval(() => {
      for (const device of devices) device.forgetLost();
    }, LOST_AFTER);
  },

  stopTraffic(): void {
    clearInterval(ticker);
    for (const { device } of running) device?.keep(0, 0);
  },

  report(): LoadReport {
    const total: SessionTraffic = { sent: 0, returned: 0, wrong: 0, misdelivered: 0 };
    for (const { device } of running) {
      for (const key of ['sent', 'returned', 'wrong', 'misdelivered'] as const) total[key] += device?.counts[key] ?? 0;
    }
    const up = running.filter(({ session }) => session.state.name === 'up');
    return { ...total, up: up.length, byDatagrams: up.filter(({ path }) => path === 'datagram').length, drops, reasons };
  },

  /** Logs everybody off. */
  async disconnect(): Promise<void> {
    await Promise.all(running.splice(0).map(({ session }) => session.stop()));
  },
};

export type LoadCalls = typeof calls;

serveCalls(calls);
console.log('ready');
