/**
 * Where a flow of a client leads: to a host outside, to a service that the administrator offers, or nowhere.
 *
 *   an inner address of ours ─► a service of that port ─► where it leads ─┐
 *                            ─► port 53: the name servers of this host ───┴► target
 *                            ─► any other: nobody listens
 *   any other address ──────── ► what the session may reach ► what nobody reaches through us ► target
 *
 * This process can reach what its clients must not: services of its own host that trust the loopback address, and those of a cloud that take whoever asks
 * for the machine itself (metadata, with its keys). So these are no destinations, whatever the rules of a session say.
 */
import { PROTOCOL } from '../ip/ip-packet.ts';
import { AddressTable } from '../tunnel/address-table.ts';
import { type Endpoint, type IpAddress, parseCidr, parseIp, sameIp } from '../wire/ip-address.ts';
import type { AccessCheck } from './access-rules.ts';

export type FlowProtocol = 'tcp' | 'udp';

/** A port of the gateway's inner addresses that leads to a place of its own. */
export interface NatService {
  readonly protocol: FlowProtocol;
  readonly port: number;
  readonly target: Endpoint;
}

/** Why a flow is refused. */
export type Refusal =
  | 'closed' // an inner address of ours, and no service
  | 'restricted' // the session's rules
  | 'special-address' // loopback, link-local, multicast, reserved; a cloud's own
  | 'own-host'; // an address of the machine that the gateway runs on

export type Destination =
  /** The targets are tried in their order. */
  { readonly targets: readonly Endpoint[]; readonly isService: boolean } | { readonly refused: Refusal };

export interface DestinationWorld {
  /** The gateway's addresses inside, one for each pool. */
  readonly own: readonly IpAddress[];
  readonly services: readonly NatService[];
  /** Name servers of this host; empty: port 53 of our own addresses is closed. */
  readonly resolvers: readonly Endpoint[];
  /** Whether this machine has the address now. */
  isOwnHost(address: IpAddress): boolean;
}

const DNS_PORT = 53;

/** RFC 6890 and its registries: what is no host that one could reach by a router, and what leads back to this machine in disguise. */
const SPECIAL: readonly string[] = [
  '0.0.0.0/8', // Linux takes it for this host
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/4',
  '240.0.0.0/4', // 255.255.255.255 included
  '::/96', // unspecified, loopback, IPv4-compatible
  '::ffff:0:0/96', // IPv4-mapped: sockets of both families take it for IPv4
  'fe80::/10',
  'ff00::/8',
];

/** Where clouds answer their machines, beside 169.254.0.0/16 and fe80::/10. Their name servers are reached as this host's: by port 53 of the gateway. */
const CLOUD: readonly string[] = [
  'fd00:ec2::254', // Amazon: instance metadata
  'fd00:ec2::23', // Amazon: credentials of a pod
  'fd20:ce::254', // Google
  '168.63.129.16', // Microsoft: the wire server
  '100.100.100.200', // Alibaba
  '192.0.0.192', // Oracle
];

/** RFC 6052 §2.1: NAT64's prefix, with an IPv4 address behind it. */
const NAT64_PREFIX = parseIp('64:ff9b::');

const specialAddresses = new AddressTable<true>();
for (const network of [...SPECIAL, ...CLOUD].map(parseCidr)) {
  if (network === undefined) continue;
  specialAddresses.set(network, true);
  const { address, prefix } = network;
  if (address.family === 6 || NAT64_PREFIX === undefined) continue;
  const bytes = Uint8Array.from(NAT64_PREFIX.bytes);
  bytes.set(address.bytes, 12);
  specialAddresses.set({ address: { family: 6, bytes }, prefix: 96 + prefix }, true);
}

/** Whether nobody's clients may go there through a gateway. */
export function isSpecialAddress(address: IpAddress): boolean {
  return specialAddresses.of(address) !== undefined;
}

export function destinationOf(protocol: FlowProtocol, to: Endpoint, rules: AccessCheck | undefined, world: DestinationWorld): Destination {
  const { address, port } = to;
  // As with an interface: the rules of a session are about what is forwarded, and say nothing of the gateway itself.
  if (world.own.some((own) => sameIp(own, address))) return ownService(protocol, port, world);
  if (rules?.allows(PROTOCOL[protocol], address, port) === false) return { refused: 'restricted' };
  if (isSpecialAddress(address) || port === 0) return { refused: 'special-address' };
  if (world.isOwnHost(address)) return { refused: 'own-host' };
  return { targets: [to], isService: false };
}

function ownService(protocol: FlowProtocol, port: number, { services, resolvers }: DestinationWorld): Destination {
  const service = services.find((one) => one.protocol === protocol && one.port === port);
  if (service !== undefined) return { targets: [service.target], isService: true };
  if (port === DNS_PORT && resolvers.length > 0) return { targets: resolvers, isService: true };
  return { refused: 'closed' };
}
