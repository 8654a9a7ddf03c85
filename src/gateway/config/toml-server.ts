/** The tables of `gateway.toml` that are about the server as a whole. */
import { z } from 'zod';
import { DEFAULT_NAT_LIMITS } from '../../core/nat/limits.ts';
import type { GatewayConfig, NatConfig } from './gateway-config.ts';
import { parseNatService, USERSPACE } from './nat-config.ts';
import { count, duration, path, port, table, text } from './toml-values.ts';
import { usualPlaces } from './usual-places.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Beginning of the name of a network device; a number comes behind it, and Linux's names have 15 characters at most. */
const deviceName = z.string().regex(/^[A-Za-z0-9._-]{1,11}$/, 'up to 11 letters and digits were expected: a number comes behind them');

const metrics = z.string().transform((written, context) => {
  if (written.startsWith('/')) return { unixSocket: written };
  const [, host, number] = /^(127\.0\.0\.1|localhost|\[::1\]):(\d{1,5})$/.exec(written) ?? [];
  if (host !== undefined && Number(number) >= 1 && Number(number) <= 65_535)
    return { host: host.replace(/[[\]]/g, ''), port: Number(number) };
  context.addIssue('a loopback address with a port ("127.0.0.1:9100") or the path of a unix socket was expected');
  return z.NEVER;
});

const natService = z.string().transform((written, context) => {
  const service = parseNatService(written);
  if (service !== undefined) return service;
  context.addIssue(
    'a service like "80:127.0.0.1:8080" or "udp:5353:192.0.2.1:53" was expected: a port inside, and the address and port it leads to',
  );
  return z.NEVER;
});

/** More belong behind a proxy. */
const MAX_SERVICES = 256;

const atLeastOne = z.int().min(1).max(0x7fff_ffff);

/** Each with the key of the root table as its name. */
export interface ServerTables {
  readonly 'log-level': z.ZodType<number>;
  readonly listen: z.ZodType<GatewayConfig['listen']>;
  readonly process: z.ZodType<GatewayConfig['processes']>;
  readonly limits: z.ZodType<GatewayConfig['limits']>;
  readonly bans: z.ZodType<GatewayConfig['bans']>;
  readonly network: z.ZodType<Omit<GatewayConfig['network'], 'nat'>>;
  readonly nat: z.ZodType<NatConfig>;
  readonly scripts: z.ZodType<GatewayConfig['scripts']>;
  readonly control: z.ZodType<GatewayConfig['control']>;
}

export const SERVER_TABLES: ServerTables = {
  'log-level': z.int().min(0).max(9).default(2),
  listen: table({
    host: text.optional(),
    'udp-host': text.optional(),
    'tcp-port': port.or(z.literal(0)).default(443),
    udp: z.boolean().default(true),
    'udp-port': port.optional(),
    'unix-socket': path.optional(),
    'network-namespace': text.optional(),
    'proxy-protocol': z.boolean().default(false),
  })
    .prefault({})
    .refine((listen) => listen['tcp-port'] > 0 || listen['unix-socket'] !== undefined, 'without a TCP port (0) a unix-socket is needed')
    .transform(({ udp, ...listen }) => ({
      ...given({
        host: listen.host,
        udpHost: listen['udp-host'],
        udpPort: udp ? (listen['udp-port'] ?? (listen['tcp-port'] || undefined)) : undefined,
        unixSocket: listen['unix-socket'],
        networkNamespace: listen['network-namespace'],
      }),
      tcpPort: listen['tcp-port'],
      proxyProtocol: listen['proxy-protocol'],
    })),
  process: table({
    user: text.default('nobody'),
    group: text.default('nogroup'),
    chroot: path.optional(),
    'pid-file': path.optional(),
    state: path.default(() => usualPlaces().state),
    workers: count.default(0),
  })
    .prefault({})
    .transform((process) => ({
      user: process.user,
      group: process.group,
      ...given({ chroot: process.chroot, pidFile: process['pid-file'] }),
      socketFile: process.state,
      workers: process.workers,
    })),
  limits: table({
    'max-clients': count.default(0),
    'accept-interval': duration.default(0),
    'login-time': duration.default(4 * MINUTE),
    drain: duration.default(0),
  })
    .prefault({})
    .transform((limits) => ({
      maxClients: limits['max-clients'],
      acceptInterval: limits['accept-interval'],
      loginTime: limits['login-time'],
      drain: limits.drain,
    })),
  bans: table({
    'max-score': count.default(80),
    time: duration.default(5 * MINUTE),
    'reset-time': duration.default(20 * MINUTE),
    'points-wrong-password': count.default(10),
    'points-connection': count.default(1),
  })
    .prefault({})
    .transform((bans) => ({
      maxScore: bans['max-score'],
      banTime: bans.time,
      resetTime: bans['reset-time'],
      pointsWrongPassword: bans['points-wrong-password'],
      pointsConnection: bans['points-connection'],
    })),
  network: table({
    device: deviceName.default('vpns'),
    'ping-leases': z.boolean().default(false),
    'route-add-command': text.optional(),
    'route-delete-command': text.optional(),
  })
    .prefault({})
    .transform((network) => ({
      isUserspace: network.device === USERSPACE,
      device: network.device,
      pingLeases: network['ping-leases'],
      ...given({ routeAddCommand: network['route-add-command'], routeDeleteCommand: network['route-delete-command'] }),
    })),
  nat: table({
    services: z.array(natService).max(MAX_SERVICES).default([]),
    flows: atLeastOne.default(DEFAULT_NAT_LIMITS.flows),
    'flows-per-session': atLeastOne.default(DEFAULT_NAT_LIMITS.flowsPerSession),
    'dials-per-session': atLeastOne.default(DEFAULT_NAT_LIMITS.dialsPerSession),
    'new-flows-per-second': atLeastOne.default(DEFAULT_NAT_LIMITS.newFlowsPerSecond),
    'udp-idle': duration.default(DEFAULT_NAT_LIMITS.udpIdle),
    'tcp-idle': duration.default(DEFAULT_NAT_LIMITS.tcpIdle),
  })
    .prefault({})
    .transform((nat) => ({
      services: nat.services,
      limits: {
        flows: nat.flows,
        flowsPerSession: nat['flows-per-session'],
        dialsPerSession: nat['dials-per-session'],
        newFlowsPerSecond: nat['new-flows-per-second'],
        udpIdle: nat['udp-idle'],
        tcpIdle: nat['tcp-idle'],
      },
    })),
  scripts: table({ connect: path.optional(), disconnect: path.optional(), 'host-update': path.optional() })
    .prefault({})
    .transform((scripts) => given({ connect: scripts.connect, disconnect: scripts.disconnect, hostUpdate: scripts['host-update'] })),
  control: table({
    enabled: z.boolean().default(true),
    socket: path.default(() => usualPlaces().controlSocket),
    metrics: metrics.optional(),
    'statistics-period': duration.default(7 * 24 * 60 * MINUTE),
  })
    .prefault({})
    .transform((control) => ({
      isEnabled: control.enabled,
      socket: control.socket,
      ...given({ metrics: control.metrics }),
      statisticsPeriod: control['statistics-period'],
    })),
};

/** Without the fields that are undefined. */
export function given<Fields extends object>(fields: Fields): { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [Key in keyof Fields]?: Exclude<Fields[Key], undefined>;
  };
}
