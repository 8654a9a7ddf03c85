/**
 * The numbers of SAs, as our ends choose them: the first three bytes are the tunnel's, the last one counts its keys. So whoever sees a packet of a flow that
 * nobody knows can tell whose it is, however often its keys have changed since.
 *
 * Read first: RFC 4303 §2.1; spec "ESP", sections 5.6 and 9.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { copyOf } from '../wire/copy.ts';

/** The lowest SPI that is not reserved. */
export const MIN_SPI = 0x100;
/** First bytes that a record of DTLS or TLS can have (RFC 7983 §7, and what is to come). */
const FIRST_TLS_TYPE = 20;
const LAST_TLS_TYPE = 63;

const ID_LENGTH = 3;
/** SPI, sequence number, IV and one block: nothing shorter is a packet. */
const MIN_LENGTH = 4 + 4 + 16 + 16;

/** An SPI that nobody takes for the beginning of a DTLS record: a gateway has both on one port. */
export function newSpi(crypto: CryptoProvider): number {
  for (;;) {
    const spi = new DataView(copyOf(crypto.randomBytes(4)).buffer).getUint32(0);
    if (spi >= MIN_SPI && !isTlsType(spi >>> 24)) return spi;
  }
}

/** For the tunnel's next keys. */
export function nextSpi(spi: number): number {
  return ((spi & 0xffffff00) | ((spi + 1) & 0xff)) >>> 0;
}

/** What the SPIs of one tunnel have in common. */
export function tunnelIdOf(spi: number): Uint8Array {
  return Uint8Array.of(spi >>> 24, spi >>> 16, spi >>> 8);
}

/** The same of what may be an ESP packet; undefined: it is none of ours. */
export function tunnelIdIn(datagram: Uint8Array): Uint8Array | undefined {
  return datagram.length < MIN_LENGTH || isTlsType(datagram[0] ?? 0) ? undefined : datagram.subarray(0, ID_LENGTH);
}

function isTlsType(byte: number): boolean {
  return byte >= FIRST_TLS_TYPE && byte <= LAST_TLS_TYPE;
}
