/** What client and server are told alike. */
import type { CryptoProvider } from '../crypto/provider.ts';
import { MisuseError } from '../errors.ts';
import type { Millis } from '../tunnel/packet.ts';
import type { DtlsVersion } from './dialect.ts';
import { DEFAULT_HANDSHAKE_DATAGRAM, INITIAL_RETRANSMIT_TIMEOUT, MIN_HANDSHAKE_DATAGRAM } from './flight.ts';
import type { HandshakeMachineOptions } from './handshake-machine.ts';

export interface DtlsOptions {
  readonly crypto: CryptoProvider;
  /** The one version that is spoken: nothing is negotiated. */
  readonly version: DtlsVersion;
  /** The largest datagram of a handshake, in bytes of UDP payload. Default: 1200. */
  readonly maxHandshakeDatagram?: number;
  /** When a flight is repeated for the first time; doubles each time, up to a minute. Default: one second. */
  readonly retransmitTimeout?: Millis;
}

/** The options with their defaults. Throws {@link MisuseError}. */
export function machineOptions(options: DtlsOptions): HandshakeMachineOptions {
  const maxDatagram = options.maxHandshakeDatagram ?? DEFAULT_HANDSHAKE_DATAGRAM;
  if (maxDatagram < MIN_HANDSHAKE_DATAGRAM) {
    throw new MisuseError(`Handshake datagrams have at least ${MIN_HANDSHAKE_DATAGRAM} bytes, not ${maxDatagram}.`);
  }
  return { crypto: options.crypto, maxDatagram, retransmitTimeout: options.retransmitTimeout ?? INITIAL_RETRANSMIT_TIMEOUT };
}
