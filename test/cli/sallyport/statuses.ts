/** Connections as tests start from them. */
import type { VpnStatus } from '../../../src/client/vpn-status.ts';

/** When it came up. */
export const START: number = Date.parse('2026-11-24T10:00:00Z');

export function status(changes: Partial<VpnStatus> = {}): VpnStatus {
  return {
    state: 'up',
    gateway: { host: 'vpn.example.com', port: 443, address: '203.0.113.9' },
    user: 'alice',
    device: 'tun0',
    addresses: ['10.99.0.50/24', 'fd99::50/64'],
    mtu: 1400,
    transport: 'dtls',
    cipherSuite: 'DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384',
    upSince: new Date(START).toISOString(),
    traffic: {
      received: { packets: 1000, bytes: 1_234_567, bytesPerSecond: 340_000 },
      sent: { packets: 500, bytes: 80_000, bytesPerSecond: 1200 },
    },
    ...changes,
  };
}
