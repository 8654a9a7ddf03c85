/** ESP packets and DTLS records that are sealed side by side, as the references open them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { CbcProtection } from '../../../src/core/dtls/cbc-protection.ts';
import { DTLS_1_0 } from '../../../src/core/dtls/dialect.ts';
import { framingByMark, type RecordLayout, type TrafficDescription } from '../../../src/core/tunnel/traffic.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { CarriedTraffic } from '../../../src/node/engine/carried-traffic.ts';
import { CbcLanes, MAX_LANES } from '../../../src/node/engine/cbc-lanes.ts';
import type { CbcMac } from '../../../src/node/engine/cbc-mac.ts';
import { CbcRoom } from '../../../src/node/engine/cbc-room.ts';
import { DtlsCbcCipher } from '../../../src/node/engine/dtls-cbc-cipher.ts';
import { EspCipher } from '../../../src/node/engine/esp-cipher.ts';
import { makeRecordCipher } from '../../../src/node/engine/make-record-cipher.ts';
import { PacketKernels } from '../../../src/node/engine/packet-kernels.ts';
import { isUnsealed, recordForm } from '../../../src/node/engine/record-form.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { OpenSsl } from '../../../src/node/ffi/openssl.ts';
import { HASH_LENGTHS } from '../../../src/node/ffi/openssl-hmac.ts';
import { openEspReference, type ReferenceSa } from '../../reference/esp-packet.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { sized } from '../../support/size.ts';

const PLACE = 1600;
const PLACES = 3 * MAX_LANES;

const arena = new Arena(16 * 65_536);
const lanes = new CbcLanes(arena, new PacketKernels(arena, 16));
const openssl = OpenSsl.bind(arena) ?? assert.fail('no OpenSSL in the executable');
/** As on a processor, or in an executable, that OpenSSL's multi-block functions cannot be used in. */
const withoutMany = OpenSsl.bind(arena, false) ?? assert.fail();
const room = arena.allocate(PLACES * PLACE);

function newSa(cipher: ReferenceSa['cipher'], mac: ReferenceSa['mac']): ReferenceSa {
  return {
    spi: 0x8000_0001,
    cipher,
    key: randomBytes(cipher === 'aes-128-cbc' ? 16 : 32),
    mac,
    macKey: randomBytes(HASH_LENGTHS[mac]),
  };
}

function traffic(sa: ReferenceSa, calls: OpenSsl = openssl): CarriedTraffic {
  const key = { id: sa.spi, key: sa.key, iv: new Uint8Array(0), mac: sa.macKey, nextSequence: 0 };
  const description: TrafficDescription = {
    record: { kind: 'esp', cipher: sa.cipher, mac: sa.mac },
    ...{ seal: key, open: [key], replayWindow: 64, tunnelMtu: 1400 },
    framing: {
      frame: { bytes: new Uint8Array(0), lengths: [] },
      sent: { ipv4: Uint8Array.of(4) },
      isData: { offset: 0, values: [{ bytes: Uint8Array.of(4), family: 4 }] },
    },
  };
  return new CarriedTraffic(
    arena,
    (layout, direction, each) => makeRecordCipher(calls, arena, layout, direction, each, lanes),
    description,
  );
}

interface Sealed {
  readonly sa: ReferenceSa;
  readonly payload: Buffer;
  readonly sequence: number;
  readonly start: number;
  readonly length: number;
}

it('multi-block functions are used where the processor has AES instructions, and where they are wanted', () => {
  const hasAes = process.arch === 'x64' && /^flags.*\baes\b/m.test(readFileSync('/proc/cpuinfo', 'latin1'));
  assert.equal(openssl.cbcMac?.many !== undefined, hasAes);
  assert.equal(withoutMany.cbcMac?.many, undefined);
});

for (const [cipher, mac, calls] of [
  ['aes-128-cbc', 'sha1', openssl],
  ['aes-256-cbc', 'sha256', openssl],
  ['aes-128-cbc', 'md5', openssl],
  ['aes-128-cbc', 'sha1', withoutMany],
  ['aes-256-cbc', 'sha256', withoutMany],
] as const) {
  const how = calls === openssl ? '' : ', without multi-block functions';
  describe(`packets of a burst: ${cipher}, ${mac}${how}`, () => {
    const ends = [newSa(cipher, mac), newSa(cipher, mac)].map((sa) => ({ sa, traffic: traffic(sa, calls), next: 0 }));

    /** Lays one out, to be sealed later. */
    function seal(end: number, place: number, length: number): Sealed {
      const { sa, traffic: own, next } = ends[end] ?? assert.fail();
      const payload = Buffer.concat([Buffer.of(0x45), randomBytes(length - 1)]);
      const packet = room + place * PLACE + own.prefixLength;
      arena.bytes.set(payload, packet);
      const sealed = own.sealPacket(packet, length);
      assert.ok(sealed > 0);
      (ends[end] ?? assert.fail()).next++;
      return { sa, payload, sequence: next, start: packet - own.prefixLength, length: sealed };
    }

    function check(all: readonly Sealed[]): void {
      lanes.finish();
      const ivs = new Set<string>();
      for (const { sa, payload, sequence, start, length } of all) {
        const opened = openEspReference(sa, Buffer.from(arena.bytes.subarray(start, start + length)));
        assert.deepEqual([opened.payload, opened.sequence, opened.nextHeader], [payload, sequence, 4]);
        ivs.add(opened.iv.toString('hex'));
      }
      assert.equal(ivs.size, all.length, 'each has an IV of its own');
    }

    it('open one by one, however many they are', () => {
      for (const count of [1, 2, 7, 8, 9, 13, 15, 16, 17, MAX_LANES - 1, MAX_LANES, MAX_LANES + 1, PLACES]) {
        check(Array.from({ length: count }, (_, i) => seal(0, i, 1400)));
      }
    });

    it('open whatever their lengths and keys, in any order', () => {
      for (let seed = 0; seed < sized(10, 30); seed++) {
        const random = new SeededRandom(seed);
        let [end, length] = [0, 1400];
        check(
          Array.from({ length: PLACES }, (_, i) => {
            if (random.uint32() % 30 === 0) end = 1 - end;
            if (random.uint32() % 30 === 0) length = 20 + (random.uint32() % 1381);
            return seal(end, i, length);
          }),
        );
      }
    });

    it('are sealed before their keys are wiped', () => {
      const last = { sa: newSa(cipher, mac), next: 0 };
      const own = traffic(last.sa, calls);
      const payload = Buffer.concat([Buffer.of(0x45), randomBytes(99)]);
      const places = Array.from({ length: 30 }, (_, i) => room + i * PLACE);
      const lengths = places.map((place) => {
        arena.bytes.set(payload, place + own.prefixLength);
        return own.sealPacket(place + own.prefixLength, payload.length);
      });
      own.close();
      for (const [i, place] of places.entries()) {
        const opened = openEspReference(last.sa, Buffer.from(arena.bytes.subarray(place, place + (lengths[i] ?? 0))));
        assert.deepEqual([opened.payload, opened.sequence], [payload, i]);
      }
    });

    it('are none when their keys are wiped', () => {
      const own = traffic(newSa(cipher, mac), calls);
      own.close();
      const places = Array.from({ length: 9 }, (_, i) => room + i * PLACE);
      for (const place of places) {
        arena.bytes.fill(0x45, place, place + PLACE);
        own.sealPacket(place + own.prefixLength, 100);
      }
      lanes.finish();
      assert.ok(places.every((place) => isUnsealed(arena.view, place)));
      assert.ok(lanes.takeFailure());
    });
  });
}

it('records of DTLS open one by one, whatever their lengths', () => {
  const keys = { key: randomBytes(32), iv: new Uint8Array(0), mac: randomBytes(20) };
  const key = { id: 1, ...keys, nextSequence: 0 };
  const reference = new CbcProtection(new NodeCrypto(), { kind: 'cbc', cipher: 'aes-256-cbc', mac: 'sha1' }, { ...keys }, DTLS_1_0);
  const own = new CarriedTraffic(arena, (layout, direction, each) => makeRecordCipher(openssl, arena, layout, direction, each, lanes), {
    record: { kind: 'dtls-cbc', cipher: 'aes-256-cbc', mac: 'sha1', version: DTLS_1_0 },
    ...{ seal: key, open: [key], replayWindow: 64, framing: framingByMark(0), tunnelMtu: 1400 },
  });
  const random = new SeededRandom(7);
  const all = Array.from({ length: PLACES }, (_, place) => {
    const payload = Buffer.concat([Buffer.of(0x45), randomBytes(random.uint32() % 9 > 0 ? 1399 : random.uint32() % 1399)]);
    const packet = room + place * PLACE + own.prefixLength;
    arena.bytes.set(payload, packet);
    const start = packet - own.prefixLength;
    return { payload, start, end: start + own.sealPacket(packet, payload.length) };
  });
  lanes.finish();
  for (const { payload, start, end } of all) {
    const record = Uint8Array.from(arena.bytes.subarray(start, end));
    assert.equal(reference.open(record), 1 + payload.length);
    const { plaintextOffset } = reference;
    assert.deepEqual(Buffer.from(record.subarray(plaintextOffset + 1, plaintextOffset + 1 + payload.length)), payload);
  }
  own.close();
});

const ESP: RecordLayout = { kind: 'esp', cipher: 'aes-128-cbc', mac: 'sha1' };
const DTLS: RecordLayout = { kind: 'dtls-cbc', cipher: 'aes-128-cbc', mac: 'sha1', version: DTLS_1_0 };

for (const [layout, count, refused] of [
  [ESP, MAX_LANES, 'encryptEach'],
  [ESP, 3, 'blocks'],
  [ESP, 3, 'mac'],
  [DTLS, MAX_LANES, 'encryptEach'],
  [DTLS, 3, 'blocks'],
] as const) {
  it(`what OpenSSL refuses to seal leaves nothing in the clear, and nothing more is sealed: ${layout.kind}, ${refused}`, () => {
    const isAllowed = (what: string) => () => what !== refused;
    const cbcMac: CbcMac = {
      blocks: isAllowed('blocks'),
      encryptEach: isAllowed('encryptEach'),
      mac: isAllowed('mac'),
      ...{ manyHmac: undefined, manyCbc: undefined },
      close: () => undefined,
    };
    const Cipher = layout === ESP ? EspCipher : DtlsCbcCipher;
    const sealing = new Cipher(arena, cbcMac, CbcRoom.of(arena), 'sha1', lanes);
    const form = recordForm(layout);
    const starts = Array.from({ length: count }, (_, i) => room + i * PLACE);
    let length = 0;
    for (const start of starts) {
      arena.bytes.fill(0x45, start, start + PLACE);
      length = form.writeHeader(arena.view, start, 23, 1, 0, 1401);
      assert.ok(sealing.seal(start, 1401));
    }
    lanes.finish();
    for (const start of starts) {
      assert.ok(arena.bytes.subarray(start, start + length).every((byte) => byte === 0));
      assert.equal(arena.bytes[start + length], 0x45, 'and nothing behind it is touched');
      assert.ok(isUnsealed(arena.view, start), 'so it is not sent');
    }
    assert.deepEqual([lanes.takeFailure(), lanes.takeFailure()], [true, false]);
    assert.equal(sealing.seal(room, 1401), false);
  });
}
