/**
 * What the client's and the server's handshake have in common towards the machine that runs them: a role decides what the messages mean and what to
 * answer; numbers, fragments, epochs, repetition and records are the machine's (`handshake-machine.ts`).
 */
import { equalInConstantTime } from '../crypto/constant-time.ts';
import { PeerMisbehavedError, type SallyportError } from '../errors.ts';
import type { AlertName } from '../tls-messages/alerts.ts';
import type { HandshakeMessage } from '../tls-messages/handshake-fragment.ts';
import { decodeFinished, type HandshakeType, handshakeTypeName } from '../tls-messages/handshake-messages.ts';
import type { HandshakeContext, SessionSecrets, Side } from './session-secrets.ts';
import type { DtlsSession } from './state.ts';
import type { SuiteRecordProtection } from './suite-protection.ts';

export interface HandshakeRole {
  readonly side: Side;
  /** The owner's first call. A server waits. */
  start(io: HandshakeIo): void;
  /** The next whole message, in order. Throws {@link HandshakeAbort}, or what a decoder throws, to end the handshake. */
  receive(message: HandshakeMessage, io: HandshakeIo): void;
  /** Overwrites what is secret. Called once the handshake has an outcome. */
  wipe(): void;
}

/** What a role can do. Everything sent during one call is one flight. */
export interface HandshakeIo extends HandshakeContext {
  /** The version that records in the clear say from now on: that of the dialect, unless a role sets another for a first message. */
  set recordVersion(version: number);
  send(type: HandshakeType, body: Uint8Array): void;
  /** What is sent from here on is under these keys. */
  sendChangeCipherSpec(protection: SuiteRecordProtection): void;
  /** From the peer's ChangeCipherSpec on, its records are under these keys. */
  expectChangeCipherSpec(protection: SuiteRecordProtection): void;
  /** Server: answers a hello without keeping anything of it (RFC 6347 §4.2.1). */
  sendHelloVerifyRequest(body: Uint8Array): void;
  /** Server: forgets a hello that is none of ours, without an answer. */
  ignoreHello(): void;
  /** Both Finished are verified or sent. */
  finish(session: DtlsSession): void;
}

/** Ends a handshake: what the peer is told, and what the owner is. */
export class HandshakeAbort extends Error {
  readonly alert: AlertName;
  readonly error: SallyportError;

  constructor(alert: AlertName, error: SallyportError) {
    super(error.message, { cause: error });
    this.name = 'HandshakeAbort';
    this.alert = alert;
    this.error = error;
  }
}

export function unexpectedMessage(message: HandshakeMessage, expected: string): HandshakeAbort {
  return misbehaved('unexpected_message', `expected ${expected}, got ${handshakeTypeName(message.type)}`);
}

export function misbehaved(alert: AlertName, what: string): HandshakeAbort {
  return new HandshakeAbort(alert, new PeerMisbehavedError(`DTLS handshake: ${what}.`));
}

/** Checks the other side's Finished: the proof that it has the secret and saw the handshake as we did. */
export function verifyFinished(message: HandshakeMessage, side: Side, secrets: SessionSecrets, io: HandshakeIo): void {
  if (!equalInConstantTime(decodeFinished(message.body), secrets.verifyData(side, io.transcript))) {
    throw misbehaved('decrypt_error', `Finished of the ${side} does not fit what we saw of the handshake`);
  }
  io.transcript.add(message);
}

export function sendFinished(side: Side, secrets: SessionSecrets, io: HandshakeIo): void {
  io.sendChangeCipherSpec(secrets.protections[side]);
  io.send('finished', secrets.verifyData(side, io.transcript));
}
