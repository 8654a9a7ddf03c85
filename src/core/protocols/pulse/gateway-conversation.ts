/**
 * A gateway's side of what is said before a tunnel: the opening, then one question after the other.
 *
 * Read first: spec "Pulse", sections 4, 6.3, 7 and 14.
 */
import type { ClientFindings, InnerTlsServer } from '../../auth/inner-tls.ts';
import { PeerMisbehavedError } from '../../errors.ts';
import { checkHttpLimit } from '../../http/limits.ts';
import { copyOf } from '../../wire/copy.ts';
import type { UpgradedStream } from '../gateway-protocol.ts';
import { agreedVersion, type ClientInformation, decodeAuth, encodeAuth, parseClientInformation, versionResponse } from './auth-payload.ts';
import { type Avp, decodeAvps, encodeAvps } from './avp.ts';
import { EAP_CODES, EAP_METHODS, type EapPacket } from './eap.ts';
import { GatewayTtls } from './gateway-ttls.ts';
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
  /** All questions are asked inside of it, once there is one. */
  #ttls: GatewayTtls | undefined;

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
    checkIdentity(await this.#receiveAuth());
    return information;
  }

  /** Goes on inside of TLS, in which the client may show its certificate; until the log-in is done. */
  async openInside(tls: InnerTlsServer): Promise<ClientFindings> {
    const ttls = new GatewayTtls(tls, {
      challenge: (data) => this.#challenge({ code: EAP_CODES.request, id: this.#nextId(), method: EAP_METHODS.ttls, data }),
      response: async () => {
        const { id, method, data } = await this.#receiveAuth();
        if (id !== this.#id || method !== EAP_METHODS.ttls) throw new PeerMisbehavedError('EAP: expected an answer by EAP-TTLS');
        return data;
      },
    });
    this.#ttls = ttls;
    checkIdentity(await ttls.open());
    return tls.client;
  }

  /** Asks, and gives what was answered. */
  async ask(avps: readonly Avp[]): Promise<readonly Avp[]> {
    const question = this.#question(avps);
    const answer = await (this.#ttls?.ask(question) ?? this.#askOutside(question));
    if (answer.id !== question.id || answer.method !== EAP_METHODS.conversation)
      throw new PeerMisbehavedError('EAP: expected the answer to the question');
    return decodeAvps(answer.data);
  }

  /** Says something that has no answer: the log-in has failed. */
  async tell(avps: readonly Avp[]): Promise<void> {
    const packet = this.#question(avps);
    if (this.#ttls === undefined) this.#challenge(packet);
    else await this.#ttls.tell(packet);
  }

  /** The log-in is done (spec 6.8): what comes from here on is the tunnel's. */
  succeed(): void {
    this.#send(IFT_KINDS.authSuccess, encodeAuth({ code: EAP_CODES.success, id: this.#nextId(), data: new Uint8Array(0) }));
    this.#stream.unread(this.#deframer.takePartial());
  }

  fail(): void {
    this.#challenge({ code: EAP_CODES.failure, id: this.#nextId(), data: new Uint8Array(0) });
  }

  /** To whatever end the log-in has come. */
  close(): void {
    this.#ttls?.close();
  }

  #question(avps: readonly Avp[]): EapPacket {
    return { code: EAP_CODES.request, id: this.#nextId(), method: EAP_METHODS.conversation, data: encodeAvps(avps) };
  }

  #askOutside(question: EapPacket): Promise<EapPacket> {
    this.#challenge(question);
    return this.#receiveAuth();
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

function checkIdentity({ method }: EapPacket): void {
  if (method !== EAP_METHODS.identity) throw new PeerMisbehavedError('EAP: expected an identity');
}
