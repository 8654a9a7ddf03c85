/**
 * A gateway's ESP of one client: keys are offered and answered by TLS, and packets of the outer family go by UDP while the client is heard there.
 *
 * Read first: spec "Pulse", sections 8.4, 8.5, 9 and 10; spec "ESP", sections 5.5 and 5.6; {@link EspGatewaySide} for the flows.
 *
 *   offer ─► the client sends under these keys at once, and answers with its own ─► both are used ── lifetime ──► offer
 */
import { equalInConstantTime } from '../../crypto/constant-time.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { PeerMisbehavedError } from '../../errors.ts';
import { algorithmsText } from '../../esp/algorithms.ts';
import { EspAssociations } from '../../esp/associations.ts';
import { EspGatewaySide } from '../../esp/gateway-side.ts';
import { type KeyBlock, keysOf, newKeyBlock } from '../../esp/key-block.ts';
import { RekeySchedule } from '../../esp/rekey-schedule.ts';
import { nextSpi } from '../../esp/spi.ts';
import { zeroProbe } from '../../esp/zero-probe.ts';
import type { Logger } from '../../log.ts';
import { isOfFamily } from '../../tunnel/inner-packet.ts';
import type { TunnelSink } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import type { ConfigurationOffer } from './configuration.ts';
import { decodeEspReply, encodeEspOffer } from './esp-configuration.ts';
import { espMtu } from './mtu.ts';

export interface GatewayEspOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly terms: NonNullable<ConfigurationOffer['esp']>;
  /** Of the first keys that the client sends with. */
  readonly spi: number;
  /** Of the client's connection. */
  readonly family: 4 | 6;
  /** The largest outer IP packet. */
  readonly linkMtu: number;
  readonly sources: readonly Cidr[];
}

export class GatewayEsp {
  readonly side: EspGatewaySide;
  readonly #options: GatewayEspOptions;
  #spi: number;
  /** What the client has not answered yet, in its order. */
  #offered: KeyBlock[] = [];
  #associations: EspAssociations | undefined;
  readonly #schedule: RekeySchedule;
  /** Since {@link settle} was last called. */
  #isDoubted = false;

  constructor(options: GatewayEspOptions) {
    this.#options = options;
    this.#spi = options.spi;
    this.side = new EspGatewaySide(options.log, 2 * options.terms.dpd);
    this.#schedule = new RekeySchedule(options.terms.lifetime);
  }

  /** Of the packets that may go by ESP. */
  get family(): 4 | 6 {
    return this.#options.family;
  }

  /** Keys for the client to send with: opened from now on. */
  offer(now: Millis): Uint8Array {
    const { crypto, terms } = this.#options;
    if (this.#associations !== undefined) this.#spi = nextSpi(this.#spi);
    const block = newKeyBlock(crypto, this.#spi);
    this.#offered.push(block);
    if (this.#associations !== undefined) this.#schedule.asked(now);
    this.side.rekey({ inbound: keysOf(block, terms.algorithms) }, now);
    return encodeEspOffer(block);
  }

  /** The numbers under these keys near their end: other keys. Undefined: the client has not answered those before, or there is no ESP yet, or no more. */
  renew(now: Millis): Uint8Array | undefined {
    return this.#schedule.isOver || this.#associations === undefined || this.#offered.length > 0 ? undefined : this.offer(now);
  }

  /** The client's answer: what it is sent goes under its keys. Throws {@link PeerMisbehavedError} for what is no answer to our offer. */
  answered(payload: Uint8Array, tunnelMtu: number, now: Millis, out: TunnelSink): 'first' | 'again' {
    const { own, echo } = decodeEspReply(payload);
    const { crypto, family, linkMtu, log, sources, terms } = this.#options;
    if (this.#schedule.isOver) return 'again';
    const place = this.#offered.findIndex(({ spi, bytes }) => spi === echo.spi && equalInConstantTime(bytes, echo.bytes));
    const [offered] = this.#offered.splice(0, place + 1).slice(-1);
    if (offered === undefined) {
      throw new PeerMisbehavedError('ESP: expected an answer to the keys that were offered');
    }
    if (this.#offered.length === 0) this.#schedule.agreed(now);
    const outbound = keysOf(own, terms.algorithms);
    if (this.#associations !== undefined) {
      this.side.rekey({ outbound }, now);
      log.log('debug', 'datagram rekey');
      return 'again';
    }
    this.#associations = new EspAssociations(crypto, { outbound, inbound: keysOf(offered, terms.algorithms) });
    this.side.begin(
      {
        ...{ associations: this.#associations, probe: zeroProbe('gateway', family), families: [family], innerSources: sources },
        ...{ tunnelMtu: Math.min(tunnelMtu, espMtu(linkMtu, family, terms.algorithms.mac)), cipherSuite: algorithmsText(terms.algorithms) },
      },
      now,
      out,
    );
    return 'first';
  }

  /** A packet came by the stream: if it could have come by ESP, the client does not trust that now. */
  cameByStream(packet: Packet): void {
    this.#isDoubted ||= isOfFamily(packet, this.#options.family);
  }

  /** To be called after everything else. */
  settle(now: Millis, out: TunnelSink): void {
    if (this.#isDoubted) this.side.heardOnStream(now);
    this.#isDoubted = false;
    this.side.settle(now, out);
  }

  nextTimeout(): Millis | undefined {
    const due = this.side.nextTimeout();
    const rekeyAt = this.#schedule.nextTimeout();
    return rekeyAt === undefined ? due : Math.min(rekeyAt, due ?? rekeyAt);
  }

  /** What the client is to be told: other keys. */
  handleTimeout(now: Millis, out: TunnelSink): Uint8Array | undefined {
    this.side.handleTimeout(now);
    const action = this.#schedule.handleTimeout(now);
    if (action === 'give-up') this.side.giveUp(out);
    return action === 'ask' ? this.offer(now) : undefined;
  }
}
