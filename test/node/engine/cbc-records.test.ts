/** Records with CBC and HMAC, DTLS's and ESP's, with OpenSSL by address and with node:crypto: against references, vectors, and whoever changes a bit. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { CbcProtection } from '../../../src/core/dtls/cbc-protection.ts';
import { DTLS_0_9, DTLS_1_0, DTLS_1_2 } from '../../../src/core/dtls/dialect.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import {
  type CbcCipher,
  type DtlsMac,
  type EspMac,
  framingByMark,
  type PacketFraming,
  type TrafficDescription,
} from '../../../src/core/tunnel/traffic.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { CarriedTraffic, type CipherMaker, NOT_OPENED, NOT_SEALED } from '../../../src/node/engine/carried-traffic.ts';
import { makeCbcMac } from '../../../src/node/engine/cbc-mac.ts';
import { makeRecordCipher } from '../../../src/node/engine/make-record-cipher.ts';
import { NO_PACKET } from '../../../src/node/engine/packet-frames.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { nativeLibrary } from '../../../src/node/ffi/koffi.ts';
import { OpenSsl } from '../../../src/node/ffi/openssl.ts';
import { openEspReference, type ReferenceSa, sealEspReference } from '../../reference/esp-packet.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const DATA = 23;
const NOTHING = new Uint8Array(0);
const CIPHERS: readonly CbcCipher[] = ['aes-128-cbc', 'aes-256-cbc'];
const keyLength = (cipher: CbcCipher) => (cipher === 'aes-128-cbc' ? 16 : 32);
const HASH_LENGTHS = { md5: 16, sha1: 20, sha256: 32 };

const arena = new Arena(4 * 65_536);
const packet = arena.allocate(64 + 3000) + 64;
const incoming = arena.allocate(3000);
const openssl = OpenSsl.bind(arena);

/** The bytes of the record that an IP packet became; empty: it was not sealed. */
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

/** An IPv4 packet, as far as its first byte goes. */
const ipv4 = (length: number) => Buffer.concat([Buffer.of(0x45), randomBytes(length - 1)]);

const ESP_FRAMING: PacketFraming = {
  frame: { bytes: NOTHING, lengths: [] },
  sent: { ipv4: Uint8Array.of(4), ipv6: Uint8Array.of(41) },
  isData: {
    offset: 0,
    values: [
      { bytes: Uint8Array.of(4), family: 4 },
      { bytes: Uint8Array.of(41), family: 6 },
    ],
  },
};

function espTraffic(
  make: CipherMaker,
  out: ReferenceSa,
  back: ReferenceSa,
  nextSequence = 0,
  exceptions: NonNullable<PacketFraming['exceptions']> = [],
): CarriedTraffic {
  const key = ({ spi: id, key, macKey: mac }: ReferenceSa, next: number) => ({ id, key, iv: NOTHING, mac, nextSequence: next });
  return new CarriedTraffic(arena, make, {
    record: { kind: 'esp', cipher: out.cipher, mac: out.mac },
    seal: key(out, nextSequence),
    open: [key(back, 0)],
    replayWindow: 64,
    framing: { ...ESP_FRAMING, exceptions },
    tunnelMtu: 1400,
  });
}

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const KEY_BLOCK = Uint8Array.from({ length: 64 }, (_, i) => i);

/** Of the specification's vectors: keys are the beginning of one block, behind each other. */
function vectorSa(cipher: CbcCipher, mac: EspMac): ReferenceSa {
  const [at, end] = [keyLength(cipher), keyLength(cipher) + HASH_LENGTHS[mac]];
  return { spi: 0xa1b2c3d4, cipher, key: KEY_BLOCK.subarray(0, at), mac, macKey: KEY_BLOCK.subarray(at, end) };
}

const ECHO = '4500002400014000400126100a6300020a6300010800543512340001 6162636465666768';
const IV = 'a1b2c3d4 SEQUENCE f0e0d0c0b0a090807060504030201000';
const vector = (sequence: string, rest: string) => hex(IV.replace('SEQUENCE', sequence) + rest);

/** Spec "ESP", section 8: name, keys, sequence, next header and payload, packet. */
const ESP_VECTORS: readonly (readonly [string, ReferenceSa, string, Buffer])[] = [
  ['V1', vectorSa('aes-128-cbc', 'sha1'), '0400', vector('00000000', 'b394ad9a12062ca38413b5da9c1534fa 926c96120505212134894863')],
  [
    'V2',
    vectorSa('aes-128-cbc', 'sha1'),
    `04${ECHO}`,
    vector(
      '00000001',
      '69ac1dcb4c9dca0612e6769766398b78d4b6a8844dd2cfbc3545becf9de3eeb5216cfbbc7cd45b9e45f630dc5e130862 6fa4db09eabfb13f9aded6d8',
    ),
  ],
  [
    'V3',
    vectorSa('aes-256-cbc', 'md5'),
    `04${ECHO}`,
    vector(
      '00000002',
      '8333882847b83464c08fbf7db0ace37b34b2950357a66d1a9c02d28a11223b0211ce44bed45a76aa37d23bd645046049 f0da500c1b20bc617e51e273',
    ),
  ],
  [
    'V4',
    vectorSa('aes-256-cbc', 'sha256'),
    `04${ECHO}`,
    vector(
      '01020304',
      '8333882847b83464c08fbf7db0ace37b34b2950357a66d1a9c02d28a11223b0211ce44bed45a76aa37d23bd645046049 d1659702b947c0e2168842fffe55c84f',
    ),
  ],
  [
    'V5',
    vectorSa('aes-128-cbc', 'sha1'),
    '05 21 4500007800014000400125bc0a630002 4e00 0141 20420000 110000', // compressed
    vector('00000003', 'b2e2e5ffdf55f1e454d604a0493f444f18fb06d069e3133ebae1e53ee5870c2f 0a122f662f56f642154dffd7'),
  ],
  ['V6', vectorSa('aes-128-cbc', 'sha1'), '2900', vector('00000000', '6fc70523d141bc398095a621ade17d80 03ab7a33b3a5793c52a2bd4b')],
  [
    'V7, captured',
    vectorSa('aes-128-cbc', 'sha1'),
    '0400',
    hex('a1b2c3d4000000007d9146a2d13200a8d7a3e3d628c7df454c4bcf864a00dd8279c39c8e409744cb9881dbc44100b20340412287'),
  ],
  [
    'V7, its second',
    vectorSa('aes-128-cbc', 'sha1'),
    '0400',
    hex('a1b2c3d40000000108bd9ec977e980204b7c41f9fdd0db4c0dcd00554d06790065fa920d504feb3c883cf79a355af9979040dc3b'),
  ],
  [
    'V8, captured',
    vectorSa('aes-256-cbc', 'md5'),
    '0400',
    hex('a1b2c3d400000000c074e8c4f7b9a3c868d15fa65a6487182b15af703e6ff13afc0bfebc2271b61819c9d31fd336cd5584bab800'),
  ],
];

it('finds OpenSSL in the executable', () => assert.ok(openssl));

for (const [name, functions] of [
  ['OpenSSL by address', openssl],
  ['node:crypto', undefined],
] as const) {
  const make: CipherMaker = (layout, direction, each) => makeRecordCipher(functions, arena, layout, direction, each);

  describe(`ESP packets by ${name}`, () => {
    for (const [title, sa, plaintext, bytes] of ESP_VECTORS) {
      it(`opens vector ${title}`, () => {
        const traffic = espTraffic(make, sa, sa);
        const opened = open(traffic, bytes);
        assert.ok(typeof opened !== 'number', `answered ${opened}`);
        assert.deepEqual(opened, hex(plaintext));
        assert.equal(open(traffic, bytes), NOT_OPENED.replayed);
        traffic.close();
      });
    }

    for (const cipher of CIPHERS) {
      for (const mac of ['md5', 'sha1', 'sha256'] as const) {
        const sa = (spi: number): ReferenceSa => ({
          spi,
          cipher,
          key: randomBytes(keyLength(cipher)),
          mac,
          macKey: randomBytes(HASH_LENGTHS[mac]),
        });
        const [out, back] = [sa(0x8000_0001), sa(0xfedc_ba98)];

        it(`open with the reference and from it: ${cipher}, ${mac}`, () => {
          const traffic = espTraffic(make, out, back);
          const ivs = new Set<string>();
          for (let length = 20; length < 120; length++) {
            const bytes = length % 2 === 0 ? ipv4(length) : Buffer.concat([Buffer.of(0x60), randomBytes(length - 1)]);
            const opened = openEspReference(out, sealPacket(traffic, bytes));
            assert.deepEqual(opened.payload, bytes);
            assert.deepEqual([opened.sequence, opened.nextHeader], [length - 20, length % 2 === 0 ? 4 : 41]);
            assert.ok(opened.padding < 16, 'minimal');
            ivs.add(opened.iv.toString('hex'));
            const isData = length % 10 !== 0; // else the packet is not what its header says
            const nextHeader = (length % 2 === 0) === isData ? 4 : 41;
            const answer = sealEspReference(back, { sequence: length, iv: randomBytes(16), payload: bytes, nextHeader });
            assert.deepEqual(open(traffic, answer), Buffer.concat([Buffer.of(nextHeader), bytes]));
            assert.equal(traffic.packetOffset(incoming, bytes.length + 1), isData ? 1 : NO_PACKET);
            assert.equal(traffic.recordLength, answer.length);
          }
          assert.equal(ivs.size, 100, 'a fresh one each');
          traffic.close();
        });

        it(`refuse any change: ${cipher}, ${mac}`, () => {
          const traffic = espTraffic(make, out, back);
          const good = sealEspReference(back, { sequence: 7, iv: randomBytes(16), payload: ipv4(40), nextHeader: 4 });
          for (let at = 0; at < good.length; at++) {
            const changed = Buffer.from(good);
            changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8));
            assert.equal(open(traffic, changed), at < 4 ? NOT_OPENED.unknownEpoch : NOT_OPENED.badTag, `byte ${at}`);
          }
          for (let length = 0; length < good.length; length++) assert.ok(Number(open(traffic, good.subarray(0, length))) < 0);
          const packetOf = (payload: Buffer, padding: Uint8Array) =>
            sealEspReference(back, { sequence: 9, iv: randomBytes(16), payload, nextHeader: 4 }, padding);
          assert.equal(open(traffic, packetOf(ipv4(29), Buffer.of(2, 1, 2).subarray(0, 2))), NOT_OPENED.badTag, 'padding of other bytes');
          assert.equal(
            open(
              traffic,
              packetOf(
                Buffer.alloc(0),
                Uint8Array.from({ length: 15 }, (_, i) => (i === 14 ? 14 : i + 1)),
              ),
            ),
            NOT_OPENED.badTag,
          );
          assert.equal(open(traffic, packetOf(ipv4(30), Buffer.of(200))), NOT_OPENED.badTag, 'more padding than there is');
          assert.ok(typeof open(traffic, good) !== 'number', 'the window has not moved for any of them');
          traffic.close();
        });
      }
    }

    it('leaves the machine probes, and packets that it asked for', () => {
      const sa = vectorSa('aes-128-cbc', 'sha1');
      const echo = {
        family: 4,
        bytes: [
          { offset: 9, value: Uint8Array.of(1) },
          { offset: 16, value: Uint8Array.of(10, 99, 0, 1) },
        ],
      } as const;
      const traffic = espTraffic(make, sa, sa, 0, [echo]);
      const isData = (sequence: number, payload: Buffer, nextHeader = 4) => {
        const opened = open(traffic, sealEspReference(sa, { sequence, iv: randomBytes(16), payload, nextHeader }));
        assert.ok(typeof opened !== 'number');
        assert.deepEqual(opened, Buffer.concat([Buffer.of(nextHeader), payload]));
        return traffic.packetOffset(incoming, opened.length) !== NO_PACKET;
      };
      const asked = Buffer.concat([hex('4500002c47474000400127240a6300020a630001'), randomBytes(24)]);
      const [other, udp] = [Buffer.from(asked), Buffer.from(asked)];
      other[19] = 2;
      udp[9] = 17;
      assert.ok(!isData(0, Buffer.of(0)) && !isData(1, Buffer.of(0), 41), 'probes');
      assert.ok(!isData(2, asked));
      assert.ok(isData(3, other) && isData(4, udp));
      assert.ok(isData(5, asked.subarray(0, 19)), 'it is over before');
      assert.ok(!isData(6, udp, 5), 'compressed');
      arena.bytes.set(asked, packet);
      assert.equal(traffic.sealPacket(packet, asked.length), NOT_SEALED.notOurs);
      assert.deepEqual(Buffer.from(arena.bytes.subarray(packet, packet + asked.length)), asked);
      assert.equal(openEspReference(sa, sealPacket(traffic, other)).sequence, 0, 'and no number is used for it');
      traffic.close();
    });

    it('ends with its numbers', () => {
      const [sa] = [vectorSa('aes-128-cbc', 'sha1')];
      const traffic = espTraffic(make, sa, sa, 2 ** 32 - 2);
      assert.equal(traffic.sealing, 'late');
      assert.equal(openEspReference(sa, sealPacket(traffic, ipv4(20))).sequence, 2 ** 32 - 2);
      assert.equal(openEspReference(sa, sealPacket(traffic, ipv4(20))).sequence, 2 ** 32 - 1);
      assert.equal(sealPacket(traffic, ipv4(20)).length, 0);
      assert.equal(traffic.sealing, 'over');
    });
  });

  for (const version of [DTLS_1_2, DTLS_1_0, DTLS_0_9]) {
    for (const cipher of CIPHERS) {
      for (const mac of version === DTLS_1_2 ? (['sha1', 'sha256'] as const) : (['sha1'] as const)) {
        describe(`DTLS records with CBC by ${name}: version ${version.toString(16)}, ${cipher}, ${mac}`, () => {
          dtlsTests(make, version, cipher, mac);
        });
      }
    }
  }

  it(`takes no description with keys of other lengths, by ${name}`, () => {
    const key = { id: 1, key: randomBytes(16), iv: NOTHING, mac: randomBytes(20), nextSequence: 0 };
    const right: TrafficDescription = {
      record: { kind: 'esp', cipher: 'aes-128-cbc', mac: 'sha1' },
      seal: key,
      open: [key],
      replayWindow: 64,
      framing: ESP_FRAMING,
      tunnelMtu: 1400,
    };
    new CarriedTraffic(arena, make, right).close();
    for (const wrong of [
      { ...right, seal: { ...key, mac: randomBytes(16) } },
      { ...right, seal: { ...key, mac: NOTHING } },
      { ...right, seal: { ...key, key: randomBytes(32) } },
      { ...right, seal: { ...key, iv: randomBytes(16) } },
      { ...right, seal: { ...key, id: 2 ** 32 } },
      { ...right, open: [{ ...key, nextSequence: 2 ** 32 + 1 }] },
      { ...right, record: { kind: 'dtls-cbc', cipher: 'aes-128-cbc', mac: 'sha1', version: 2 ** 16 } as const },
      { ...right, record: { kind: 'esp', cipher: 'aes-128-cbc', mac: 'sha512' as EspMac } as const },
    ]) {
      assert.throws(() => new CarriedTraffic(arena, make, wrong), MisuseError);
    }
  });
}

function dtlsTests(make: CipherMaker, version: number, cipher: CbcCipher, mac: DtlsMac): void {
  const keys = () => ({ key: randomBytes(keyLength(cipher)), iv: NOTHING, mac: randomBytes(HASH_LENGTHS[mac]) });
  const [out, back] = [keys(), keys()];
  const reference = (own: typeof out) => new CbcProtection(new NodeCrypto(), { kind: 'cbc', cipher, mac }, { ...own }, version);
  const fresh = () =>
    new CarriedTraffic(arena, make, {
      record: { kind: 'dtls-cbc', cipher, mac, version },
      seal: { id: 1, ...out, nextSequence: 1 },
      open: [{ id: 1, ...back, nextSequence: 1 }],
      replayWindow: 64,
      framing: framingByMark(0),
      tunnelMtu: 1400,
    });
  const sealed = (sequence: number, plaintext: Uint8Array, type = DATA) => {
    const room = new Uint8Array(plaintext.length + 100);
    return room.slice(0, reference(back).seal(type, sequence, plaintext, room));
  };

  it('open with the reference and from it', () => {
    const traffic = fresh();
    for (let length = 1; length < 80; length++) {
      const bytes = ipv4(length);
      const record = sealPacket(traffic, bytes);
      assert.equal(record.readUIntBE(5, 6), length);
      const at = reference(out).plaintextOffset;
      const opened = new Uint8Array(record);
      assert.equal(reference(out).open(opened), length + 1);
      assert.deepEqual(Buffer.from(opened.subarray(at, at + length + 1)), Buffer.concat([Buffer.of(0), bytes]));

      const answer = sealed(length, Buffer.concat([Buffer.of(0), bytes]));
      assert.deepEqual(open(traffic, answer), Buffer.concat([Buffer.of(0), bytes]));
      assert.equal(traffic.packetOffset(incoming, length + 1), 1);
      assert.equal(open(traffic, answer), NOT_OPENED.replayed);
    }
    assert.deepEqual(open(traffic, sealed(500, Buffer.of(1, 0), 21)), Buffer.of(1, 0));
    assert.equal(traffic.packetOffset(incoming, 2), NO_PACKET, 'an alert');
    traffic.close();
  });

  it('refuse any change, and go on', () => {
    const traffic = fresh();
    const random = new SeededRandom(1);
    for (const length of [1, 30, 100]) {
      const good = sealed(3 + length, Buffer.concat([Buffer.of(0), ipv4(length)]));
      for (let at = 0; at < good.length; at++) {
        const changed = good.slice();
        changed[at] = (changed[at] ?? 0) ^ (1 << (random.uint32() % 8));
        assert.ok(Number(open(traffic, changed)) < 0, `byte ${at} of ${good.length}`);
      }
      assert.ok(typeof open(traffic, good) !== 'number');
    }
    for (let i = 0; i < 300; i++) {
      const body = randomBytes(16 * (1 + (random.uint32() % 30)));
      const header = Buffer.from(sealed(1000 + i, Buffer.of(0)).subarray(0, 13));
      header.writeUInt16BE(body.length, 11);
      assert.ok(Number(open(traffic, Buffer.concat([header, body]))) < 0, 'garbage');
    }
    traffic.close();
  });
}

describe('what OpenSSL refuses', { skip: openssl === undefined && 'the executable exports no OpenSSL' }, () => {
  it('leaves no error behind, which the next read of a TLS connection would take for its own', () => {
    const peekError = nativeLibrary('A test').func('unsigned long ERR_peek_error()');
    const keys = { cipher: 'aes-128-cbc', key: randomBytes(16), hash: 'md5', mac: randomBytes(16) } as const;
    const { cbcMac = assert.fail() } = openssl ?? assert.fail();
    const withoutCbc = Object.create(openssl ?? null, { cbcMac: { value: { ...cbcMac, cbc: { 'aes-128-cbc': () => 0 } } } });
    assert.throws(() => makeCbcMac(withoutCbc, arena, 'seal', keys), /refused the key/);
    assert.equal(peekError(), 0);
  });
});
