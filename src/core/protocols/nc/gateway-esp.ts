/**
 * A gateway's ESP of one client: keys are offered with the configuration and renewed in time; whether packets go by it is the client's to say.
 *
 * Read first: spec "Juniper NC", sections 6.4 to 6.8; spec "ESP", sections 5.5 and 5.6; {@link EspGatewaySide} for the flows.
 *
 *   offer ─► the client sends under these keys at once, and answers with its own ─► both are used ── lifetime ──► offer
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { algorithmsText, type EspAlgorithms } from '../../esp/algorithms.ts';
import { EspAssociations } from '../../esp/associations.ts';
import { EspGatewaySide } from '../../esp/gateway-side.ts';
import { type KeyBlock, keysOf, newKeyBlock } from '../../esp/key-block.ts';
import { RekeySchedule } from '../../esp/rekey-schedule.ts';
import { newSpi, nextSpi, tunnelIdOf } from '../../esp/spi.ts';
import { zeroProbe } from '../../esp/zero-probe.ts';
import type { Logger } from '../../log.ts';
import type { Path, TunnelSink } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { type EspOffer, parseKeys } from './esp-terms.ts';

/** What all clients known can do; the protocol has no SHA-256. */
const ALGORITHMS: EspAlgorithms = { cipher: 'aes-128-cbc', mac: 'sha1' };

/** Silence after which a client asks, at most: after twice as long it goes back to TLS. What appliances say. */
const MAX_FALLBACK: Millis = 15_000;

/** How long keys live at most: far fewer packets pass than there are numbers (spec "ESP", section 5.6). */
const MAX_LIFETIME: Millis = 3_600_000;

const SECOND: Millis = 1000;

export interface GatewayEspOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly port: number;
  readonly times: SessionTerms['times'];
  readonly tunnelMtu: number;
  /** Where the client's packets may come from. */
  readonly sources: readonly Cidr[];
}

export class GatewayEsp {
  /** By which the client's flows are known. */
  readonly id: Uint8Array;
  readonly #options: GatewayEspOptions;
  readonly #terms: EspOffer['terms'];
  readonly #side: EspGatewaySide;
  /** What the client sends with. */
  #own: KeyBlock;
  /** Keys that the client has not answered: it answers each, in their order. */
  #unanswered = 1;
  #hasBegun = false;
  readonly #schedule: RekeySchedule;
  /** The client's word. */
  #isWanted = false;

  constructor(options: GatewayEspOptions) {
    const { crypto, log, port, times } = options;
    const fallback = wholeSeconds(Math.min(times.dpd || MAX_FALLBACK, MAX_FALLBACK));
    const lifetime = wholeSeconds(Math.min(times.rekey || MAX_LIFETIME, MAX_LIFETIME));
    this.#options = options;
    this.#terms = { algorithms: ALGORITHMS, port, fallback, lifetime };
    this.#own = newKeyBlock(crypto, newSpi(crypto));
    this.id = tunnelIdOf(this.#own.spi);
    this.#side = new EspGatewaySide(log, 2 * fallback);
    this.#schedule = new RekeySchedule(lifetime);
  }

  /** For the configuration. */
  get offer(): EspOffer {
    return { terms: this.#terms, keys: this.#own };
  }

  get side(): EspGatewaySide {
    return this.#side;
  }

  /** The path that packets leave by; undefined while they leave by TLS. */
  get path(): Path | undefined {
    return this.#isWanted ? this.#side.path : undefined;
  }

  /** A client's keys (KMP 302). Those that answer none of ours are not taken. Throws {@link PeerMisbehavedError} for what are none. */
  answered(payload: Uint8Array, now: Millis, out: TunnelSink): void {
    const { crypto, log, tunnelMtu, sources } = this.#options;
    const { keys, algorithms } = parseKeys(payload, ALGORITHMS);
    const isKnown = algorithms?.cipher === ALGORITHMS.cipher && algorithms.mac === ALGORITHMS.mac;
    if (this.#schedule.isOver || this.#unanswered === 0 || !isKnown) {
      log.log('debug', 'keys not used');
      return;
    }
    this.#unanswered--;
    if (this.#unanswered === 0) this.#schedule.agreed(now);
    const outbound = keysOf(keys, ALGORITHMS);
    if (this.#hasBegun) {
      this.#side.rekey({ outbound }, now);
      log.log('debug', 'datagram rekey');
      return;
    }
    this.#hasBegun = true;
    const associations = new EspAssociations(crypto, { outbound, inbound: keysOf(this.#own, ALGORITHMS) });
    const terms = { associations, probe: zeroProbe('gateway', 4), families: [4] as const, innerSources: sources, tunnelMtu };
    this.#side.begin({ ...terms, cipherSuite: algorithmsText(ALGORITHMS) }, now, out);
  }

  /** The numbers under these keys near their end: other keys. Undefined: the client has not answered those before, or there is no ESP yet. */
  renew(now: Millis): KeyBlock | undefined {
    return this.#schedule.isOver || this.#unanswered > 0 ? undefined : this.#offer(now);
  }

  /** A client's word (KMP 303): packets are to go by ESP, or no longer. */
  want(isWanted: boolean): void {
    this.#isWanted = isWanted;
  }

  /** False: it is for the stream. */
  send(packet: Packet, now: Millis, out: TunnelSink): boolean {
    return this.#isWanted && this.#side.send(packet, now, out);
  }

  nextTimeout(): Millis | undefined {
    const due = Math.min(this.#schedule.nextTimeout() ?? Number.POSITIVE_INFINITY, this.#side.nextTimeout() ?? Number.POSITIVE_INFINITY);
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  /** Other keys that the client is to be sent; undefined: none. */
  handleTimeout(now: Millis, out: TunnelSink): KeyBlock | undefined {
    this.#side.handleTimeout(now);
    const action = this.#schedule.handleTimeout(now);
    if (action === 'give-up') this.#side.giveUp(out);
    return action === 'ask' ? this.#offer(now) : undefined;
  }

  /** Other keys for the client to send with (KMP 302), opened from now on. */
  #offer(now: Millis): KeyBlock {
    this.#own = newKeyBlock(this.#options.crypto, nextSpi(this.#own.spi));
    this.#unanswered++;
    this.#schedule.asked(now);
    this.#side.rekey({ inbound: keysOf(this.#own, ALGORITHMS) }, now);
    return this.#own;
  }
}

function wholeSeconds(time: Millis): Millis {
  return Math.max(Math.floor(time / SECOND), 1) * SECOND;
}
