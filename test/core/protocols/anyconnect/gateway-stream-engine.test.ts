/** The gateway's tunnel where the packet engine has its client's TLS connection: what it hands over, when it takes it back, and what stays its own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CSTP_TYPES, writeCstpHeader } from '../../../../src/core/protocols/anyconnect/cstp-frame.ts';
import { GatewayTunnel, type GatewayTunnelOptions } from '../../../../src/core/protocols/anyconnect/gateway-tunnel.ts';
import type { Path, TunnelEvent, TunnelSink } from '../../../../src/core/tunnel/machine.ts';
import { formatIp, parseCidr } from '../../../../src/core/wire/ip-address.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';
import { endpoint } from '../../../support/traffic-peer.ts';
import { numberedPacket } from './numbered-packets.ts';
import { CLIENT_ADDRESS, GATEWAY_ADDRESS } from './tunnel-pair.ts';
import { established } from './tunnel-talk.ts';

const STREAM: Path = { kind: 'stream' };
const end = endpoint('192.0.2.1', 443);

function frame(type: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length);
  writeCstpHeader(bytes, 0, type, payload.length);
  bytes.set(payload, 8);
  return bytes;
}

/** A tunnel whose client has asked, and what it said. */
function answered(options: Partial<GatewayTunnelOptions> = {}, engine = true) {
  const { pair } = established();
  const machine = new GatewayTunnel({ ...pair.gatewayOptions(), ...options });
  const stream = new CollectingSink();
  const events: TunnelEvent[] = [];
  const sink: TunnelSink = { on: () => stream, event: (event) => void events.push(event) };
  machine.opened(STREAM, { local: end, remote: end, engine, tls: { cipherSuite: 'TLSv1.3-X', updatesKeys: true } }, 0, sink);
  stream.records.length = 0;
  return { machine, stream, sink, events, names: () => events.map(({ type }) => type) };
}

function trafficIn(events: readonly TunnelEvent[]) {
  return events.flatMap((event) => (event.type === 'traffic' ? [event.traffic] : []));
}

describe('a gateway’s tunnel whose stream the engine carries', () => {
  it('describes its frames before it says that packets leave by it', () => {
    const networks = [parseCidr('192.168.64.0/20') ?? assert.fail()];
    const { events, names } = answered({ networks });
    assert.deepEqual(names(), ['config', 'traffic', 'up']);
    const [traffic] = trafficIn(events);
    assert.ok(traffic !== undefined && 'received' in traffic);
    assert.equal(traffic.received.length, 0);
    assert.deepEqual(traffic.framing.frame, { bytes: frame(CSTP_TYPES.data), lengths: [{ offset: 4, width: 2, add: 0 }] });
    assert.deepEqual(
      traffic.innerSources?.map(({ address, prefix }) => `${formatIp(address)}/${prefix}`),
      [`${CLIENT_ADDRESS}/32`, '192.168.64.0/20'],
    );
  });

  it('carries the packets itself where there is no engine', () => {
    assert.deepEqual(answered({}, false).names(), ['config', 'up']);
  });

  it('answers what the engine gives it, and still screens packets that come to it', () => {
    const { machine, sink, stream } = answered();
    machine.receive(STREAM, frame(CSTP_TYPES.dpdRequest, Uint8Array.of(7)), 10, sink);
    assert.deepEqual(stream.records, [frame(CSTP_TYPES.dpdResponse, Uint8Array.of(7))]);
    machine.receive(STREAM, frame(CSTP_TYPES.data, numberedPacket(1, 100, '10.9.0.3', GATEWAY_ADDRESS)), 10, sink);
    assert.equal(stream.packets.length, 0);
    machine.receive(STREAM, frame(CSTP_TYPES.data, numberedPacket(1, 100, CLIENT_ADDRESS, GATEWAY_ADDRESS)), 10, sink);
    assert.equal(stream.packets.length, 1);
  });

  it('does not give up a client that the engine hears', () => {
    const { machine, sink, events, stream } = answered();
    for (let now = 30_000; now <= 600_000; now += 30_000) {
      machine.notice(STREAM, { type: 'carried', heardAt: now, sentAt: now }, now, sink);
      machine.handleTimeout(now, sink);
    }
    assert.equal(stream.records.length, 0, 'nobody is asked whether he is there');
    assert.equal(events.at(-1)?.type, 'up');
    machine.handleTimeout(1_200_000, sink);
    machine.handleTimeout(1_800_000, sink);
    assert.equal(events.at(-1)?.type, 'closed');
  });

  it('has the stream back while packets leave by UDP, and gives it again, with the half of a frame that has come', () => {
    const said = established({ gatewayEngine: true, streamEngine: true });
    const { pair } = said;
    const gateway = pair.gateway ?? assert.fail();
    const streams = () =>
      gateway.events.flatMap((event) => (event.type === 'traffic' && event.path.kind === 'stream' ? [event.traffic] : []));
    gateway.onDelivered = () => undefined; // these are not counted
    assert.deepEqual(gateway.ups, ['stream', 'datagram']);
    assert.deepEqual(
      streams().map((traffic) => traffic !== undefined),
      [true, false],
    );
    const packet = frame(CSTP_TYPES.data, numberedPacket(1, 100, CLIENT_ADDRESS, GATEWAY_ADDRESS));
    pair.tellGateway(Uint8Array.of(...packet, ...packet.subarray(0, 20)));
    assert.equal(gateway.up?.kind, 'stream', 'a client that sends by the stream does not trust UDP');
    const again = streams()[2];
    assert.ok(again !== undefined && 'received' in again);
    assert.deepEqual(again.received, packet.subarray(0, 20));
  });
});
