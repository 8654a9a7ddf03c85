/**
 * A client's ESP: it answers each of the gateway's keys with its own, and once there is a tunnel, packets of the outer family go by UDP where that works.
 *
 * Read first: spec "Pulse", sections 8.4, 8.5, 9 and 10; {@link EspClientSide} for the flow.
 *
 *   keys of the gateway ─► answer     (before the tunnel: the first; later: a rekey)
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { algorithmsText } from '../../esp/algorithms.ts';
import { EspAssociations } from '../../esp/associations.ts';
import { EspClientSide } from '../../esp/client-side.ts';
import { type KeyBlock, keysOf, newKeyBlock } from '../../esp/key-block.ts';
import { rekeyLimit } from '../../esp/rekey-limit.ts';
import { newSpi, nextSpi } from '../../esp/spi.ts';
import { FIRST_ZERO_PROBES, zeroProbe } from '../../esp/zero-probe.ts';
import type { Logger } from '../../log.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { PathFacts } from '../../tunnel/machine.ts';
import type { Millis } from '../../tunnel/packet.ts';
import type { EspMac } from '../../tunnel/traffic.ts';
import type { EspTerms } from './configuration.ts';
import { encodeEspReply } from './esp-configuration.ts';

export interface ClientEspOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly terms: EspTerms;
  /** Used instead of the gateway's interval. */
  readonly dpd?: Millis;
}

export class ClientEsp {
  readonly #options: ClientEspOptions;
  readonly #answers = rekeyLimit();
  #spi: number | undefined;
  #associations: EspAssociations | undefined;
  #side: EspClientSide | undefined;

  constructor(options: ClientEspOptions) {
    this.#options = options;
  }

  get mac(): EspMac {
    return this.#options.terms.algorithms.mac;
  }

  /** Undefined until there are keys and a tunnel. */
  get side(): EspClientSide | undefined {
    return this.#side;
  }

  /** What the gateway's keys are answered; they hold from now on. Undefined: it has sent too many. */
  answer(offer: KeyBlock, now: Millis): { readonly payload: Uint8Array; readonly isFirst: boolean } | undefined {
    if (!this.#answers.allows(now)) return undefined;
    const { crypto, log, terms } = this.#options;
    this.#spi = this.#spi === undefined ? newSpi(crypto) : nextSpi(this.#spi);
    const own = newKeyBlock(crypto, this.#spi);
    const keys = { outbound: keysOf(offer, terms.algorithms), inbound: keysOf(own, terms.algorithms) };
    const isFirst = this.#associations === undefined;
    if (!isFirst) log.log('debug', 'datagram rekey');
    if (this.#associations === undefined) this.#associations = new EspAssociations(crypto, keys);
    else if (this.#side === undefined) this.#associations.rekey(keys, now);
    else this.#side.rekey(keys, now);
    return { payload: encodeEspReply({ own, echo: offer }), isFirst };
  }

  /** There is a tunnel: packets of the outer family may go by ESP (spec 9). Without keys there is none. */
  open({ mtu }: TunnelConfig, { remote }: PathFacts, now: Millis): void {
    const { terms, dpd = terms.dpd, log } = this.#options;
    if (this.#associations === undefined) return;
    const { port, algorithms } = terms;
    const { family } = remote.address;
    this.#side = new EspClientSide(
      {
        ...{ associations: this.#associations, probe: zeroProbe('client', family), firstProbes: FIRST_ZERO_PROBES, dpd, tunnelMtu: mtu },
        ...{ families: [family], log, port, cipherSuite: algorithmsText(algorithms) },
      },
      now,
    );
  }
}
