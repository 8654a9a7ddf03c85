/** Waiting for what cannot be stopped: whoever cancels does not wait for it to end. */
import { CancelledError } from '../core/errors.ts';

/** As `work` does; rejects with {@link CancelledError} as soon as the signal fires, whatever becomes of `work` then. */
export async function unlessCancelled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const cancelled = Promise.withResolvers<never>();
  const cancel = () => cancelled.reject(new CancelledError());
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await Promise.race([cancelled.promise, work]);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}
