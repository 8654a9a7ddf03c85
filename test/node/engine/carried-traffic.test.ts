/** The engine's records against the reference of test/reference/dtls-record.ts, with OpenSSL by address and with node:crypto. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError } from '../../../src/core/errors.ts';
import { type AeadCipher, framingByMark, type PacketFraming, type TrafficDescription } from '../../../src/core/tunnel/traffic.ts';
import { CarriedTraffic, type CipherMaker, NOT_OPENED } from '../../../src/node/engine/carried-traffic.ts';
import { makeRecordCipher } from '../../../src/node/engine/make-record-cipher.ts';
import { NO_PACKET } from '../../../src/node/engine/packet-frames.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { OpenSsl } from '../../../src/node/ffi/openssl.ts';
import { openReference, type ReferenceKey, sealReference } from '../../reference/dtls-record.ts';

const CIPHERS: readonly AeadCipher[] = ['aes-128-gcm', 'aes-256-gcm', 'chacha20-poly1305'];
const EPOCH = 1;
const DATA = 23;

const arena = new Arena(4 * 65_536);
const packet = arena.allocate(64 + 66_000) + 64;
const incoming = arena.allocate(66_000);

function key(cipher: AeadCipher, epoch = EPOCH): ReferenceKey {
  return { cipher, epoch, key: randomBytes(cipher === 'aes-128-gcm' ? 16 : 32), iv: randomBytes(cipher === 'chacha20-poly1305' ? 12 : 4) };
}

function describing(seal: ReferenceKey, open: readonly ReferenceKey[], nextSequence = 1): TrafficDescription {
  const traffic = (each: ReferenceKey, next: number) => ({ id: each.epoch, key: each.key, iv: each.iv, nextSequence: next });
  return {
    record: { kind: 'dtls-aead', cipher: seal.cipher },
    seal: traffic(seal, nextSequence),
    open: open.map((each) => traffic(each, 1)),
    replayWindow: 64,
    framing: framingByMark(0),
    tunnelMtu: 1400,
  };
}

/** The bytes of the record that an IP packet became. */
function sealPacket(traffic: CarriedTraffic, bytes: Uint8Array): Buffer {
  arena.bytes.set(bytes, packet);
  const length = traffic.sealPacket(packet, bytes.length);
  const start = packet - traffic.prefixLength;
  return Buffer.from(arena.bytes.subarray(start, start + length));
}

/** What became of a record: its plaintext, or why it did not open. */
function open(traffic: CarriedTraffic, record: Uint8Array): Buffer | number {
  arena.bytes.set(record, incoming);
  const length = traffic.open(incoming, record.length);
  const start = incoming + traffic.payloadOffset;
  return length < 0 ? length : Buffer.from(arena.bytes.subarray(start, start + length));
}

const openssl = OpenSsl.bind(arena);

it('finds OpenSSL in the executable', () => assert.ok(openssl));

for (const [name, functions] of [
  ['OpenSSL by address', openssl],
  ['node:crypto', undefined],
] as const) {
  const make: CipherMaker = (layout, direction, each) => makeRecordCipher(functions, arena, layout, direction, each);

  for (const cipher of CIPHERS) {
    describe(`records of ${cipher} by ${name}`, () => {
      const [out, back] = [key(cipher), key(cipher)];
      const fresh = (next = 1) => new CarriedTraffic(arena, make, describing(out, [back], next));

      it('open with the reference, numbered one after another, with the number as nonce', () => {
        const traffic = fresh(5);
        for (let sequence = 5; sequence < 300; sequence++) {
          const bytes = randomBytes(sequence * 5);
          const opened = openReference(out, sealPacket(traffic, bytes));
          assert.deepEqual([opened.type, opened.epoch, opened.sequence], [DATA, EPOCH, sequence]);
          assert.deepEqual(opened.plaintext, Buffer.concat([Buffer.of(0), bytes]));
          const number = Buffer.of(0, EPOCH, 0, 0, 0, 0, sequence >>> 8, sequence);
          assert.deepEqual(opened.nonce, cipher === 'chacha20-poly1305' ? Buffer.alloc(0) : number);
        }
        traffic.close();
      });

      it('carry any content type', () => {
        const traffic = fresh();
        const record = incoming;
        arena.bytes.set([1, 0], record + traffic.payloadOffset);
        const length = traffic.sealRecord(record, 21, 2);
        const opened = openReference(out, arena.bytes.subarray(record, record + length));
        assert.deepEqual([opened.type, opened.plaintext], [21, Buffer.of(1, 0)]);
        traffic.close();
      });

      it('of the reference open, whatever their length', () => {
        const traffic = fresh();
        let sequence = 1;
        fc.assert(
          fc.property(fc.uint8Array({ maxLength: 1600 }), fc.constantFrom(20, 21, 22, 23), (plaintext, type) => {
            assert.deepEqual(open(traffic, sealReference(back, sequence++, type, plaintext)), Buffer.from(plaintext));
          }),
        );
        traffic.close();
      });

      it('are refused when altered anywhere, seen before, cut, or of another epoch', () => {
        const traffic = fresh();
        const record = sealReference(back, 7, DATA, Buffer.from('a packet'));
        for (let at = 0; at < record.length; at++) {
          const altered = Buffer.from(record);
          altered[at] = (altered[at] ?? 0) ^ 1;
          const answer = open(traffic, altered);
          assert.ok(typeof answer === 'number', `byte ${at}`);
        }
        for (let length = 0; length < record.length; length++) {
          assert.equal(open(traffic, record.subarray(0, length)), NOT_OPENED.malformed, `${length} bytes`);
        }
        assert.deepEqual(open(traffic, record), Buffer.from('a packet'), 'none of that used up its number');
        assert.equal(open(traffic, record), NOT_OPENED.replayed);
        assert.equal(open(traffic, sealReference({ ...back, epoch: 2 }, 8, DATA, Buffer.of(1))), NOT_OPENED.unknownEpoch);
        assert.equal(open(traffic, sealReference({ ...back, key: out.key }, 8, DATA, Buffer.of(1))), NOT_OPENED.badTag);
        assert.deepEqual(traffic.state.open, [{ id: EPOCH, nextSequence: 8 }]);
        traffic.close();
      });

      it('are refused without a crash, whatever the bytes', () => {
        const traffic = fresh();
        const header = Buffer.from(sealReference(back, 3, DATA, Buffer.of(1)).subarray(0, 11));
        fc.assert(
          fc.property(fc.boolean(), fc.uint8Array({ maxLength: 80 }), (hasHeader, bytes) => {
            const all = hasHeader ? Buffer.concat([header, bytes]) : bytes;
            assert.ok(typeof open(traffic, all) === 'number');
            assert.ok(traffic.recordLength <= all.length);
          }),
        );
        traffic.close();
      });

      it('say where the next one starts in the same datagram', () => {
        const traffic = fresh();
        const first = sealReference(back, 1, DATA, Buffer.from('one'));
        const second = sealReference(back, 2, 22, Buffer.from('two'));
        arena.bytes.set(Buffer.concat([first, second]), incoming);
        assert.equal(traffic.open(incoming, first.length + second.length), 3);
        assert.equal(traffic.recordLength, first.length);
        assert.equal(traffic.open(incoming + first.length, second.length), 3);
        assert.equal(traffic.packetOffset(incoming + first.length, 3), NO_PACKET);
        traffic.close();
      });

      it('know data by content type and mark', () => {
        const traffic = fresh();
        const isData = (type: number, plaintext: Uint8Array) => {
          const next = traffic.state.open[0]?.nextSequence ?? 0;
          const opened = open(traffic, sealReference(back, next, type, plaintext));
          assert.ok(typeof opened !== 'number');
          return traffic.packetOffset(incoming, opened.length) === 1;
        };
        assert.ok(isData(DATA, Buffer.of(0, 0x45)));
        assert.ok(!isData(DATA, Buffer.of(3, 0x45)), 'a probe');
        assert.ok(!isData(DATA, Buffer.of(0)), 'no packet behind the mark');
        assert.ok(!isData(22, Buffer.of(0, 0x45)), 'a handshake message');
        traffic.close();
      });

      it('carry frames with lengths and a header of its own for each family', () => {
        const framing: PacketFraming = {
          frame: { bytes: Uint8Array.of(0xf5, 0, 0, 0), lengths: [{ offset: 2, width: 2, add: 0 }] },
          sent: { ipv4: Uint8Array.of(0x21), ipv6: Uint8Array.of(0x57) },
          isData: { offset: 4, values: [{ bytes: Uint8Array.of(0x21) }, { bytes: Uint8Array.of(0, 0x21) }] },
        };
        const traffic = new CarriedTraffic(arena, make, { ...describing(out, [back]), framing });
        for (const [first, mark] of [
          [0x45, 0x21],
          [0x60, 0x57],
        ] as const) {
          const bytes = Buffer.alloc(40, first);
          const expected = Buffer.concat([Buffer.of(0xf5, 0, 0, 41, mark), bytes]);
          const record = sealPacket(traffic, bytes);
          assert.deepEqual(openReference(out, record).plaintext, expected);
        }
        const place = (plaintext: Buffer) => {
          const next = traffic.state.open[0]?.nextSequence ?? 0;
          const opened = open(traffic, sealReference(back, next, DATA, plaintext));
          assert.ok(typeof opened !== 'number');
          return traffic.packetOffset(incoming, opened.length);
        };
        assert.equal(place(Buffer.of(0xf5, 0, 0, 2, 0x21, 0x45)), 5);
        assert.equal(place(Buffer.of(0xf5, 0, 0, 3, 0, 0x21, 0x45)), 6);
        assert.equal(place(Buffer.of(0xf5, 0, 0, 3, 0x21, 0x45)), NO_PACKET, 'another length');
        assert.equal(place(Buffer.of(0xf5, 0, 0, 2, 0xc0, 0x21)), NO_PACKET, 'LCP');
        traffic.close();
      });

      it('end with the record numbers, warn before, and never start again', () => {
        const limits = { sequence: 32, gcmBlocks: 2 ** 30, forgeries: 3 };
        const traffic = new CarriedTraffic(arena, make, describing(out, [back], 28), undefined, limits);
        assert.equal(sealPacket(traffic, Buffer.of(1)).length > 0, true);
        assert.equal(traffic.sealing, 'fresh');
        sealPacket(traffic, Buffer.of(1));
        assert.equal(traffic.sealing, 'late');
        assert.equal(openReference(out, sealPacket(traffic, Buffer.of(1))).sequence, 30);
        assert.equal(openReference(out, sealPacket(traffic, Buffer.of(1))).sequence, 31);
        assert.equal(traffic.sealing, 'over');
        assert.equal(sealPacket(traffic, Buffer.of(1)).length, 0);
        assert.equal(traffic.sealRecord(incoming, 21, 2), 0);
        assert.deepEqual(traffic.state.seal, { id: EPOCH, nextSequence: 32 });
        for (let i = 0; i < 3; i++)
          assert.equal(open(traffic, sealReference({ ...back, key: out.key }, 1, DATA, Buffer.of(1))), NOT_OPENED.badTag);
        assert.equal(traffic.opening, 'over');
        assert.equal(
          open(traffic, sealReference(back, 1, DATA, Buffer.of(1))),
          NOT_OPENED.badTag,
          'even a true record: too many were forged',
        );
        traffic.close();
      });

      it('reach the last of 48 bits', () => {
        const traffic = fresh(2 ** 48 - 1);
        assert.equal(openReference(out, sealPacket(traffic, Buffer.of(1))).sequence, 2 ** 48 - 1);
        assert.equal(sealPacket(traffic, Buffer.of(1)).length, 0);
        traffic.close();
      });

      it('go on with their numbers and windows when the description changes, and start anew with another key', () => {
        const first = fresh();
        sealPacket(first, Buffer.of(1));
        open(first, sealReference(back, 40, DATA, Buffer.of(1)));
        const nextOut = key(cipher, 2);
        const nextBack = key(cipher, 2);
        // The peer's new key is there; ours is not used yet.
        const second = new CarriedTraffic(arena, make, describing(out, [nextBack, back]), first);
        assert.equal(openReference(out, sealPacket(second, Buffer.of(1))).sequence, 2);
        assert.equal(open(second, sealReference(back, 40, DATA, Buffer.of(1))), NOT_OPENED.replayed);
        assert.deepEqual(open(second, sealReference(back, 41, DATA, Buffer.of(9))), Buffer.of(9));
        assert.deepEqual(open(second, sealReference(nextBack, 1, DATA, Buffer.of(8))), Buffer.of(8));
        const third = new CarriedTraffic(arena, make, describing(nextOut, [nextBack]), second);
        assert.equal(openReference(nextOut, sealPacket(third, Buffer.of(1))).sequence, 1);
        assert.equal(open(third, sealReference(back, 42, DATA, Buffer.of(1))), NOT_OPENED.unknownEpoch);
        assert.equal(open(third, sealReference(nextBack, 1, DATA, Buffer.of(8))), NOT_OPENED.replayed);
        // A new association counts its epochs from 1 again; its keys are others.
        const other = { ...key(cipher), epoch: 2 };
        const fourth = new CarriedTraffic(arena, make, describing(other, [nextBack]), third);
        assert.equal(openReference(other, sealPacket(fourth, Buffer.of(1))).sequence, 1);
        fourth.close();
      });

      it('do not seal or open after their keys were wiped', () => {
        const traffic = fresh();
        traffic.close();
        traffic.close();
        assert.equal(sealPacket(traffic, Buffer.of(1)).length, 0);
        assert.equal(open(traffic, sealReference(back, 1, DATA, Buffer.of(1))), NOT_OPENED.badTag);
      });
    });
  }
}

describe('AES-GCM', () => {
  it('stops after its share of blocks, which ChaCha20-Poly1305 does not have', () => {
    const make: CipherMaker = (cipher, direction, each) => makeRecordCipher(openssl, arena, cipher, direction, each);
    const limits = { sequence: 2 ** 48, gcmBlocks: 32, forgeries: 3 };
    for (const cipher of CIPHERS) {
      const [out, back] = [key(cipher), key(cipher)];
      const traffic = new CarriedTraffic(arena, make, describing(out, [back]), undefined, limits);
      let sealed = 0;
      while (sealed < 100 && sealPacket(traffic, Buffer.alloc(31)).length > 0) sealed++; // two blocks with the data mark
      assert.equal(sealed, cipher === 'chacha20-poly1305' ? 100 : 16);
      traffic.close();
    }
  });
});

describe('traffic descriptions', () => {
  it('are refused when they cannot be', () => {
    const make: CipherMaker = () => assert.fail('no cipher is made for them');
    const [out, back] = [key('aes-256-gcm'), key('aes-256-gcm')];
    const good = describing(out, [back]);
    const wrong: readonly Partial<TrafficDescription>[] = [
      { record: { kind: 'dtls-aead', cipher: 'rot13' as AeadCipher } },
      { seal: { ...good.seal, key: new Uint8Array(16) } },
      { seal: { ...good.seal, iv: new Uint8Array(12) } },
      { seal: { ...good.seal, id: 65_536 } },
      { seal: { ...good.seal, nextSequence: 2 ** 48 + 1 } },
      { open: [] },
      { open: [...good.open, ...good.open] },
      { open: Array.from({ length: 5 }, (_, id) => ({ ...good.seal, id })) },
      { replayWindow: 63 },
      { replayWindow: 5000 },
      { framing: { ...framingByMark(0), sent: { ipv4: new Uint8Array(33) } } },
      { framing: { ...framingByMark(0), sent: {} } },
      { framing: { ...framingByMark(0), isData: { offset: -1, values: [{ bytes: Uint8Array.of(0) }] } } },
      { tunnelMtu: 70_000 },
    ];
    for (const change of wrong) {
      assert.throws(() => new CarriedTraffic(arena, make, { ...good, ...change }), MisuseError, JSON.stringify(change));
    }
  });
});
