/** How the two ends of a full handshake come to one secret: by a key that both have, or by a certificate. */
import { PeerMisbehavedError } from '../errors.ts';
import type { HandshakeMessage } from '../tls-messages/handshake-fragment.ts';
import {
  decodePskClientKeyExchange,
  decodePskIdentityHint,
  encodePskClientKeyExchange,
  HANDSHAKE_TYPES,
} from '../tls-messages/handshake-messages.ts';
import { pskPremaster } from '../tls-messages/key-schedule.ts';
import type { HandshakeIo } from './handshake-role.ts';

/** The client's part, from ServerHello to Finished. All may throw as a role does. */
export interface ClientKeyExchange {
  /** A message between ServerHello and ServerHelloDone. False: it has no place here. */
  receive(message: HandshakeMessage): boolean;
  /** After ServerHelloDone: sends up to ClientKeyExchange, and says the premaster secret, which the caller wipes. */
  agree(io: HandshakeIo): Uint8Array;
  /** Sends what stands between ClientKeyExchange and ChangeCipherSpec. */
  prove(io: HandshakeIo): void;
  wipe(): void;
}

/** The server's part, from ServerHello to Finished. */
export interface ServerKeyExchange {
  /** Sends what stands between ServerHello and ServerHelloDone. */
  offer(io: HandshakeIo): void;
  /** Reads ClientKeyExchange, and says the premaster secret, which the caller wipes. */
  agree(body: Uint8Array, io: HandshakeIo): Uint8Array;
  wipe(): void;
}

export class PskClientExchange implements ClientKeyExchange {
  readonly #key: Uint8Array;
  readonly #identity: Uint8Array;
  #isHinted = false;

  constructor(key: Uint8Array, identity: Uint8Array) {
    this.#key = key;
    this.#identity = identity;
  }

  receive(message: HandshakeMessage): boolean {
    if (message.type !== HANDSHAKE_TYPES.serverKeyExchange || this.#isHinted) return false;
    decodePskIdentityHint(message.body); // there is one key: nothing to choose by a hint
    this.#isHinted = true;
    return true;
  }

  agree(io: HandshakeIo): Uint8Array {
    io.send('clientKeyExchange', encodePskClientKeyExchange(this.#identity));
    return pskPremaster(this.#key);
  }

  prove(): void {
    // The key is the proof.
  }

  wipe(): void {
    this.#key.fill(0);
  }
}

export class PskServerExchange implements ServerKeyExchange {
  readonly #key: Uint8Array;

  /** Takes the key over, to wipe it. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  offer(): void {
    // No hint: whose key it is was said in the hello.
  }

  agree(body: Uint8Array): Uint8Array {
    decodePskClientKeyExchange(body); // spec "AnyConnect", 7.7: the identity's value means nothing
    return pskPremaster(this.#key);
  }

  wipe(): void {
    this.#key.fill(0);
  }
}

export function missingMessage(what: string): PeerMisbehavedError {
  return new PeerMisbehavedError(`DTLS handshake: the server sent no ${what}.`);
}
