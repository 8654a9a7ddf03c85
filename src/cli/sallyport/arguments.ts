/** What a command line says, as it was typed: program.ts fills these in, client-options.ts turns them into what the client takes. */
import type { ProtocolId } from '../../core/auth/protocol-id.ts';
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
  readonly protocol: ProtocolId | 'auto';
  readonly proxy?: string;
  readonly proxyLogin?: string;
  readonly resolve?: readonly string[];
  readonly browser?: string;
  readonly resource?: string;
  readonly userAgent?: string;
  readonly verbose?: Verbosity;
  readonly json?: true;
}

/** Of all commands that make a tunnel. */
export interface TunnelArguments extends LoginArguments {
  readonly cookieStdin?: true;
  readonly mtu?: number;
  /** False: `--no-udp`. */
  readonly udp: boolean;
  /** False: `--no-ipv6`. */
  readonly ipv6: boolean;
  readonly compression: 'none' | 'stateless' | 'all';
  /** Seconds. */
  readonly reconnectTimeout?: number;
}

export interface ConnectArguments extends TunnelArguments {
  readonly interface?: string;
  /** False: `--no-network`. */
  readonly network: boolean;
  readonly script?: string;
  readonly background?: true;
}

/** What goes which way, of the commands that are proxies. */
export interface WayArguments {
  readonly via?: readonly string[];
  readonly direct?: readonly string[];
}

export interface ExecArguments extends TunnelArguments, WayArguments {
  readonly netns?: true;
}

export interface ProxyArguments extends TunnelArguments, WayArguments {
  readonly listen?: string;
  readonly dns?: string;
  /** A file with a line USER:PASSWORD. */
  readonly auth?: string;
  readonly open?: true;
  readonly localForward?: readonly string[];
  readonly remoteForward?: readonly string[];
}

export type CookieFormat = 'json' | 'shell' | 'cookie';
