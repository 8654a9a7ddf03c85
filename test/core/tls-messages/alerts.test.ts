import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ALERTS, alertName, decodeAlert, encodeAlert } from '../../../src/core/tls-messages/alerts.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';

describe('alert', () => {
  it('is level and description', () => {
    assert.equal(toHex(encodeAlert({ isFatal: false, description: ALERTS.close_notify })), '0100');
    assert.equal(toHex(encodeAlert({ isFatal: true, description: ALERTS.handshake_failure })), '0228');
  });

  it('reads back whatever it writes', () => {
    const alerts = fc.record({ isFatal: fc.boolean(), description: fc.integer({ min: 0, max: 255 }) }, { noNullPrototype: true });
    fc.assert(fc.property(alerts, (alert) => assert.deepEqual(decodeAlert(encodeAlert(alert)), alert)));
  });

  it('is nothing with another level or length', () => {
    for (const bytes of ['', '01', '0000', '0300', '010000']) assert.equal(decodeAlert(fromHex(bytes)), undefined);
  });

  it('has the name of the registry, or its number', () => {
    assert.equal(alertName(115), 'unknown_psk_identity');
    assert.equal(alertName(255), 'alert 255');
  });
});
