/** How much ocserv's `log-level` and `-d` (0 to 9) let through, in our levels. */
import type { LogLevel } from '../../core/log.ts';

const ORDER: readonly LogLevel[] = ['error', 'warn', 'info', 'debug', 'trace'];

/**
 * Spec "Gateway contract", section 2.1: 0 and 1 basic, 2 info, 3 debug, 4 HTTP, 8 sensitive, 9 TLS. Observed: at 1 ocserv says who logs in, so that is our
 * `info`. Nothing is ever sensitive here: secrets are not logged at any level.
 */
export function logThreshold(ocservLevel: number): LogLevel {
  if (ocservLevel >= 8) return 'trace';
  return ocservLevel >= 3 ? 'debug' : 'info';
}

export function isLogged(level: LogLevel, threshold: LogLevel): boolean {
  return ORDER.indexOf(level) <= ORDER.indexOf(threshold);
}
