/**
 * What node:dgram gets wrong about a socket that one process makes and another uses, mended where Node keeps it. Should a later Node keep it elsewhere, this
 * does nothing: then IPv6 flows fail to connect, and first datagrams are lost and sent again.
 */
import type { Socket } from 'node:dgram';

type Handle = Readonly<Record<string, unknown>>;

/**
 * Before it is handed over: this process does not read from it. Observed: until our copy is closed both processes read, and what this one gets is lost; that
 * is the second message of a handshake, which its client repeats after a second.
 */
export function stopReading(socket: Socket): void {
  const handle = handleOf(socket);
  if (typeof handle?.recvStop === 'function') handle.recvStop();
}

/** After it was handed over, before anything else. */
export function takeOver(socket: Socket, family: 4 | 6): void {
  const handle = handleOf(socket);
  if (handle === undefined) return;
  // Observed: Node takes `bind` and `send` over to the handle that arrives, and forgets `connect`: udp6 sockets have IPv4's, which calls all others invalid.
  if (family === 6 && 'connect6' in handle) Object.assign(handle, { connect: handle.connect6 });
  if (typeof handle.recvStart === 'function') handle.recvStart(); // does no harm twice
}

/** Its descriptor, which is the socket's and is closed with it; undefined where Node does not tell. */
export function descriptorOf(socket: Socket): number | undefined {
  const fd = handleOf(socket)?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

function handleOf(socket: Socket): Handle | undefined {
  const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol');
  const state: unknown = key === undefined ? undefined : (socket as unknown as Record<symbol, unknown>)[key];
  if (typeof state !== 'object' || state === null || !('handle' in state)) return undefined;
  const { handle } = state;
  return typeof handle === 'object' && handle !== null ? (handle as Handle) : undefined;
}
