/** A gateway of values, for tests of the control socket, of occtl and of metrics. */
import type { ControlSession, ControlTarget, GatewayStatus, UserStatus } from '../../../src/gateway/control/control-target.ts';
import type { BanListing } from '../../../src/gateway/main/ban-table.ts';
import { SessionEvents } from '../../../src/gateway/main/session-events.ts';
import { Statistics } from '../../../src/gateway/main/statistics.ts';

/** The moment at which it stands still. */
export const NOW: number = Date.UTC(2026, 10, 29, 19, 6, 30);

export const ALICE_STATUS: UserStatus = {
  id: 16708,
  user: 'alice',
  group: 'staff',
  host: 'default',
  state: 'connected',
  device: 'vpns0',
  mtu: 1434,
  remote: '192.0.2.2',
  local: '198.51.100.2',
  ipv4: { address: '10.77.0.50', gateway: '10.77.0.1' },
  ipv6: { address: 'fd77::9a7c', gateway: 'fd77::1' },
  userAgent: 'Open AnyConnect VPN Agent v9.01-3',
  rates: { receive: 400_000, send: 500_000 },
  traffic: { received: 252, sent: 48_886_664 },
  dpd: 90_000,
  keepalive: 32_400_000,
  hostname: 'client',
  connectedAt: NOW - 62_000,
  session: '+khaEPesHeUIsD29K5PfNvIZm7o=',
  tlsCipher: '(TLS1.3)-(ECDHE-SECP256R1)-(ECDSA-SECP256R1-SHA256)-(AES-256-GCM)',
  dtlsCipher: '(DTLS1.2)-(PSK)-(AES-256-GCM)',
  cstpCompression: 'oc-lz4',
  dtlsCompression: 'oc-lz4',
  dns: ['10.77.0.1', 'fd77::1'],
  nbns: ['10.77.0.2'],
  splitDns: ['a.test', 'b.test'],
  routes: ['10.0.0.0/255.0.0.0', 'fd77::/64'],
  noRoutes: ['10.9.0.0/255.255.0.0'],
  iroutes: ['192.168.44.0/255.255.255.0', '192.168.45.0/255.255.255.0'],
  restrictsToRoutes: false,
  restrictedPorts: ['tcp(443)', 'icmp()'],
};

/** A connection on which nobody has logged in. */
export const STRANGER: UserStatus = {
  id: 16_830,
  host: 'unknown',
  state: 'pre-auth',
  remote: '192.0.2.2',
  local: '198.51.100.2',
  rates: {},
  dpd: 0,
  keepalive: 0,
  connectedAt: NOW,
  session: '',
  dns: [],
  nbns: [],
  splitDns: [],
  routes: [],
  noRoutes: [],
  iroutes: [],
  restrictsToRoutes: false,
  restrictedPorts: [],
};

export const SESSION: ControlSession = {
  id: '+khaEPesHeUIsD29K5PfNvIZm7o=',
  user: 'alice',
  group: 'staff',
  remote: '192.0.2.2',
  userAgent: 'Open AnyConnect VPN Agent v9.01-3',
  createdAt: NOW - 1_000,
  expiresAt: NOW + 300_000,
  state: 'authenticated',
  isOpen: true,
  hasCertificate: false,
  inUse: 1,
};

export class FakeTarget implements ControlTarget {
  readonly calls: string[] = [];
  readonly watched = new SessionEvents();
  readonly statistics = new Statistics(604_800_000, NOW - 3_000);
  userList: readonly UserStatus[] = [STRANGER, ALICE_STATUS];
  sessionList: readonly ControlSession[] = [SESSION];
  banList: readonly BanListing[] = [];
  live = { received: 0, sent: 0 };
  /** What goes wrong with the next action. */
  failure: Error | undefined;

  async status(): Promise<GatewayStatus> {
    return {
      state: 'online',
      now: NOW,
      pid: 100,
      authPid: 101,
      authProcesses: 1,
      activeSessions: this.userList.length,
      bannedAddresses: this.banList.filter(({ bannedUntil }) => bannedUntil !== undefined).length,
      knownSessions: this.sessionList.length,
      live: this.live,
      statistics: this.statistics.snapshot(NOW),
    };
  }

  async users(): Promise<readonly UserStatus[]> {
    return this.userList;
  }

  async sessions(): Promise<readonly ControlSession[]> {
    return this.sessionList;
  }

  async bans(): Promise<readonly BanListing[]> {
    return this.banList;
  }

  events(after: number | undefined, signal: AbortSignal) {
    return this.watched.after(after, signal);
  }

  async disconnectUser(name: string): Promise<number> {
    this.#act(`disconnect user ${name}`);
    return this.userList.filter(({ user }) => user === name).length;
  }

  async disconnectId(id: number): Promise<boolean> {
    this.#act(`disconnect id ${id}`);
    return this.userList.some((user) => user.id === id);
  }

  async unban(address: string): Promise<boolean> {
    this.#act(`unban ${address}`);
    return this.banList.some((ban) => ban.address === address);
  }

  async reload(): Promise<void> {
    this.#act('reload');
  }

  async stop(): Promise<void> {
    this.#act('stop');
  }

  async maintain(isOn: boolean): Promise<void> {
    this.#act(`maintain ${isOn}`);
  }

  #act(call: string): void {
    this.calls.push(call);
    if (this.failure !== undefined) throw this.failure;
  }
}
