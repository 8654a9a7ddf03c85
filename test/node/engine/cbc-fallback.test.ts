/** Records with CBC where the executable does not export all of OpenSSL's functions for them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { it } from 'node:test';
import { DTLS_1_2 } from '../../../src/core/dtls/dialect.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { framingByMark } from '../../../src/core/tunnel/traffic.ts';
import { CarriedTraffic } from '../../../src/node/engine/carried-traffic.ts';
import { CbcLanes } from '../../../src/node/engine/cbc-lanes.ts';
import { makeRecordCipher } from '../../../src/node/engine/make-record-cipher.ts';
import { PacketKernels } from '../../../src/node/engine/packet-kernels.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { OpenSsl } from '../../../src/node/ffi/openssl.ts';

const PAGE = 65_536;
const PACKET = Buffer.concat([Buffer.of(0x45), randomBytes(1399)]);

const arena = new Arena(4 * PAGE);
const openssl = OpenSsl.bind(arena);
const skip = openssl === undefined && 'the executable exports no OpenSSL';

it('OpenSSL has none of the functions where one cannot be had', { skip }, () => {
  const full = new Arena(PAGE);
  const own = OpenSsl.bind(full) ?? assert.fail();
  assert.throws(() => {
    for (;;) full.allocate(16);
  }, MisuseError);
  assert.equal(own.cbcMac, undefined, 'whatever the reason: here it is room');
});

for (const layout of [
  { kind: 'esp', cipher: 'aes-128-cbc', mac: 'sha1' },
  { kind: 'dtls-cbc', cipher: 'aes-128-cbc', mac: 'sha1', version: DTLS_1_2 },
] as const) {
  it(`records are left to node:crypto then, and none waits for others: ${layout.kind}`, { skip }, () => {
    const without: OpenSsl = Object.create(openssl ?? null, { cbcMac: { value: undefined } });
    const lanes = new CbcLanes(arena, new PacketKernels(arena, 16));
    const key = { id: 1, key: randomBytes(16), iv: new Uint8Array(0), mac: randomBytes(20), nextSequence: 0 };
    const esp = {
      frame: { bytes: new Uint8Array(0), lengths: [] },
      sent: { ipv4: Uint8Array.of(4) },
      isData: { offset: 0, values: [{ bytes: Uint8Array.of(4) }] },
    };
    const trafficOf = (which: OpenSsl | undefined) =>
      new CarriedTraffic(arena, (record, direction, each) => makeRecordCipher(which, arena, record, direction, each, lanes), {
        ...{ record: layout, seal: key, open: [key], replayWindow: 64, tunnelMtu: 1400 },
        framing: layout.kind === 'esp' ? esp : framingByMark(0),
      });
    const [here, there] = [trafficOf(without), trafficOf(openssl)];
    const packet = arena.allocate(2048) + 64;
    arena.bytes.set(PACKET, packet);
    const length = here.sealPacket(packet, PACKET.length);
    const start = packet - here.prefixLength;
    assert.ok(length > PACKET.length);
    assert.ok(there.open(start, length) >= PACKET.length);
    assert.ok(arena.bytes.subarray(packet, packet + PACKET.length).equals(PACKET));
    for (const each of [here, there]) each.close();
  });
}
