/**
 * A gateway's EAP-TTLS: TLS that the world has, in EAP packets, and what is said inside of it.
 *
 * Read first: spec "Pulse", section 7; RFC 5281 §9.
 *
 *   start ─► ClientHello ─► … ─► Finished ─► identity ─► question, answer …        each packet of ours is answered with one of the client's
 */
import type { InnerTlsServer } from '../../auth/inner-tls.ts';
import { PeerMisbehavedError } from '../../errors.ts';
import { EAP_CODES, type EapPacket } from './eap.ts';
import { encodeInner, InnerPackets, TTLS_START, TtlsMessages } from './eap-ttls.ts';

/** EAP packets of this method, outside. */
export interface TtlsCarrier {
  challenge(data: Uint8Array): void;
  /** The answer to the last challenge. */
  response(): Promise<Uint8Array>;
}

export class GatewayTtls {
  readonly #tls: InnerTlsServer;
  readonly #carrier: TtlsCarrier;
  readonly #messages = new TtlsMessages();
  readonly #inner = new InnerPackets();

  constructor(tls: InnerTlsServer, carrier: TtlsCarrier) {
    this.#tls = tls;
    this.#carrier = carrier;
  }

  /** The handshake, and the first that the client says inside: who it is. Rejects with NetworkError if TLS failed. */
  async open(): Promise<EapPacket> {
    await this.#exchange(TTLS_START);
    while (!this.#tls.isOpen) await this.#turn();
    return this.#hear();
  }

  async ask(packet: EapPacket): Promise<EapPacket> {
    this.#tls.write(encodeInner(packet));
    await this.#tls.settle();
    return this.#hear();
  }

  /** What has no answer. */
  async tell(packet: EapPacket): Promise<void> {
    this.#tls.write(encodeInner(packet));
    await this.#tls.settle();
    this.#carrier.challenge(this.#messages.send(this.#tls.takeRecords()));
  }

  close(): void {
    this.#tls.close();
  }

  async #hear(): Promise<EapPacket> {
    for (;;) {
      const packet = this.#inner.next();
      if (packet === undefined) await this.#turn();
      else if (packet.code !== EAP_CODES.response) throw new PeerMisbehavedError('EAP: expected a response');
      else return packet;
    }
  }

  /** All that TLS has to say, and what the client says to that. */
  async #turn(): Promise<void> {
    const records = this.#tls.takeRecords();
    const received = await this.#exchange(this.#messages.send(records));
    // Neither side has anything to say: it would go on like that.
    if (records.length === 0 && received === 0) throw new PeerMisbehavedError('EAP-TTLS: expected the client to go on');
  }

  /** Sends one packet, and the rest of its message; how many bytes of TLS came in the end. */
  async #exchange(first: Uint8Array): Promise<number> {
    for (let data = first; ; ) {
      this.#carrier.challenge(data);
      const turn = this.#messages.receive(await this.#carrier.response());
      switch (turn.type) {
        case 'start':
          throw new PeerMisbehavedError('EAP-TTLS: the client began anew');
        case 'answer':
          data = turn.data;
          break;
        case 'message':
          this.#tls.receive(turn.bytes);
          await this.#tls.settle();
          this.#inner.push(this.#tls.takeReceived());
          return turn.bytes.length;
        default:
          turn satisfies never;
      }
    }
  }
}
