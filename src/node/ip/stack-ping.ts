/** One echo request and its answer. */
import { CancelledError, NetworkError } from '../../core/errors.ts';
import { formatIp, type IpAddress } from '../../core/wire/ip-address.ts';
import type { StackDevice } from '../devices/stack-device.ts';
import type { PingAnswer, PingOptions } from './ip-network.ts';
import { icmpError } from './stack-errors.ts';

const DEFAULT_LENGTH = 56;
const DEFAULT_TIMEOUT = 5_000;

/** Rejects with {@link NetworkError} and {@link CancelledError}. */
export async function stackPing(device: StackDevice, remote: IpAddress, options: PingOptions = {}): Promise<PingAnswer> {
  const { length = DEFAULT_LENGTH, timeout = DEFAULT_TIMEOUT, signal } = options;
  if (signal?.aborted === true) throw new CancelledError();
  const peer = formatIp(remote);
  const socket = device.stack.openEcho(remote);
  const { promise, resolve, reject } = Promise.withResolvers<PingAnswer>();
  const abort = () => reject(new CancelledError());
  signal?.addEventListener('abort', abort, { once: true });
  const timer = setTimeout(() => reject(new NetworkError(`${peer} does not answer.`, { code: 'ETIMEDOUT' })), timeout);
  try {
    const sentAt = device.now();
    socket.onReady = () => {
      const answer = socket.receive();
      if (answer === undefined) return;
      if ('error' in answer) reject(icmpError(answer.error, peer));
      else resolve({ address: peer, roundTrip: device.now() - sentAt, length: answer.bytes.length });
    };
    const sent = socket.send(1, new Uint8Array(length));
    device.wake();
    if (sent !== 'sent') throw new NetworkError(`The request to ${peer} could not be sent (${sent}).`, { code: 'ENOBUFS' });
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    socket.close();
  }
}
