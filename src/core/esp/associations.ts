/**
 * The SAs of one session, both directions. They outlive a UDP flow, and a rekey replaces them: what was sent before it is still opened for a while.
 *
 * Read first: spec "ESP", sections 3, 5.6 and 9.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { Millis } from '../tunnel/packet.ts';
import { REPLAY_WINDOW } from '../tunnel/replay-window.ts';
import type { DataMatch, PacketException, TrafficDescription } from '../tunnel/traffic.ts';
import { type EspKeys, EspReceiver, EspSender, NEXT_HEADER } from './packet.ts';

/** How long packets under the keys before are still taken (spec 5.6: five seconds at least). */
const OLD_KEYS_LIFE: Millis = 10_000;

export interface EspKeyPair {
  /** What we send with. */
  readonly outbound: EspKeys;
  /** What the peer sends with. */
  readonly inbound: EspKeys;
}

/** Of the packets on a flow: which of them a packet engine carries. */
export interface CarriedPackets {
  /** Of those that it sends. */
  readonly families: readonly (4 | 6)[] | undefined;
  readonly exceptions: readonly PacketException[] | undefined;
}

export class EspAssociations {
  readonly #crypto: CryptoProvider;
  readonly #cipher: EspKeys['cipher'];
  readonly #macName: EspKeys['mac'];
  #sender: EspSender;
  #receiver: EspReceiver;
  #old: { readonly receiver: EspReceiver; readonly until: Millis } | undefined;
  #changes = 0;

  constructor(crypto: CryptoProvider, { outbound, inbound }: EspKeyPair) {
    this.#crypto = crypto;
    this.#cipher = outbound.cipher;
    this.#macName = outbound.mac;
    this.#sender = new EspSender(crypto, outbound);
    this.#receiver = new EspReceiver(crypto, inbound);
  }

  get sender(): EspSender {
    return this.#sender;
  }

  /** How often it has changed what is sealed and opened under. */
  get changes(): number {
    return this.#changes;
  }

  /** Until when the keys before are taken; undefined: there are none. */
  get oldUntil(): Millis | undefined {
    return this.#old?.until;
  }

  /** Other keys for one direction or both. The numbers begin again with them. */
  rekey({ outbound, inbound }: Partial<EspKeyPair>, now: Millis): void {
    this.#changes++;
    if (outbound !== undefined) this.#sender = new EspSender(this.#crypto, outbound);
    if (inbound === undefined) return;
    this.#old = { receiver: this.#receiver, until: now + OLD_KEYS_LIFE };
    this.#receiver = new EspReceiver(this.#crypto, inbound);
  }

  /** Nothing is opened any more that was sent before the last change of keys: which numbers were seen under those before, nobody knows. */
  forgetOld(): void {
    if (this.#old !== undefined) this.#changes++;
    this.#old = undefined;
  }

  /** The same where the time of the keys before is over. */
  expire(now: Millis): void {
    if (this.#old !== undefined && now >= this.#old.until) this.forgetOld();
  }

  /** Whoever opened the datagram, decrypted in place, with what is in it; undefined: nobody. */
  open(datagram: Uint8Array, now: Millis): EspReceiver | undefined {
    if (this.#receiver.open(datagram)) return this.#receiver;
    this.expire(now);
    return this.#old?.receiver.open(datagram) === true ? this.#old.receiver : undefined;
  }

  /** For the packet engine. From then on it alone seals and opens: these machines' numbers stand still. */
  handOver({ families = [4, 6], exceptions = [] }: CarriedPackets): Omit<TrafficDescription, 'tunnelMtu'> {
    const old = this.#old === undefined ? [] : [this.#old.receiver.exportKey()];
    return {
      record: { kind: 'esp', cipher: this.#cipher, mac: this.#macName },
      seal: this.#sender.exportKey(),
      open: [this.#receiver.exportKey(), ...old],
      replayWindow: REPLAY_WINDOW,
      framing: {
        frame: { bytes: new Uint8Array(0), lengths: [] },
        sent: { ...(families.includes(4) && { ipv4: IPV4 }), ...(families.includes(6) && { ipv6: IPV6 }) },
        isData: DATA,
        exceptions,
      },
    };
  }
}

const IPV4 = Uint8Array.of(NEXT_HEADER.ipv4);
const IPV6 = Uint8Array.of(NEXT_HEADER.ipv6);
const DATA: DataMatch = {
  offset: 0,
  values: [
    { bytes: IPV4, family: 4 },
    { bytes: IPV6, family: 6 },
  ],
};
