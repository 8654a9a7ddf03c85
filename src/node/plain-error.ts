/** Errors as data: classes do not survive the way between threads and processes. */
import {
  CancelledError,
  MisuseError,
  NetworkError,
  PeerMisbehavedError,
  PeerRefusedError,
  SallyportError,
  UnsupportedError,
} from '../core/errors.ts';

export interface PlainError {
  readonly kind: string;
  readonly code: string;
  readonly message: string;
}

const REVIVERS: Readonly<Record<string, (error: PlainError) => SallyportError>> = {
  NetworkError: ({ message, code }) => new NetworkError(message, { code }),
  PeerMisbehavedError: ({ message, code }) => new PeerMisbehavedError(message, { code }),
  PeerRefusedError: ({ message, code }) => new PeerRefusedError(message, { code }),
  UnsupportedError: ({ message }) => new UnsupportedError(message),
  MisuseError: ({ message }) => new MisuseError(message),
  CancelledError: ({ message }) => new CancelledError(message),
};

export function plainError(error: unknown): PlainError {
  if (error instanceof SallyportError) return { kind: error.name, code: error.code, message: error.message };
  return {
    kind: 'SallyportError',
    code: 'ERR_INTERNAL',
    message: `Sallyport failed: ${error instanceof Error ? error.message : String(error)}`,
  };
}

export function revivedError(error: PlainError): SallyportError {
  return REVIVERS[error.kind]?.(error) ?? new SallyportError(error.code, error.message);
}
