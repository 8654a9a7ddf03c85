import type { Socket } from 'node:net';
import { UnsupportedError } from '../../core/errors.ts';
import type { Endpoint } from '../../core/wire/ip-address.ts';

export interface ProxyHeaderRead {
  readonly remote?: Endpoint;
  readonly local?: Endpoint;
  readonly length: number;
}

export function readProxyHeader(_socket: Socket): Promise<ProxyHeaderRead> {
  return Promise.reject(new UnsupportedError('PROXY'));
}
