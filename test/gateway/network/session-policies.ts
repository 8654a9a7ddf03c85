/** Policies as tests change them. */
import type { SessionPolicy } from '../../../src/gateway/config/gateway-config.ts';
import type { TermsFacts } from '../../../src/gateway/network/policy-terms.ts';
import { SAMPLE_POLICY } from '../config-samples.ts';
import { ALICES_SESSION } from './session-facts.ts';

/** What a file that says nothing makes, but for the figures of ocserv's sample file. */
export const PLAIN_POLICY: SessionPolicy = { ...SAMPLE_POLICY, rekeyTime: 172_800_000, maxSameClients: 16 };

export function termsFacts(policy: Partial<SessionPolicy>, more: Partial<TermsFacts> = {}): TermsFacts {
  return {
    policy: { ...PLAIN_POLICY, ...policy },
    session: { user: 'alice', group: 'staff', createdAt: 1_700_000_000_000 },
    lease: ALICES_SESSION.lease,
    wishes: { wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent: 'Open AnyConnect VPN Agent v9.01-3' },
    host: { udpPort: 443, mtu: 1500 },
    clientNetworks: [],
    ...more,
  };
}
