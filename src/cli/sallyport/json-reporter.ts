/** Reports to programs: events as JSON lines, errors too. Asks nothing. */
import type { UnderlayChange } from '../../client/configured-network.ts';
import type { VpnProxyPlaces } from '../../client/proxy/vpn-proxy.ts';
import type { TrustQuestion } from '../../client/server-trust.ts';
import type { Transport, VpnState, VpnStatus } from '../../client/vpn-status.ts';
import type { LogFields, LogLevel } from '../../core/log.ts';
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import type { CloseReason } from '../../core/tunnel/machine.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatCidr, formatIp } from '../../core/wire/ip-address.ts';
import { printable } from '../../core/wire/text.ts';
import { EXIT } from './exit-codes.ts';
import type { Explanation } from './explanation.ts';
import { type JsonEvent, renderEvent } from './json-events.ts';
import type { Reporter } from './reporter.ts';
import { isLogged, type Verbosity, warningText } from './words.ts';

export interface JsonReporterOptions {
  readonly write: (line: string) => void;
  readonly verbosity: Verbosity;
  readonly version: string;
  readonly now: () => Date;
}

export class JsonReporter implements Reporter {
  readonly #options: JsonReporterOptions;

  constructor(options: JsonReporterOptions) {
    this.#options = options;
  }

  log(level: LogLevel, event: string, fields: LogFields = {}): void {
    const message = warningText(level, event, fields);
    if (message !== undefined) this.#emit({ event: 'warning', name: event, message });
    if (isLogged(level, this.#options.verbosity)) this.#emit({ event: 'log', level, name: event, fields });
  }

  problem(text: string): void {
    this.#emit({ event: 'warning', name: 'problem', message: text });
  }

  starting(gateway: string): void {
    this.#emit({ event: 'start', gateway, pid: process.pid, version: this.#options.version });
  }

  state(state: VpnState): void {
    this.#emit({ event: 'state', state });
  }

  authenticated(user: string | undefined): void {
    this.#emit({ event: 'authenticated', ...(user !== undefined && { user }) });
  }

  certificateRefused({ host, port, fault, pin }: TrustQuestion): void {
    this.#emit({ event: 'certificate-refused', host, port, fault, pin });
  }

  connected(status: VpnStatus, config: TunnelConfig): void {
    const { include, exclude, dns, searchDomains, splitDns, banner } = config;
    this.#emit({
      event: 'connected',
      status,
      network: {
        include: include.map(formatCidr),
        exclude: exclude.map(formatCidr),
        dns: dns.map(formatIp),
        searchDomains,
        splitDns,
        ...(banner !== undefined && { banner: printable(banner) }),
      },
    });
  }

  ready(places: VpnProxyPlaces): void {
    this.#emit({ event: 'ready', ...places });
  }

  lost({ kind, message }: CloseReason): void {
    this.#emit({ event: 'lost', reason: kind, message });
  }

  reconnected(status: VpnStatus, lostFor: Millis): void {
    this.#emit({ event: 'reconnected', status, lostSeconds: seconds(lostFor) });
  }

  transport(transport: Transport, cipherSuite: string | undefined): void {
    this.#emit({ event: 'transport', transport, ...(cipherSuite !== undefined && { cipherSuite }) });
  }

  waiting(wait: Millis, left: Millis): void {
    this.#emit({ event: 'waiting', seconds: seconds(wait), remainingSeconds: seconds(left) });
  }

  underlay({ now: { way } }: UnderlayChange): void {
    this.#emit({ event: 'underlay', isLost: way === undefined, ...way });
  }

  /** Programs ask for it: `sallyport status --json`. */
  tick(): void {}

  status(status: VpnStatus): void {
    this.#emit({ event: 'status', status });
  }

  stopping(isForced: boolean): void {
    this.#emit({ event: 'stopping', isForced });
  }

  ended(why: Explanation, status: VpnStatus | undefined): void {
    const { code, message, exitCode, next } = why;
    if (exitCode !== EXIT.ok) this.#emit({ event: 'error', code, message, exitCode, ...(next !== undefined && { next }) });
    this.#emit({ event: 'end', code, message, exitCode, ...(status !== undefined && { status }) });
  }

  #emit(event: JsonEvent): void {
    this.#options.write(renderEvent(event, this.#options.now()));
  }
}

function seconds(duration: Millis): number {
  return Math.round(duration / 1000);
}
