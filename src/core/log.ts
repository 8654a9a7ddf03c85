/**
 * Logging as events with fields, not prose: `logger.log('info', 'stream up', { mtu: 1406 })`. Each skin renders them in
 * its own words (the drop-in speaks as openconnect does); secrets travel as {@link Secret} and print as `[secret]`.
 */
import type { Secret } from './secret.ts';

/** error: someone must act; warn: works, but; info: what a user would tell a friend; debug: what we would ask for; trace: bytes. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'trace';

export type LogFields = Readonly<Record<string, string | number | boolean | Secret | undefined>>;

export interface Logger {
  log(level: LogLevel, event: string, fields?: LogFields): void;
}

export const silentLogger: Logger = { log: () => undefined };
