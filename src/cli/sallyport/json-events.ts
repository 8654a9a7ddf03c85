/**
 * What `--json` prints: one object a line. The schema is docs/sallyport-events.schema.json; within a version events and fields are only added.
 *
 * Read first: docs/manual.md, "Events".
 */
import type { VpnProxyPlaces } from '../../client/proxy/vpn-proxy.ts';
import type { VpnState, VpnStatus } from '../../client/vpn-status.ts';
import type { LogLevel } from '../../core/log.ts';
import type { CloseReason } from '../../core/tunnel/machine.ts';
import type { ExitCode } from './exit-codes.ts';

export const EVENTS_VERSION = 1;

export type JsonEvent =
  | { readonly event: 'start'; readonly gateway: string; readonly pid: number; readonly version: string }
  | { readonly event: 'state'; readonly state: VpnState }
  | { readonly event: 'authenticated'; readonly user?: string }
  | { readonly event: 'certificate-refused'; readonly host: string; readonly port: number; readonly fault: string; readonly pin: string }
  | { readonly event: 'connected'; readonly status: VpnStatus; readonly network: NetworkEvent }
  | ({ readonly event: 'ready' } & VpnProxyPlaces)
  | { readonly event: 'lost'; readonly reason: CloseReason['kind']; readonly message: string }
  | { readonly event: 'reconnected'; readonly status: VpnStatus; readonly lostSeconds: number }
  | { readonly event: 'transport'; readonly transport: string; readonly cipherSuite?: string }
  | { readonly event: 'waiting'; readonly seconds: number; readonly remainingSeconds: number }
  | { readonly event: 'underlay'; readonly isLost: boolean; readonly device?: string; readonly via?: string }
  | { readonly event: 'warning'; readonly name: string; readonly message: string }
  | { readonly event: 'log'; readonly level: LogLevel; readonly name: string; readonly fields: object }
  | { readonly event: 'status'; readonly status: VpnStatus }
  | { readonly event: 'stopping'; readonly isForced: boolean }
  | { readonly event: 'error'; readonly code: string; readonly message: string; readonly next?: string; readonly exitCode: ExitCode }
  | { readonly event: 'end'; readonly code: string; readonly message: string; readonly exitCode: ExitCode; readonly status?: VpnStatus };

/** What goes through the tunnel: networks as `address/prefix`; no includes of a family that has an address: all of it. */
export interface NetworkEvent {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly dns: readonly string[];
  readonly searchDomains: readonly string[];
  readonly splitDns: readonly string[];
  readonly banner?: string;
}

/** One line. */
export function renderEvent(event: JsonEvent, time: Date): string {
  return `${JSON.stringify({ v: EVENTS_VERSION, time: time.toISOString(), ...event })}\n`;
}
