/** Connections and tunnels as administrators see them: `occtl show users`. */
import { formatIp } from '../../core/wire/ip-address.ts';
import type { InsideAddress, UserStatus } from '../control/control-target.ts';
import { portTexts, routeText } from '../control/control-text.ts';
import type { LeasedAddress } from '../network/lease-pool.ts';
import type { TunnelReport } from '../processes/worker-contract.ts';
import type { Connection, Tunnel } from './session-table.ts';

/** `report`: its worker's word on the tunnel, where it has one. */
export function userStatus(connection: Connection, report: TunnelReport | undefined): UserStatus {
  const { id, known, state, host, remote, local, userAgent, since, tunnel } = connection;
  return {
    id,
    ...(known !== undefined && { user: known.user }),
    ...(known?.group !== undefined && { group: known.group }),
    host: known === undefined && state === 'pre-auth' ? 'unknown' : (known?.host ?? host ?? 'default'),
    state: tunnel?.isOpen === true ? 'connected' : state,
    remote: remote === undefined ? '' : formatIp(remote.address),
    local: local === undefined ? '' : formatIp(local.address),
    ...(userAgent !== '' && { userAgent }),
    connectedAt: since,
    session: known?.id ?? '',
    ...(tunnel === undefined ? NO_TUNNEL : tunnelStatus(tunnel, report)),
  };
}

type TunnelFacts = Omit<UserStatus, 'id' | 'host' | 'state' | 'remote' | 'local' | 'connectedAt' | 'session'>;

const NO_TUNNEL: TunnelFacts = {
  ...{ rates: {}, dpd: 0, keepalive: 0, dns: [], nbns: [], splitDns: [], routes: [], noRoutes: [], iroutes: [], restrictedPorts: [] },
  restrictsToRoutes: false,
};

function tunnelStatus({ terms, lease, policy, device, wishes }: Tunnel, report: TunnelReport | undefined): TunnelFacts {
  const { config, rates, times, clientNetworks } = terms;
  const hostname = terms.hostname ?? wishes.hostname;
  return {
    device,
    ...(wishes.userAgent !== '' && { userAgent: wishes.userAgent }),
    ...(lease.ipv4 !== undefined && { ipv4: insideAddress(lease.ipv4) }),
    ...(lease.ipv6 !== undefined && { ipv6: insideAddress(lease.ipv6) }),
    ...{ rates, dpd: times.dpd ?? 0, keepalive: times.keepalive ?? 0 },
    ...(hostname !== undefined && { hostname }),
    dns: config.dns.map(formatIp),
    nbns: config.nbns.map(formatIp),
    splitDns: config.splitDns,
    routes: config.include.map(routeText),
    noRoutes: config.exclude.map(routeText),
    iroutes: clientNetworks.map(routeText),
    restrictsToRoutes: policy.restrictsToRoutes,
    restrictedPorts: policy.restrictsToPorts === undefined ? [] : portTexts(policy.restrictsToPorts),
    ...(report !== undefined && reportFacts(report)),
  };
}

function reportFacts({ received, sent, mtu, status: { stream, datagram } }: TunnelReport): Partial<TunnelFacts> {
  return {
    traffic: { received, sent },
    mtu,
    ...(stream.cipherSuite !== undefined && { tlsCipher: stream.cipherSuite }),
    ...(stream.compression !== undefined && { cstpCompression: stream.compression }),
    ...(datagram.cipherSuite !== undefined && { dtlsCipher: datagram.cipherSuite }),
    ...(datagram.compression !== undefined && { dtlsCompression: datagram.compression }),
  };
}

function insideAddress({ address, local }: LeasedAddress): InsideAddress {
  return { address: formatIp(address), gateway: local === undefined ? '' : formatIp(local) };
}
