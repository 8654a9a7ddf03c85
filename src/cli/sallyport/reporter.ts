/** Tells what happens to a connection: to people in sentences (text-reporter.ts), to programs in JSON (json-reporter.ts). */
import type { UnderlayChange } from '../../client/configured-network.ts';
import type { VpnProxyPlaces } from '../../client/proxy/vpn-proxy.ts';
import type { TrustQuestion } from '../../client/server-trust.ts';
import type { Transport, VpnState, VpnStatus } from '../../client/vpn-status.ts';
import type { Logger } from '../../core/log.ts';
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import type { CloseReason } from '../../core/tunnel/machine.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { Explanation } from './explanation.ts';

export interface Reporter extends Logger {
  /** Something that went wrong besides the connection, in a sentence. */
  problem(text: string): void;
  /** `gateway`: as the user named it. */
  starting(gateway: string): void;
  state(state: VpnState): void;
  authenticated(user: string | undefined): void;
  /** A certificate that nobody vouches for and nobody could be asked about: it was refused. */
  certificateRefused(question: TrustQuestion): void;
  /** Up for the first time. */
  connected(status: VpnStatus, config: TunnelConfig): void;
  /** Up, and programs can come by these ways. */
  ready(places: VpnProxyPlaces): void;
  /** The tunnel is over; another is tried, or the end follows. */
  lost(reason: CloseReason): void;
  /** Up again, after so long. */
  reconnected(status: VpnStatus, lostFor: Millis): void;
  /** Packets leave by another transport than before. */
  transport(transport: Transport, cipherSuite: string | undefined): void;
  waiting(wait: Millis, left: Millis): void;
  underlay(change: UnderlayChange): void;
  /** How things stand, each second. */
  tick(status: VpnStatus): void;
  /** How things stand, because someone asked (SIGUSR1). */
  status(status: VpnStatus): void;
  /** Someone asked for the end; `isForced`: again. */
  stopping(isForced: boolean): void;
  /** `status`: the last one, where there was a connection. */
  ended(why: Explanation, status: VpnStatus | undefined): void;
}
