/**
 * One run of the real client (log-in, session, tunnel on real sockets) against whatever the gateway has become, and what must hold however hostile
 * that is: it ends by its own word or stays connected, in time, keeps to its memory, and leaves nothing behind.
 */

import { noNetworkSetup } from '../../src/client/network-setup.ts';
import { type ClientSettings, VpnClient } from '../../src/client/vpn-client.ts';
import type { VpnSession } from '../../src/client/vpn-session.ts';
import type { AuthField, AuthForm, FormAnswer } from '../../src/core/auth/form.ts';
import type { LogFields, Logger } from '../../src/core/log.ts';
import { Secret } from '../../src/core/secret.ts';
import type { Outcome, SessionState } from '../../src/core/session/session-machine.ts';
import { isIpPacket } from '../../src/core/tunnel/inner-packet.ts';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { MemoryDevice } from '../../src/node/devices/memory-device.ts';
import type { Dice } from './dice.ts';
import { PASSWORD, SESSION_TOKEN } from './honest-flow.ts';
import type { HostileGateway, Hostility } from './hostile-gateway.ts';
import { ipv4Packet } from './hostile-tunnel.ts';
import type { VirtualTime } from './virtual-time.ts';

/**
 * How long the client may stay in a state, whatever the gateway does. A log-in may take the time of many answers (each has five minutes), so this is
 * for one that goes on for ever. Opening: 30 s to connect, 60 s for TLS, 60 s for CONNECT. Reconnecting: the budget, and a try that began just before
 * it was used up. Closing: 2 s for what is queued.
 */
const LIMITS: Readonly<Partial<Record<SessionState['name'], Millis>>> = {
  authenticating: 24 * 3_600_000,
  opening: 160_000,
  'bringing-up': 5000,
  reconnecting: 300_000 + 160_000,
  closing: 10_000,
};

/**
 * What one run may add to the memory that the process holds: less than a flood, of which nothing may be kept, and more than the garbage of one that is
 * read and answered (200 MiB seen).
 */
const MAX_GROWTH_BYTES = 384 * 1024 * 1024;

export interface RunResult {
  readonly outcome: Outcome;
  /** States in their order. */
  readonly states: readonly SessionState['name'][];
  /** Packets that reached the host. */
  readonly packets: number;
  /** Packets left by UDP at some time. */
  readonly usedDatagrams: boolean;
}

/** Throws an Error that says what did not hold. */
export async function runClient(
  gateway: HostileGateway,
  time: VirtualTime,
  dice: Dice,
  hostility: Hostility,
  pin: string,
): Promise<RunResult> {
  const before = resources();
  const memory = new MemoryWatch();
  const log = new WatchedLog();
  const states: SessionState['name'][] = [];
  const device = new MemoryDevice();
  gateway.begin(dice.fork(0), hostility);
  const person = dice.fork(9);
  const client = await VpnClient.create(settingsOf(dice.fork(8), gateway.port, pin), {
    log,
    answerer: () => (form) => answered(form, person, time),
    checkHost: () => Promise.resolve(),
  });
  const session = client.session({ openDevice: () => Promise.resolve(device), network: noNetworkSetup });
  const { promise: tooLong, reject } = Promise.withResolvers<never>();
  let limit: NodeJS.Timeout | undefined;
  let usedDatagrams = false;
  session.on('path', (kind) => {
    usedDatagrams ||= kind === 'datagram';
  });
  session.on('state', ({ name }) => {
    states.push(name);
    clearTimeout(limit);
    const most = LIMITS[name];
    if (most !== undefined) limit = setTimeout(() => reject(new Error(`hang: "${name}" for more than ${most} ms`)), most);
  });
  const hosts = [stayUp(session, device, dice.fork(7), time), receiveAll(device)] as const;
  try {
    session.start();
    const outcome = await time.run(Promise.race([session.closed, tooLong]));
    clearTimeout(limit);
    await gateway.end();
    await device.close(); // a session that got no tunnel never had it
    await time.run(Promise.all(hosts));
    check(outcome);
    log.check(gateway.sentBytes);
    memory.check();
    if (time.pending > 0) throw new Error(`${time.pending} timers are left`);
    await settled(before);
    return { outcome, states, packets: device.traffic().received.packets, usedDatagrams };
  } catch (error) {
    // The next run is to begin with nothing left of this one.
    await time.run(Promise.allSettled([gateway.end(), session.stop(), device.close()]));
    await settled(before).catch(() => undefined); // one complaint is enough
    throw new Error(`${error instanceof Error ? error.message : String(error)} (states: ${states.join(' ')})`, { cause: error });
  } finally {
    clearTimeout(limit);
    memory.stop();
  }
}

/** Its own word: not what our code throws by mistake, which the session wraps. */
function check({ error }: Outcome): void {
  if (error !== undefined && error.code === 'ERR_INTERNAL') throw new Error(`internal error: ${error.message}`, { cause: error });
}

function settingsOf(dice: Dice, port: number, pin: string): ClientSettings {
  return {
    protocol: 'anyconnect',
    gateway: { host: dice.pick(['127.0.0.1', '127.0.0.1', 'localhost']), port, path: dice.pick(['/', '/group?x=y']) },
    wishes: {
      client: { userAgent: 'Open AnyConnect VPN Agent v9.01', version: 'v9.01', os: 'linux-64', localHostname: 'laptop' },
      usesXml: !dice.oneIn(6),
      httpAuth: dice.oneIn(2) ? [] : ['digest', 'basic', 'ntlm'],
      compression: dice.pick(['all', 'all', 'stateless', 'none']),
      wantsIpv6: !dice.oneIn(3),
      ...(dice.oneIn(3) && { mtu: dice.pick([576, 1280, 1400, 9000]) }),
      ...(dice.oneIn(3) && { dpd: dice.pick([1000, 30_000]) }),
      usesDatagrams: !dice.oneIn(5),
      datagramCiphers: { allowsLegacy: true },
    },
    tls: {},
    trust: { systemTrust: false, fingerprints: [pin] },
    // Both names are this machine, which may have IPv6 or not.
    resolve: new Map([['localhost', '127.0.0.1']]),
    keepsConnections: !dice.oneIn(5),
    udp: { copiesDscp: false },
  };
}

/** A person who answers most questions, at once or after a while; now and then takes another group, or leaves. */
async function answered(form: AuthForm, dice: Dice, time: VirtualTime): Promise<FormAnswer> {
  if (dice.oneIn(3)) await time.sleep(dice.pick([10, 5000, 100_000]), NEVER);
  if (dice.oneIn(30)) return { type: 'cancel' };
  const group = form.fields.find((field) => field.kind === 'choice' && field.isGroup === true);
  if (group?.kind === 'choice' && dice.oneIn(4)) {
    const choice = dice.pickOf(group.choices);
    if (choice !== undefined) return { type: 'change-group', group: choice.value };
  }
  return { type: 'submit', values: Object.fromEntries(form.fields.map((field) => [field.name, valueFor(field, dice)])) };
}

const NEVER = new AbortController().signal;

function valueFor(field: AuthField, dice: Dice): string | Secret {
  switch (field.kind) {
    case 'text':
      return 'alice';
    case 'password':
    case 'otp':
      return new Secret(PASSWORD);
    case 'hidden':
      return field.value;
    case 'choice':
      return dice.pickOf(field.choices)?.value ?? '';
    default:
      return field satisfies never;
  }
}

/** Once the tunnel is there: packets of the host, the wishes of a person, and in the end their goodbye. */
async function stayUp(session: VpnSession, device: MemoryDevice, dice: Dice, time: VirtualTime): Promise<void> {
  const over = new AbortController();
  void session.closed.then(() => over.abort());
  const { promise: up, resolve } = Promise.withResolvers<void>();
  session.on('state', ({ name }) => {
    if (name === 'up') resolve();
  });
  await Promise.race([up, session.closed]);
  for (let rounds = dice.pick([1, 2, 2, 8]); rounds > 0 && !over.signal.aborted; rounds--) {
    for (let i = dice.below(20); i > 0; i--) device.send(ipv4Packet(dice, dice.between(20, 1300)));
    await time.sleep(dice.pick([1, 500, 3000, 3000, 40_000]), over.signal);
    if (dice.oneIn(30)) session.reconnect();
    if (dice.oneIn(30)) session.networkChanged(dice.pick(['woken-up', 'back']));
  }
  await session.stop(dice.pick(['log-off', 'log-off', 'detach']));
}

/** Spec "AnyConnect", 12.1: what is no packet reaches no host. */
async function receiveAll(device: MemoryDevice): Promise<void> {
  for await (const packet of device) {
    if (!isIpPacket(packet, 0, packet.length))
      throw new Error(`what is no IP packet reached the host: ${Buffer.from(packet).toString('hex')}`);
  }
}

/** Secrets and internal errors have no place in a log, and neither has more than the gateway gave reason for. */
class WatchedLog implements Logger {
  #lines = 0;
  #problem: string | undefined;

  log(level: string, event: string, fields: LogFields = {}): void {
    this.#lines++;
    if (event === 'internal error' || event === 'tear-down failed') this.#problem ??= `${level} ${event}: ${String(fields.reason)}`;
    for (const value of Object.values(fields)) {
      if (typeof value !== 'string') continue;
      // A dump leaves out a token by where it stands, and a damaged answer has it somewhere else.
      const secrets = event === 'http received' ? [PASSWORD] : [PASSWORD, SESSION_TOKEN];
      for (const secret of secrets) if (value.includes(secret)) this.#problem ??= `a secret is in the log: ${event}`;
    }
  }

  check(bytesOfGateway: number): void {
    if (this.#problem !== undefined) throw new Error(this.#problem);
    if (this.#lines > MAX_OWN_LINES + bytesOfGateway) throw new Error(`${this.#lines} lines of log about ${bytesOfGateway} bytes`);
  }
}

/** What a log may say of itself, for up to 500 connections and the datagrams; and a line at most for each byte: a flood of small frames may have one each. */
const MAX_OWN_LINES = 100_000;

/** Looks at the memory of the process all the while. */
class MemoryWatch {
  readonly #before = process.memoryUsage.rss();
  #most = 0;
  // Real time passes for it; and it does not count as something that is left.
  readonly #timer = setInterval(() => this.#look(), 5).unref();

  check(): void {
    this.#look();
    const growth = this.#most - this.#before;
    if (growth > MAX_GROWTH_BYTES) throw new Error(`memory grew by ${Math.round(growth / 2 ** 20)} MiB in one run`);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#most = Math.max(this.#most, process.memoryUsage.rss());
  }
}

/** What keeps this process busy. */
export function resources(): string {
  const busy = process.getActiveResourcesInfo().filter((resource) => resource !== 'Immediate'); // that is who asks
  return busy.toSorted().join(' ');
}

/** How many turns of the event loop a closed socket may take to be gone. */
const MAX_TURNS = 200;

/** Resolves when everything that was opened since is closed again. */
async function settled(before: string): Promise<void> {
  for (let turn = 0; turn < MAX_TURNS && resources() !== before; turn++) await new Promise((resolve) => setImmediate(resolve));
  if (resources() !== before) throw new Error(`left open: ${resources()} (before: ${before})`);
}
