import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseVpnStatus, transportOf, VPN_STATES, type VpnStatus } from '../../src/client/vpn-status.ts';
import { PeerMisbehavedError } from '../../src/core/errors.ts';
import { toleratingOwnErrors } from '../support/own-errors.ts';

const text = fc.string({ maxLength: 50 });
const traffic = fc.record({ packets: fc.nat(), bytes: fc.maxSafeNat(), bytesPerSecond: fc.nat() }, { noNullPrototype: true });
const statuses: fc.Arbitrary<VpnStatus> = fc.record(
  {
    state: fc.constantFrom(...VPN_STATES),
    gateway: fc.record({ host: text, port: fc.nat(65_535), address: text }, { requiredKeys: ['host', 'port'], noNullPrototype: true }),
    user: text,
    device: text,
    addresses: fc.array(text, { maxLength: 3 }),
    mtu: fc.nat(65_535),
    transport: fc.constantFrom('dtls' as const, 'esp' as const, 'tls' as const),
    cipherSuite: text,
    upSince: text,
    expiresAt: text,
    reconnecting: fc.record({ since: text, nextTryAt: text }, { requiredKeys: ['since'], noNullPrototype: true }),
    traffic: fc.record({ received: traffic, sent: traffic }, { noNullPrototype: true }),
  },
  { requiredKeys: ['state', 'gateway', 'addresses', 'traffic'], noNullPrototype: true },
);

const sample: VpnStatus = {
  state: 'up',
  gateway: { host: 'vpn.example.com', port: 443 },
  addresses: ['10.0.0.2/24'],
  traffic: { received: { packets: 1, bytes: 2, bytesPerSecond: 3 }, sent: { packets: 4, bytes: 5, bytesPerSecond: 6 } },
};

describe('the status of a connection', () => {
  it('is read back as it was sent', () => {
    fc.assert(fc.property(statuses, (status) => assert.deepEqual(parseVpnStatus(JSON.parse(JSON.stringify(status))), status)));
  });

  it('names what goes by UDP as its cipher does', () => {
    assert.equal(transportOf('datagram', 'ESP-AES-256-CBC-SHA256'), 'esp');
    assert.equal(transportOf('datagram', 'DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384'), 'dtls');
    assert.equal(transportOf('datagram', undefined), 'dtls');
    assert.equal(transportOf('stream', 'TLSv1.3-TLS_AES_256_GCM_SHA384'), 'tls');
  });

  it('says nothing that is not expected', () => {
    assert.deepEqual(parseVpnStatus({ ...sample, surprise: 'x' }), sample);
  });

  it('is refused where a field is missing, of another kind, or too long', () => {
    for (const [wrong, message] of [
      [null, /status: expected an object/],
      [[], /status: expected an object/],
      [{ ...sample, state: 'flying' }, /status\.state: expected one of idle, /],
      [{ ...sample, gateway: 'vpn' }, /status\.gateway: expected an object/],
      [{ ...sample, gateway: { host: 'vpn', port: -1 } }, /status\.gateway\.port: expected a number/],
      [{ ...sample, user: 7 }, /status\.user: expected text/],
      [{ ...sample, user: 'x'.repeat(1025) }, /status\.user: expected text/],
      [{ ...sample, addresses: Array(17).fill('10.0.0.1') }, /status\.addresses: expected a list/],
      [{ ...sample, addresses: [7] }, /status\.addresses: expected a list/],
      [{ ...sample, traffic: { received: sample.traffic.received } }, /status\.traffic\.sent: expected an object/],
    ] as const) {
      assert.throws(
        () => parseVpnStatus(wrong),
        (error) => error instanceof PeerMisbehavedError && message.test(error.message),
        String(message),
      );
    }
  });

  it('throws nothing but its own errors, whatever the JSON', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => toleratingOwnErrors(() => parseVpnStatus(value))));
    fc.assert(
      fc.property(statuses, fc.string(), fc.jsonValue(), (status, name, value) =>
        toleratingOwnErrors(() => parseVpnStatus({ ...status, [name]: value })),
      ),
    );
  });
});
