/** What went wrong in the stack, as errors with the codes that Node gives for the system's sockets. */
import { NetworkError } from '../../core/errors.ts';
import type { IcmpError } from '../../core/ip/icmp-message.ts';
import type { TcpError } from '../../core/ip/tcp/control-block.ts';

const TCP: Readonly<Record<TcpError, readonly [code: string, words: string]>> = {
  refused: ['ECONNREFUSED', 'refused the connection'],
  reset: ['ECONNRESET', 'has reset the connection'],
  'timed-out': ['ETIMEDOUT', 'does not answer'],
  'host-unreachable': ['EHOSTUNREACH', 'cannot be reached'],
  'network-unreachable': ['ENETUNREACH', 'is in a network that cannot be reached'],
  aborted: ['ECONNABORTED', 'is not connected any more: the VPN has ended or has another address'],
};

/** @param peer for people: `10.0.0.1:80` */
export function tcpError(error: TcpError, peer: string): NetworkError {
  const [code, words] = TCP[error];
  return new NetworkError(`${peer} ${words}.`, { code });
}

const ICMP: Readonly<Record<IcmpError, readonly [code: string, words: string]>> = {
  'network-unreachable': ['ENETUNREACH', 'is in a network that cannot be reached'],
  'host-unreachable': ['EHOSTUNREACH', 'cannot be reached'],
  'protocol-unreachable': ['ENOPROTOOPT', 'does not know the protocol'],
  'port-unreachable': ['ECONNREFUSED', 'refused the datagram: nobody listens'],
  'too-big': ['EMSGSIZE', 'cannot be reached by packets of this size'],
  transient: ['EHOSTUNREACH', 'was not reached in time'],
};

/** @param peer for people */
export function icmpError(error: IcmpError, peer: string): NetworkError {
  const [code, words] = ICMP[error];
  return new NetworkError(`${peer} ${words}.`, { code });
}
