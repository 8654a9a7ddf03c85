/** What a command line says, as it was typed: program.ts fills these in, client-options.ts turns them into what the client takes. */
import type { Verbosity } from './words.ts';

/** Of `login` and `connect`. Names as commander makes them of the options. */
export interface LoginArguments {
  readonly user?: string;
  readonly group?: string;
  readonly passwordStdin?: true;
  readonly answers?: string;
  readonly token?: string;
  readonly tokenMode: 'totp' | 'hotp';
  readonly certificate?: string;
  readonly key?: string;
  readonly keyPasswordStdin?: true;
  readonly pin?: readonly string[];
  readonly caFile?: string;
  /** False: `--no-system-trust`. */
  readonly systemTrust: boolean;
  readonly allowLegacy?: readonly ('tls' | 'dtls')[];
  readonly protocol: 'anyconnect';
  readonly proxy?: string;
  readonly proxyLogin?: string;
  readonly resolve?: readonly string[];
  readonly userAgent?: string;
  readonly verbose?: Verbosity;
  readonly json?: true;
}

export interface ConnectArguments extends LoginArguments {
  readonly cookieStdin?: true;
  readonly interface?: string;
  /** False: `--no-network`. */
  readonly network: boolean;
  readonly script?: string;
  readonly mtu?: number;
  /** False: `--no-udp`. */
  readonly udp: boolean;
  /** False: `--no-ipv6`. */
  readonly ipv6: boolean;
  readonly compression: 'none' | 'stateless' | 'all';
  /** Seconds. */
  readonly reconnectTimeout?: number;
  readonly background?: true;
}

export type CookieFormat = 'json' | 'shell' | 'cookie';
