/** The client's tunnel where the packet engine has its TLS connection: what it hands over, and what stays its own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnyConnectTunnel } from '../../../../src/core/protocols/anyconnect/client-tunnel.ts';
import { CSTP_TYPES, writeCstpHeader } from '../../../../src/core/protocols/anyconnect/cstp-frame.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { Path, PathFacts, TunnelEvent, TunnelSink } from '../../../../src/core/tunnel/machine.ts';
import { utf8 } from '../../../../src/core/wire/text.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { endpoint } from '../../../support/traffic-peer.ts';

const STREAM: Path = { kind: 'stream' };
const end = endpoint('192.0.2.1', 443);

const ANSWER = [
  'HTTP/1.1 200 CONNECTED',
  'X-CSTP-Address: 10.0.0.2',
  'X-CSTP-Netmask: 255.255.255.0',
  'X-CSTP-MTU: 1400',
  'X-CSTP-DPD: 30',
  'X-CSTP-Rekey-Time: 100',
];

/** A tunnel that has its answer, and what it said. */
function connected({
  facts = {},
  headers = [],
  rest = utf8(''),
}: {
  facts?: Partial<PathFacts>;
  headers?: readonly string[];
  rest?: Uint8Array;
}) {
  const machine = new AnyConnectTunnel({
    crypto: new SeededCrypto(1),
    log: { log: () => undefined },
    target: { host: 'vpn.example', port: 443, path: '/' },
    client: { userAgent: 'Open AnyConnect VPN Agent v9.01', version: 'v9.01', os: 'linux-64', localHostname: 'laptop' },
    cookie: new Secret('a-cookie'),
    encodings: ['oc-lz4'],
    wantsIpv6: true,
  });
  const stream = new CollectingSink();
  const events: TunnelEvent[] = [];
  const sink: TunnelSink = { on: () => stream, event: (event) => void events.push(event) };
  machine.handleTimeout(0, sink);
  const tls = { cipherSuite: 'TLSv1.3-X', updatesKeys: true };
  machine.opened(STREAM, { local: end, remote: end, engine: true, tls, ...facts }, 0, sink);
  stream.records.length = 0;
  machine.receive(STREAM, Uint8Array.of(...utf8(`${[...ANSWER, ...headers].join('\r\n')}\r\n\r\n`), ...rest), 0, sink);
  const of = <T extends TunnelEvent['type']>(type: T) =>
    events.filter((event): event is Extract<TunnelEvent, { type: T }> => event.type === type);
  return { machine, stream, sink, of };
}

function frame(type: number): Uint8Array {
  const bytes = new Uint8Array(8);
  writeCstpHeader(bytes, 0, type, 0);
  return bytes;
}

describe('a tunnel whose stream the engine carries', () => {
  it('describes its frames, and gives back what has come of them', () => {
    const rest = Uint8Array.of(...frame(CSTP_TYPES.dpdRequest), 0x53, 0x54);
    const { of, stream } = connected({ rest });
    const [event, ...others] = of('traffic');
    assert.equal(others.length, 0);
    const traffic = event?.traffic ?? assert.fail();
    assert.ok('received' in traffic);
    assert.deepEqual(traffic.received, rest);
    assert.deepEqual(traffic.framing.frame, { bytes: frame(CSTP_TYPES.data), lengths: [{ offset: 4, width: 2, add: 0 }] });
    assert.deepEqual(traffic.framing.isData, { offset: 6, values: [{ bytes: Uint8Array.of(0) }] });
    assert.equal(stream.records.length, 0, 'the question comes again, from the engine');
  });

  it('answers what the engine gives it, frame by frame', () => {
    const { machine, sink, stream } = connected({});
    machine.receive(STREAM, frame(CSTP_TYPES.dpdRequest), 10, sink);
    assert.deepEqual(stream.records, [frame(CSTP_TYPES.dpdResponse)]);
  });

  it('carries the packets itself where they are compressed, or there is no engine', () => {
    const rest = frame(CSTP_TYPES.dpdRequest);
    for (const options of [{ headers: ['X-CSTP-Content-Encoding: oc-lz4'] }, { facts: { engine: false } }]) {
      const { of, stream } = connected({ ...options, rest });
      assert.equal(of('traffic').length, 0);
      assert.deepEqual(stream.records, [frame(CSTP_TYPES.dpdResponse)]);
    }
  });

  it('asks nobody whether he is there while packets pass unseen', () => {
    const { machine, sink, stream } = connected({});
    machine.notice(STREAM, { type: 'carried', heardAt: 29_000, sentAt: 29_000 }, 30_000, sink);
    machine.handleTimeout(30_000, sink);
    assert.equal(stream.records.length, 0);
    machine.handleTimeout(59_000, sink);
    assert.deepEqual(stream.records, [frame(CSTP_TYPES.dpdRequest)]);
  });

  it('renews its keys inside the connection where that is wanted and can be, else by a new tunnel', () => {
    const tls = { cipherSuite: 'TLSv1.2-X', updatesKeys: false };
    for (const [method, facts, isInside] of [
      ['ssl', {}, true],
      ['new-tunnel', {}, false],
      ['ssl', { tls }, false],
    ] as const) {
      const { machine, sink, of } = connected({ facts, headers: [`X-CSTP-Rekey-Method: ${method}`] });
      for (let now = 10_000; now <= 100_000; now += 10_000) {
        machine.notice(STREAM, { type: 'carried', heardAt: now, sentAt: now }, now, sink);
        machine.handleTimeout(now, sink);
      }
      assert.deepEqual(
        of('update-keys').map(({ path }) => path),
        isInside ? [STREAM] : [],
      );
      assert.equal(of('closed')[0]?.reason.kind, isInside ? undefined : 'renew');
    }
  });

  it('renews its keys by a new tunnel where they could not be renewed inside the connection', () => {
    const { machine, sink, of } = connected({ headers: ['X-CSTP-Rekey-Method: ssl'] });
    machine.notice(STREAM, { type: 'keys-used-up' }, 100_000, sink);
    assert.equal(of('closed')[0]?.reason.kind, 'renew');
  });
});
