/** PPP in a DTLS association whose keys a packet engine has: what becomes of it when PPP begins anew. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { DtlsAssociation } from '../../../src/core/dtls/association.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { CODES, decodeControlPacket, encodeControlPacket } from '../../../src/core/ppp/control-packet.ts';
import { DatagramCarrier } from '../../../src/core/ppp/datagram-carrier.ts';
import { fortinetEncapsulation, type PppRole } from '../../../src/core/ppp/encapsulation.ts';
import { HandOver } from '../../../src/core/ppp/hand-over.ts';
import { PppLink } from '../../../src/core/ppp/link.ts';
import { commitBytes } from '../../../src/core/tunnel/layer.ts';
import type { TunnelEvent } from '../../../src/core/tunnel/machine.ts';
import { packetBytes } from '../../../src/core/tunnel/packet.ts';
import { DatagramSink } from '../../support/datagram-sink.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { CLIENT, GATEWAY } from './linked.ts';

const IPCP = 0x8021;
/** Fortinet's frame header; the client has FF 03 behind it. */
const PREFIX = 6;

/** An association that is up, and passes on what it is given. */
const DTLS: Pick<DtlsAssociation, 'state' | 'receive' | 'send' | 'handOver' | 'nextTimeout'> = {
  state: { name: 'up', confirmed: true } as DtlsAssociation['state'],
  receive: (bytes, _now, out) => out.packet({ buffer: bytes, start: 0, end: bytes.length }),
  send: (packet, _now, out) => commitBytes(out, packetBytes(packet)),
  handOver: ({ framing, tunnelMtu }) => ({ framing, tunnelMtu }) as ReturnType<DtlsAssociation['handOver']>,
  nextTimeout: () => undefined,
};

function linkOf(role: PppRole): PppLink {
  return new PppLink({
    ...{ encapsulation: fortinetEncapsulation(role), carrier: 'datagram', log: silentLogger, mtu: 1400 },
    crypto: new SeededCrypto(role === 'client' ? 1 : 2),
    network: role === 'client' ? CLIENT : GATEWAY,
  });
}

/** The last Configure-Request of IPCP among frames. */
function requestIn(frames: readonly Uint8Array[], headers: number): { id: number; data: Uint8Array } {
  for (const frame of frames.toReversed()) {
    if (((frame[headers] ?? 0) << 8) + (frame[headers + 1] ?? 0) !== IPCP) continue;
    const packet = decodeControlPacket(frame.subarray(headers + 2));
    if (packet?.code === CODES.configureRequest) return packet;
  }
  return assert.fail('no request');
}

function framed(bytes: Uint8Array): Buffer {
  const header = Buffer.of(0, 0, 0x50, 0x50, 0, 0);
  header.writeUInt16BE(PREFIX + bytes.length, 0);
  header.writeUInt16BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

it('gives a DTLS association that the engine has up, where PPP begins anew, also where that is over in one datagram', () => {
  const path = { kind: 'datagram' } as const;
  const carrier = new DatagramCarrier({ path, dtls: DTLS as DtlsAssociation, link: linkOf('client'), isCarried: true });
  const gateway = linkOf('gateway');
  const [out, back] = [new DatagramSink(), new DatagramSink()];
  const [sent, answered]: [Uint8Array[], Uint8Array[]] = [[], []];
  carrier.handleTimeout(0, out);
  for (let turn = 0; turn < 10; turn++) {
    const flight = out.take();
    sent.push(...flight);
    for (const frame of flight) gateway.receive(frame, 0, back);
    const answers = back.take();
    answered.push(...answers);
    for (const frame of answers) carrier.receive(Uint8Array.from(frame), 0, out);
  }
  assert.deepEqual([carrier.state.name, gateway.state.name], ['up', 'up']);
  const events: TunnelEvent[] = [];
  const handOver = new HandOver();
  const sink = { on: () => out, event: (event: TunnelEvent) => void events.push(event) };
  handOver.follow(carrier, sink);
  assert.deepEqual(
    events.map((event) => event.type === 'traffic' && event.traffic !== undefined),
    [true],
  );

  const ours = requestIn(sent, PREFIX + 2);
  const theirs = requestIn(answered, PREFIX);
  // All that a new agreement needs, in one datagram: a peer can know which number our next request has.
  const anew = [
    { code: CODES.terminateAck, id: 0, data: new Uint8Array(0) },
    { code: CODES.configureRequest, id: 0xf0, data: theirs.data },
    { code: CODES.configureAck, id: (ours.id + 1) & 0xff, data: ours.data },
  ].map((packet) => framed(Buffer.of(IPCP >>> 8, IPCP & 0xff, ...encodeControlPacket(packet))));
  carrier.receive(Buffer.concat(anew), 1, out);
  assert.equal(requestIn(out.take(), PREFIX + 2).id, ours.id + 1, 'it has agreed anew');
  assert.deepEqual(carrier.state, { name: 'over', reason: { kind: 'renew', message: 'PPP begins anew.' } });
  handOver.follow(carrier, sink);
  assert.equal(events.length, 1, 'the engine, which alone can seal, keeps the path until it is dropped');
});
