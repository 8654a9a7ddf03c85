/**
 * A client that speaks SOCKS 5: CONNECT and UDP ASSOCIATE. BIND is refused: it would open a port inside for anybody to come to.
 *
 * Read first: core/socks/socks5.ts.
 */
import { isIPv6 } from 'node:net';
import {
  decodeGreeting,
  decodePassword,
  decodeRequest,
  encodeMethod,
  encodePasswordStatus,
  encodeReply,
  SOCKS5_METHODS,
  type Socks5Reply,
  type SocksDestination,
} from '../../core/socks/socks5.ts';
import { HandshakeReader } from './handshake-reader.ts';
import { failureCode } from './outward.ts';
import { bareAddress, UdpAssociation } from './udp-association.ts';
import { handshakeFault, leave, type Visit } from './visit.ts';

/** Resolves when the client has gone. */
export async function serveSocks5(visit: Visit): Promise<void> {
  const reader = new HandshakeReader(visit.socket);
  try {
    if (!(await admit(visit, reader))) return;
    const { command, destination } = await reader.read(decodeRequest);
    reader.release();
    visit.understood();
    if (destination === undefined) visit.refuse('address-unsupported', encodeReply('address-unsupported'));
    else if (command === 'connect') await connect(visit, destination);
    else if (command === 'udp-associate') await associate(visit, destination);
    else visit.refuse('command-unsupported', encodeReply('command-unsupported'));
  } catch (error) {
    visit.refuse(handshakeFault(error));
  }
}

/** The method that this proxy wants, and the password where there is one. */
async function admit(visit: Visit, reader: HandshakeReader): Promise<boolean> {
  const { credentials, socket } = visit;
  const wanted = credentials === undefined ? SOCKS5_METHODS.none : SOCKS5_METHODS.password;
  const offered = await reader.read(decodeGreeting);
  if (!offered.includes(wanted)) {
    visit.refuse('no-common-method', encodeMethod(SOCKS5_METHODS.unacceptable));
    return false;
  }
  socket.write(encodeMethod(wanted));
  if (credentials === undefined) return true;
  const { name, password } = await reader.read(decodePassword);
  if (!credentials.accepts(name, password)) {
    visit.refuse('bad-password', encodePasswordStatus(false));
    return false;
  }
  socket.write(encodePasswordStatus(true));
  return true;
}

async function connect(visit: Visit, destination: SocksDestination): Promise<void> {
  try {
    const { socket: far } = await visit.connect('socks5', destination);
    const { localAddress: host, localPort: port } = far;
    visit.socket.write(encodeReply('succeeded', host === undefined || port === undefined ? undefined : { host, port }));
    await visit.join(far);
  } catch (error) {
    leave(visit.socket, encodeReply(replyOf(error)));
  }
}

/** RFC 1928 §6: the association ends with the connection. */
async function associate(visit: Visit, { port }: SocksDestination): Promise<void> {
  const { socket, context } = visit;
  const localAddress = bareAddress(socket.localAddress ?? '127.0.0.1');
  const remoteAddress = bareAddress(socket.remoteAddress ?? '');
  const association = new UdpAssociation({ ...context, client: remoteAddress, clientPort: port });
  try {
    const bound = await association.open(localAddress, isIPv6(localAddress) ? 6 : 4);
    socket.write(encodeReply('succeeded', bound));
    socket.resume(); // nothing more is expected: only its end
    socket.setKeepAlive(true);
    await ended(visit);
  } catch (error) {
    leave(socket, encodeReply(replyOf(error)));
  } finally {
    association.close();
  }
}

function ended({ socket, signal }: Visit): Promise<void> {
  socket.once('end', () => socket.end());
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

const REPLIES: Readonly<Record<string, Socks5Reply>> = {
  EACCES: 'not-allowed',
  ECONNREFUSED: 'refused',
  ENETUNREACH: 'network-unreachable',
  EHOSTUNREACH: 'host-unreachable',
  ENOTFOUND: 'host-unreachable',
  ETIMEDOUT: 'host-unreachable',
};

function replyOf(error: unknown): Socks5Reply {
  return REPLIES[failureCode(error)] ?? 'general-failure';
}
