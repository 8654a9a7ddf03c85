/**
 * A client's ESP: it answers each of the gateway's keys with its own. By which of the two ways packets leave, the gateway is told by TLS.
 *
 * Read first: spec "Juniper NC", sections 6.5, 6.7 and 6.8; {@link EspClientSide} for the flow.
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { algorithmsText, type EspAlgorithms } from '../../esp/algorithms.ts';
import { EspAssociations } from '../../esp/associations.ts';
import { EspClientSide } from '../../esp/client-side.ts';
import { type KeyBlock, keysOf, newKeyBlock, weaknessOf } from '../../esp/key-block.ts';
import { rekeyLimit } from '../../esp/rekey-limit.ts';
import { newSpi, nextSpi } from '../../esp/spi.ts';
import { FIRST_ZERO_PROBES, zeroProbe } from '../../esp/zero-probe.ts';
import type { Logger } from '../../log.ts';
import type { TunnelSink } from '../../tunnel/machine.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { type EspOffer, type EspTerms, parseKeys } from './esp-terms.ts';

/** The user's wishes. */
export interface EspWishes {
  readonly crypto: CryptoProvider;
  /** MD5 is used where a gateway wants it. */
  readonly allowsLegacy: boolean;
  /** Used instead of the gateway's interval. */
  readonly dpd?: Millis;
}

export interface ClientEspOptions extends EspWishes {
  readonly log: Logger;
  readonly offer: EspOffer;
  readonly tunnelMtu: number;
}

export class ClientEsp {
  /** What the gateway is to send with: of the newest keys. */
  own: KeyBlock;
  side: EspClientSide;
  readonly #options: ClientEspOptions;
  readonly #terms: EspTerms;
  readonly #answers = rekeyLimit();
  #algorithms: EspAlgorithms;

  constructor(options: ClientEspOptions, now: Millis) {
    const { crypto, offer } = options;
    this.#options = options;
    this.#terms = offer.terms;
    this.#algorithms = offer.terms.algorithms;
    this.own = newKeyBlock(crypto, newSpi(crypto));
    this.side = this.#newSide(offer.keys, now);
  }

  /**
   * Other keys of the gateway's (KMP 302): they hold from now on, and so do {@link own}, with which they are answered. False: they are not answered, as they
   * are for what this end does not speak, or too many. Throws {@link PeerMisbehavedError} for what are none.
   */
  renew(payload: Uint8Array, now: Millis, out: TunnelSink): boolean {
    const { crypto, log, allowsLegacy } = this.#options;
    if (!this.#answers.allows(now)) {
      log.log('debug', 'keys not used');
      return false;
    }
    const { keys, algorithms } = parseKeys(payload, this.#algorithms);
    const problem = algorithms === undefined ? 'its algorithms are not known' : weaknessOf(algorithms, allowsLegacy);
    if (algorithms === undefined || problem !== undefined) {
      log.log('warn', 'datagram disabled', { reason: problem });
      this.side.stop(out);
      return false;
    }
    const isSame = algorithms.cipher === this.#algorithms.cipher && algorithms.mac === this.#algorithms.mac;
    this.own = newKeyBlock(crypto, nextSpi(this.own.spi));
    if (isSame) {
      this.side.rekey({ outbound: keysOf(keys, algorithms), inbound: keysOf(this.own, algorithms) }, now);
    } else {
      this.side.stop(out);
      this.#algorithms = algorithms;
      this.side = this.#newSide(keys, now);
    }
    log.log('debug', 'datagram rekey');
    return true;
  }

  #newSide(theirs: KeyBlock, now: Millis): EspClientSide {
    const { crypto, log, dpd = this.#terms.fallback, tunnelMtu } = this.#options;
    const algorithms = this.#algorithms;
    const pair = { outbound: keysOf(theirs, algorithms), inbound: keysOf(this.own, algorithms) };
    return new EspClientSide(
      {
        ...{
          associations: new EspAssociations(crypto, pair),
          probe: zeroProbe('client', 4),
          firstProbes: FIRST_ZERO_PROBES,
          dpd,
          takesLzo: true,
        },
        ...{ tunnelMtu, log },
        ...{ port: this.#terms.port, cipherSuite: algorithmsText(algorithms) },
      },
      now,
    );
  }
}
