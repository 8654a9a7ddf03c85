/**
 * The error classes of Sallyport. The class says who is to blame; `code` is stable API; the message is for people and
 * says what happened, what was expected and, where there is one, the next step.
 */

/** Every error this library throws on purpose. */
export class SallyportError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The peer sent bytes that the protocol does not allow. Never our bug, always theirs or an attacker's. */
export class PeerMisbehavedError extends SallyportError {
  constructor(message: string, options?: ErrorOptions & { readonly code?: string }) {
    super(options?.code ?? 'ERR_PEER_MISBEHAVED', message, options);
  }
}

/** The bytes end before the value does: wait for more of a stream, or blame the peer if there is no more to come. */
export class TruncatedError extends PeerMisbehavedError {
  constructor(message: string) {
    super(message, { code: 'ERR_TRUNCATED' });
  }
}

/** A legal "no" from the peer: a wrong password, a full gateway, a session that has ended. */
export class PeerRefusedError extends SallyportError {
  constructor(message: string, options?: ErrorOptions & { readonly code?: string }) {
    super(options?.code ?? 'ERR_PEER_REFUSED', message, options);
  }
}

/** Legal, but something we do not do. */
export class UnsupportedError extends SallyportError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_UNSUPPORTED', message, options);
  }
}

/** The caller's mistake: an option that cannot be, a method called in the wrong state. */
export class MisuseError extends SallyportError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_MISUSE', message, options);
  }
}

/** The path to the peer failed: no route, refused, reset, timed out, name not found. */
export class NetworkError extends SallyportError {
  constructor(message: string, options?: ErrorOptions & { readonly code?: string }) {
    super(options?.code ?? 'ERR_NETWORK', message, options);
  }
}

/** A connection that was open ended where an answer was to come. */
export class UnansweredError extends NetworkError {}

/** Something had not happened when the time for it was over: with more time it might. Often the cause of another error. */
export class TooLateError extends NetworkError {}

/** Code of a {@link NetworkError}: nobody vouches for the peer's certificate, or it has another key than was expected. */
export const CERTIFICATE_NOT_TRUSTED = 'ERR_CERTIFICATE_NOT_TRUSTED';

/** Someone asked us to stop: an aborted signal, a person who closed the prompt. */
export class CancelledError extends SallyportError {
  constructor(message = 'Cancelled.', options?: ErrorOptions) {
    super('ERR_CANCELLED', message, options);
  }
}
