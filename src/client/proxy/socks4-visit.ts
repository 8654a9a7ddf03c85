/** A client that speaks SOCKS 4 or 4A. It cannot say a password: where one is wanted it is refused. */
import { decodeSocks4Request, encodeSocks4Reply } from '../../core/socks/socks4.ts';
import { HandshakeReader } from './handshake-reader.ts';
import { handshakeFault, leave, type Visit } from './visit.ts';

/** Resolves when the client has gone. */
export async function serveSocks4(visit: Visit): Promise<void> {
  const { socket } = visit;
  const reader = new HandshakeReader(socket);
  try {
    const { command, destination } = await reader.read(decodeSocks4Request);
    reader.release();
    visit.understood();
    if (visit.credentials !== undefined) visit.refuse('no-password', encodeSocks4Reply(false));
    else if (command !== 'connect') visit.refuse('command-unsupported', encodeSocks4Reply(false));
    else {
      const connected = await visit.connect('socks4', destination).catch(() => undefined); // counted there, and the reply knows one "no" only
      if (connected === undefined) {
        leave(socket, encodeSocks4Reply(false));
        return;
      }
      socket.write(encodeSocks4Reply(true));
      await visit.join(connected.socket);
    }
  } catch (error) {
    visit.refuse(handshakeFault(error));
  }
}
