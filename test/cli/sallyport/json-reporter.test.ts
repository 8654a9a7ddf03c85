import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { EXIT, EXIT_MEANINGS } from '../../../src/cli/sallyport/exit-codes.ts';
import { JsonReporter } from '../../../src/cli/sallyport/json-reporter.ts';
import { VPN_STATES } from '../../../src/client/vpn-status.ts';
import { Secret } from '../../../src/core/secret.ts';
import { cidr, tunnel } from '../../node/network/samples.ts';
import { schemaFaults } from '../../support/json-schema.ts';
import { START, status } from './statuses.ts';

const SCHEMA = JSON.parse(readFileSync(path.resolve(import.meta.dirname, '../../../docs/sallyport-events.schema.json'), 'utf8'));

/** The events that came of it, each as the schema says. */
function events(say: (reporter: JsonReporter) => void, verbosity: 0 | 1 | 2 = 0): Record<string, unknown>[] {
  const lines: string[] = [];
  say(new JsonReporter({ write: (line) => lines.push(line), verbosity, version: '1.2.3', now: () => new Date(START) }));
  return lines.map((line) => {
    assert.ok(line.endsWith('\n') && line.indexOf('\n') === line.length - 1, 'one line');
    const event = JSON.parse(line);
    assert.deepEqual(schemaFaults(event, SCHEMA, { isClosed: true }), [], line);
    return event;
  });
}

const ROUTE = { device: 'eth0', via: '192.0.2.1' };
const QUESTION = { host: 'vpn.example.com', port: 443, fault: 'signer not found', pin: 'pin-sha256:AAAA', certificate: new Uint8Array() };

describe('the events for programs', () => {
  it('are all in the schema, with nothing that it does not name', () => {
    const config = tunnel({ include: [cidr('10.0.0.0/8')], exclude: [cidr('10.1.0.0/16')], banner: 'Be nice.', splitDns: ['a.example'] });
    const lost = status({ reconnecting: { since: new Date(START).toISOString(), nextTryAt: new Date(START).toISOString() } });
    const said = events((reporter) => {
      reporter.starting('vpn.example.com');
      reporter.state('authenticating');
      reporter.authenticated('alice');
      reporter.authenticated(undefined);
      reporter.certificateRefused(QUESTION);
      reporter.connected(status({ expiresAt: new Date(START).toISOString() }), config);
      reporter.lost({ kind: 'path-lost', message: 'The gateway no longer answers' });
      reporter.waiting(10_400, 290_000);
      reporter.reconnected(lost, 12_345);
      reporter.transport('dtls', 'DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384');
      reporter.transport('tls', undefined);
      reporter.underlay({ before: { way: ROUTE, isLost: false, isAddressGone: false }, now: { isLost: true, isAddressGone: false } });
      reporter.underlay({ before: { isLost: true, isAddressGone: false }, now: { way: ROUTE, isLost: false, isAddressGone: false } });
      reporter.log('warn', 'network note', { note: 'IPv6 is switched off' });
      reporter.tick();
      reporter.status(status());
      reporter.stopping(false);
      reporter.ended({ exitCode: EXIT.noConnection, code: 'ERR_NETWORK', message: 'Gone.', next: 'Look.' }, status());
      reporter.ended({ exitCode: EXIT.ok, code: 'logged-off', message: 'The session was logged off.' }, undefined);
    });
    assert.deepEqual(
      said.map(({ event }) => event),
      [
        ...['start', 'state', 'authenticated', 'authenticated', 'certificate-refused', 'connected', 'lost', 'waiting', 'reconnected'],
        ...['transport', 'transport', 'underlay', 'underlay', 'warning', 'status', 'stopping', 'error', 'end', 'end'],
      ],
    );
    assert.deepEqual(said.find(({ event }) => event === 'connected')?.network, {
      include: ['10.0.0.0/8'],
      exclude: ['10.1.0.0/16'],
      dns: ['10.99.0.1'],
      searchDomains: ['corp.example'],
      splitDns: ['a.example'],
      banner: 'Be nice.',
    });
  });

  it('name every state and exit code that the schema knows, and no others', () => {
    assert.deepEqual(SCHEMA.$defs.state.enum, VPN_STATES);
    assert.deepEqual(
      SCHEMA.$defs.exitCode.enum,
      EXIT_MEANINGS.map(([code]) => code),
    );
  });

  it('hold what the library logs with --verbose, bytes only if it is given twice, and never a secret', () => {
    const say = (reporter: JsonReporter) => {
      reporter.log('info', 'tls connected', { host: 'vpn.example.com', password: new Secret('swordfish') });
      reporter.log('trace', 'bytes', { length: 3 });
    };
    assert.deepEqual(events(say), []);
    const said = events(say, 1);
    assert.deepEqual(
      said.map(({ name }) => name),
      ['tls connected'],
    );
    assert.doesNotMatch(JSON.stringify(said), /swordfish/);
    assert.deepEqual(
      events(say, 2).map(({ level }) => level),
      ['info', 'trace'],
    );
  });
});

describe('the schema of the events', () => {
  const event = { v: 1, time: new Date(START).toISOString(), event: 'state', state: 'up' };

  it('refuses what no version of ours has printed', () => {
    assert.deepEqual(schemaFaults(event, SCHEMA, { isClosed: true }), []);
    for (const strange of [
      { ...event, v: 2 },
      { ...event, time: 'now' },
      { ...event, state: 'upp' },
      { ...event, event: 'stat' },
      { ...event, state: undefined },
    ]) {
      assert.notDeepEqual(schemaFaults(strange, SCHEMA), [], JSON.stringify(strange));
    }
  });

  it('lets later versions add fields, which this one does not print', () => {
    const later = { ...event, colour: 'green' };
    assert.deepEqual(schemaFaults(later, SCHEMA), []);
    assert.deepEqual(schemaFaults(later, SCHEMA, { isClosed: true }), ['$.colour is not in the schema']);
  });
});
