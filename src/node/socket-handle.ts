/**
 * What a connected socket of node:net has beneath it. Node has no documented way there; the handle has had these since there are handles.
 */
import type { Socket } from 'node:net';
import { NetworkError } from '../core/errors.ts';
import { endsOf } from './socket-ends.ts';
import type { ConnectionEnds } from './tls-stream.ts';

interface Handle {
  readonly fd?: number;
  reading?: boolean;
  readStop?(): number;
  readStart?(): number;
}

function handleOf(socket: Socket): Handle | undefined {
  return (socket as { _handle?: Handle | null })._handle ?? undefined;
}

/** Undefined once it is closed. */
export function descriptorOf(socket: Socket): number | undefined {
  const fd = handleOf(socket)?.fd ?? -1;
  return fd < 0 ? undefined : fd;
}

/**
 * Takes what Node has read of a paused socket, and has it read no more: what comes from now on waits in the kernel. Nobody may listen for its `data`.
 * Undefined, and nothing has changed, where Node does not let it. {@link readAgain} takes it back.
 */
export function stopReading(socket: Socket): Uint8Array[] | undefined {
  const handle = handleOf(socket);
  if (handle?.readStop === undefined) return undefined;
  const taken: Uint8Array[] = [];
  for (let bytes: Buffer | null = socket.read(); bytes !== null; bytes = socket.read()) taken.push(bytes);
  handle.readStop();
  handle.reading = true; // or the stream begins again by itself
  return taken;
}

/** Node reads again, as far as a paused stream does. */
export function readAgain(socket: Socket): void {
  handleOf(socket)?.readStart?.();
}

/** Descriptor and ends of a socket. Throws {@link NetworkError} once it is closed. */
export function connected(socket: Socket): ConnectionEnds & { readonly fd: number } {
  const fd = descriptorOf(socket);
  if (fd === undefined) throw new NetworkError('The connection was closed before its TLS handshake.');
  return { fd, ...endsOf(socket) };
}
