/**
 * Where a proxy's connections go out: the VPN, or the machine's own network. What both have in common, as little as a proxy needs of it.
 *
 * {@link IpNetwork} of a userspace stack has this face as it is; {@link systemNetwork} is the machine's own.
 */
import { createSocket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { createConnection } from 'node:net';
import type { Duplex } from 'node:stream';
import { CancelledError } from '../../core/errors.ts';

export interface OutwardNetwork {
  /** Connects to an address. Like `net.Socket`'s: emits `connect`, or `error` and `close`. */
  createConnection(options: OutwardConnection): OutwardSocket;
  createDatagram(options: { readonly family: 4 | 6 }): OutwardDatagram;
  /** The addresses of a name, in the order in which to try them. Rejects with an error that has a code, and with CancelledError. */
  lookup(name: string, options: { readonly signal?: AbortSignal }): Promise<readonly OutwardAddress[]>;
}

export interface OutwardConnection {
  /** An IP address. */
  readonly host: string;
  readonly port: number;
  readonly allowHalfOpen: boolean;
  readonly noDelay: boolean;
  readonly keepAlive: boolean;
  readonly signal: AbortSignal;
}

export type OutwardSocket = Duplex & {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  /** Of a userspace stack's: see {@link IpSocket.giveBack}. */
  giveBack?(chunk: Uint8Array): void;
  /** Ends the connection with a reset. */
  resetAndDestroy(): unknown;
};

export interface OutwardAddress {
  readonly address: string;
  readonly family: number;
}

export interface OutwardDatagram {
  on(event: 'message', listener: (bytes: Buffer, from: { readonly address: string; readonly port: number }) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Fire and forget: what cannot be sent is an `error`, or lost. */
  send(bytes: Uint8Array, port: number, address: string): unknown;
  close(): unknown;
}

/** The machine's own. */
export const systemNetwork: OutwardNetwork = {
  createConnection: (options) => createConnection({ ...options }),
  createDatagram: ({ family }) => createSocket(family === 4 ? 'udp4' : 'udp6'),
  async lookup(name, { signal }) {
    const found = await dns.lookup(name, { all: true, order: 'verbatim' }); // it cannot be stopped; its answer can be ignored
    if (signal?.aborted === true) throw new CancelledError();
    return found;
  },
};
