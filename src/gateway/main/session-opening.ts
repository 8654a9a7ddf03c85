/** What a session's tunnel is opened with: policy, addresses to ask for, what scripts are told, and when it ends by itself. */
import { MisuseError } from '../../core/errors.ts';
import type { LeaseWishes } from '../../core/protocols/gateway-protocol.ts';
import type { SessionTerms } from '../../core/tunnel/session-terms.ts';
import type { GatewayConfig, HostConfig, SessionPolicy } from '../config/gateway-config.ts';
import type { SessionOpening } from '../network/session-network.ts';
import type { KnownSession } from '../processes/auth-service.ts';
import type { SessionLimits } from '../processes/worker-contract.ts';
import { addressOf, type Connection } from './session-table.ts';

/** The virtual host of a session; the default host's where it is gone since. */
export function hostOf(config: GatewayConfig, name: string | undefined): HostConfig {
  const host = config.hosts.find((other) => other.name === name) ?? config.hosts[0];
  if (host === undefined) throw new MisuseError('the gateway has no host');
  return host;
}

/** All that a session is opened with. */
export interface Opening {
  readonly host: HostConfig;
  readonly known: KnownSession;
  readonly policy: SessionPolicy;
  readonly wishes: LeaseWishes;
}

export function openingOf(connection: Connection, { host, known, policy, wishes }: Opening): SessionOpening {
  const { remote, local = addressOf(connection) } = connection;
  const { hostname, userAgent, deviceType, devicePlatform } = wishes;
  return {
    policy,
    request: {
      ...{ session: known.id, user: known.user, pools: { ...host.pools, ...policy.pools } },
      ...{ wantsIpv4: wishes.wantsIpv4, wantsIpv6: wishes.wantsIpv6 },
      ...(policy.explicitIpv4 !== undefined && { explicitIpv4: policy.explicitIpv4 }),
      ...(policy.explicitIpv6 !== undefined && { explicitIpv6: policy.explicitIpv6 }),
    },
    facts: {
      ...{ id: connection.id, user: known.user, remote: (remote ?? local).address, local: local.address },
      ...(known.group !== undefined && { group: known.group }),
      ...(known.host !== undefined && { host: known.host }),
      client: {
        userAgent,
        ...(hostname !== undefined && { hostname }),
        ...(deviceType !== undefined && { deviceType }),
        ...(devicePlatform !== undefined && { devicePlatform }),
      },
    },
  };
}

export function limitsOf(
  policy: SessionPolicy,
  { config }: SessionTerms,
  createdAt: number,
  date: number,
): Omit<SessionLimits, 'resumeTime'> {
  const { sessionTimeout, statisticsInterval } = policy;
  return {
    ...(config.idleTimeout !== undefined && { idleTimeout: config.idleTimeout }),
    ...(sessionTimeout !== undefined && { timeLeft: Math.max(createdAt + sessionTimeout - date, 0) }),
    ...(statisticsInterval !== undefined && { reportInterval: statisticsInterval }),
  };
}
