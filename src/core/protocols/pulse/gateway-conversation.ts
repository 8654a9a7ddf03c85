/**
 * A gateway's side of what is said before a tunnel: the opening, then one question after the other.
 *
 * Read first: spec "Pulse", sections 4, 6.3 and 14.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { checkHttpLimit } from '../../http/limits.ts';
import { copyOf } from '../../wire/copy.ts';
import type { UpgradedStream } from '../gateway-protocol.ts';
import { agreedVersion, type ClientInformation, decodeAuth, encodeAuth, parseClientInformation, versionResponse } from './auth-payload.ts';
import { type Avp, decodeAvps, encodeAvps } from './avp.ts';
import { EAP_CODES, EAP_METHODS, type EapPacket } from './eap.ts';
import { IFT_KINDS, IftDeframer, IftWriter } from './ift-packet.ts';

/** Appliances begin about here. */
const FIRST_SEQUENCE = 0x1f5;

/** Bytes that a client may send before it has a tunnel (spec 14). */
const MAX_BYTES = 256 * 1024;

/** Thrown where the client left in the middle: nobody's mistake. */
export class ClientLeft extends PeerMisbehavedError {
  constructor() {
    super('The client left in the middle of its log-in.');
  }
}

export class GatewayConversation {
  readonly writer: IftWriter = new IftWriter(FIRST_SEQUENCE);
  readonly #stream: UpgradedStream;
  readonly #deframer = new IftDeframer();
  #received = 0;
  #id = 1;
  #version = 0;

  constructor(stream: UpgradedStream) {
    this.#stream = stream;
  }

  /** Of IF-T, as it was agreed upon. */
  get version(): number {
    return this.#version;
  }

  /** Up to the client's identity, which is everybody's. */
  async open(): Promise<ClientInformation> {
    this.#version = agreedVersion(await this.#receive(IFT_KINDS.versionRequest));
    this.#send(IFT_KINDS.versionResponse, versionResponse(this.#version));
    const information = parseClientInformation(await this.#receive(IFT_KINDS.clientInformation));
    this.#send(IFT_KINDS.authChallenge, encodeAuth());
    const identity = await this.#receiveAuth();
    if (identity.method !== EAP_METHODS.identity) throw new PeerMisbehavedError('EAP: expected an identity');
    return information;
  }

  /** Asks, and gives what was answered. */
  async ask(avps: readonly Avp[]): Promise<readonly Avp[]> {
    const id = this.#nextId();
    this.#challenge({ code: EAP_CODES.request, id, method: EAP_METHODS.conversation, data: encodeAvps(avps) });
    const answer = await this.#receiveAuth();
    if (answer.id !== id || answer.method !== EAP_METHODS.conversation)
      throw new PeerMisbehavedError('EAP: expected the answer to the question');
    return decodeAvps(answer.data);
  }

  /** Says something that has no answer: the log-in has failed. */
  tell(avps: readonly Avp[]): void {
    this.#challenge({ code: EAP_CODES.request, id: this.#nextId(), method: EAP_METHODS.conversation, data: encodeAvps(avps) });
  }

  /** The log-in is done (spec 6.8): what comes from here on is the tunnel's. */
  succeed(): void {
    this.#send(IFT_KINDS.authSuccess, encodeAuth({ code: EAP_CODES.success, id: this.#nextId(), data: new Uint8Array(0) }));
    this.#stream.unread(this.#deframer.takePartial());
  }

  fail(): void {
    this.#challenge({ code: EAP_CODES.failure, id: this.#nextId(), data: new Uint8Array(0) });
  }

  #challenge(packet: EapPacket): void {
    this.#send(IFT_KINDS.authChallenge, encodeAuth(packet));
  }

  #send(kind: number, payload: Uint8Array): void {
    this.#stream.write(this.writer.packet(kind, payload));
  }

  async #receiveAuth(): Promise<EapPacket> {
    const packet = decodeAuth(await this.#receive(IFT_KINDS.authResponse));
    if (packet?.code !== EAP_CODES.response) throw new PeerMisbehavedError('EAP: expected a response');
    return packet;
  }

  async #receive(kind: number): Promise<Uint8Array> {
    while (!this.#deframer.next()) {
      const bytes = await this.#stream.read();
      if (bytes === undefined) throw new ClientLeft();
      this.#received += bytes.length;
      checkHttpLimit(this.#received, MAX_BYTES, 'bytes before a tunnel');
      this.#deframer.push(bytes);
    }
    if (this.#deframer.kind !== kind) throw new PeerMisbehavedError(`IF-T packet: expected ${kind}, got ${this.#deframer.kind}`);
    return copyOf(this.#deframer.payload);
  }

  #nextId(): number {
    this.#id = (this.#id + 1) % 256;
    return this.#id;
  }
}
