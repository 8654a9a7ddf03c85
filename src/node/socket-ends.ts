/** The two ends of a connected socket. */
import type { Socket } from 'node:net';
import { NetworkError } from '../core/errors.ts';
import { type Endpoint, parseIp } from '../core/wire/ip-address.ts';
import type { ConnectionEnds } from './tls-stream.ts';

/** Throws {@link NetworkError} for a socket that has been closed. */
export function endsOf(socket: Socket): ConnectionEnds {
  return { local: endpointOf(socket.localAddress, socket.localPort), remote: endpointOf(socket.remoteAddress, socket.remotePort) };
}

function endpointOf(address: string | undefined, port: number | undefined): Endpoint {
  const ip = parseIp(address ?? '');
  if (ip === undefined || port === undefined) throw new NetworkError('The connection was closed during the TLS handshake.');
  return { address: ip, port };
}
