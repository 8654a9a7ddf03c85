/**
 * openconnect in a namespace: Debian's, as the peer whose behaviour is compared, or any drop-in for it.
 *
 * Read first: spec "Client command-line contract", sections 3 (options) and 6 to 8 (what it prints, signals, exit codes).
 */
import type { Millis } from '../../src/core/tunnel/packet.ts';
import type { Namespace } from './namespaces.ts';
import type { Exit, Program } from './program.ts';

/** Debian's standard script, which sets addresses, routes and the resolver file. */
export const VPNC_SCRIPT = '/usr/share/vpnc-scripts/vpnc-script';

/** Debian's, the one that is replaced. */
export const OPENCONNECT: Command = ['openconnect'];

export interface OpenConnectOptions {
  /** A host or URL, as on the command line. */
  readonly gateway: string;
  /** For `--servercert`. */
  readonly pin?: string;
  /** For `--user`; the password is the first line of standard input. Without it nothing is answered. */
  readonly user?: { readonly name: string; readonly password: string };
  /** For `--interface`. Default `tun0`. */
  readonly device?: string;
  /** For `--script`. Default {@link VPNC_SCRIPT}. */
  readonly script?: string;
  /** Further arguments. */
  readonly args?: readonly string[];
  /** Further lines of standard input, after the password. */
  readonly input?: string;
  /** What to run. Default: {@link OPENCONNECT}. */
  readonly command?: Command;
}

/** A program with its first arguments. */
export type Command = readonly [string, ...string[]];

/** What openconnect says once the tunnel is configured. */
export interface Configured {
  readonly ipv4: string | undefined;
  /** With its prefix length. */
  readonly ipv6: string | undefined;
  /** In openconnect's words: `connected` and soon `established`, `in progress`, `disabled` … */
  readonly dtls: string;
}

export class OpenConnect {
  readonly program: Program;

  private constructor(program: Program) {
    this.program = program;
  }

  static async start(namespace: Namespace, options: OpenConnectOptions): Promise<OpenConnect> {
    const { gateway, pin, user, device = 'tun0', script = VPNC_SCRIPT, args = [], input = '', command = OPENCONNECT } = options;
    const [program, ...leading] = command;
    const all = [
      ...leading,
      ...['-v', '--non-inter', '--interface', device, '--script', reportingScript(script)],
      ...(pin === undefined ? [] : ['--servercert', pin]),
      ...(user === undefined ? [] : ['--user', user.name, '--passwd-on-stdin']),
      ...args,
      gateway,
    ];
    const password = user === undefined ? '' : `${user.password}\n`;
    return new OpenConnect(await namespace.start(program, all, { input: password + input }));
  }

  /** Waits until the network script has set up the device: from then on packets pass. */
  async up({ within }: { within?: Millis } = {}): Promise<Configured> {
    const configured = await this.configured(within === undefined ? {} : { within });
    await this.program.waitFor(/^script connect ended with 0$/m);
    return configured;
  }

  /** Waits until openconnect knows the session's configuration and has tried UDP; it runs the network script next. */
  async configured({ within }: { within?: Millis } = {}): Promise<Configured> {
    const line =
      /Configured as (?:([\d.]+))?(?: \+ )?(?:([0-9a-f:]*:[0-9a-f:]*(?:\/\d+)?))?, with SSL.* (?:dis)?connected and \S+(?: \+ \S+)? (.+)/;
    const [, ipv4, ipv6, dtls = ''] = await this.program.waitFor(line, within === undefined ? {} : { within });
    return { ipv4, ipv6, dtls };
  }

  /** Logs the session off (SIGINT) and waits for the end. */
  async disconnect(): Promise<Exit> {
    this.program.signal('SIGINT');
    return await this.program.finish();
  }
}

/** The script, followed by a line in openconnect's output that says which of its runs has ended, and how. `--script` takes a shell command. */
export function reportingScript(script: string): string {
  return `${script}; code=$?; echo "script $reason ended with $code"; exit $code`;
}
