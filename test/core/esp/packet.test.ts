/** ESP packets by the vectors of spec "ESP", sections 4.2 and 8, and of spec "GlobalProtect", section 18.2. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type EspKeys, EspReceiver, EspSender, espCapacity, espLength } from '../../../src/core/esp/packet.ts';
import { newSpi, nextSpi, tunnelIdIn, tunnelIdOf } from '../../../src/core/esp/spi.ts';
import { ReplayWindow } from '../../../src/core/tunnel/replay-window.ts';
import { toHex } from '../../../src/core/wire/text.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { openEspReference, sealEspReference } from '../../reference/esp-packet.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const range = (from: number, length: number) => Uint8Array.from({ length }, (_, i) => from + i);

const IV = hex('f0e0d0c0b0a090807060504030201000');
const SPI = 0xa1b2c3d4;
const ECHO = '4500002400014000400126100a6300020a630001 0800543512340001 6162636465666768';

/** Its randomness is what the test says. */
class ChosenIv extends NodeCrypto {
  readonly #iv: Uint8Array;

  constructor(iv: Uint8Array) {
    super();
    this.#iv = iv;
  }

  override randomBytes(): Uint8Array {
    return this.#iv;
  }
}

function keys(cipher: EspKeys['cipher'], mac: EspKeys['mac'], spi: number, key: Uint8Array, macKey: Uint8Array): EspKeys {
  return { spi, cipher, mac, key, macKey };
}

const AES128_SHA1 = keys('aes-128-cbc', 'sha1', SPI, range(0, 16), range(16, 20));
const AES256_MD5 = keys('aes-256-cbc', 'md5', SPI, range(0, 32), range(32, 16));
const AES256_SHA256 = keys('aes-256-cbc', 'sha256', SPI, range(0, 32), range(32, 32));
const GP_IV = range(0xa0, 16);
const GP_REQUEST = '4500002c474740004001cf700a0908070a09080108000b08474700016d6f6e69746f72000070616e20686120';
const GP_REQUEST_V6 =
  '6000000000183a80fd000009000000000000000000000007fd00000900000000000000000000000180009899474700016d6f6e69746f72000070616e20686120';

interface Vector {
  readonly name: string;
  readonly keys: EspKeys;
  readonly sequence: number;
  readonly iv?: Uint8Array;
  readonly nextHeader: number;
  readonly payload: string;
  readonly packet: string;
}

const VECTORS: readonly Vector[] = [
  {
    ...{ name: 'V1, a probe', keys: AES128_SHA1, sequence: 0, nextHeader: 4, payload: '00' },
    packet: 'a1b2c3d400000000f0e0d0c0b0a090807060504030201000b394ad9a12062ca38413b5da9c1534fa926c96120505212134894863',
  },
  {
    ...{ name: 'V2, AES-128 and SHA-1', keys: AES128_SHA1, sequence: 1, nextHeader: 4, payload: ECHO },
    packet: `a1b2c3d400000001f0e0d0c0b0a090807060504030201000
      69ac1dcb4c9dca0612e6769766398b78d4b6a8844dd2cfbc3545becf9de3eeb5216cfbbc7cd45b9e45f630dc5e130862 6fa4db09eabfb13f9aded6d8`,
  },
  {
    ...{ name: 'V3, AES-256 and MD5', keys: AES256_MD5, sequence: 2, nextHeader: 4, payload: ECHO },
    packet: `a1b2c3d400000002f0e0d0c0b0a090807060504030201000
      8333882847b83464c08fbf7db0ace37b34b2950357a66d1a9c02d28a11223b0211ce44bed45a76aa37d23bd645046049 f0da500c1b20bc617e51e273`,
  },
  {
    ...{ name: 'V4, AES-256 and SHA-256', keys: AES256_SHA256, sequence: 0x01020304, nextHeader: 4, payload: ECHO },
    packet: `a1b2c3d401020304f0e0d0c0b0a090807060504030201000
      8333882847b83464c08fbf7db0ace37b34b2950357a66d1a9c02d28a11223b0211ce44bed45a76aa37d23bd645046049 d1659702b947c0e2168842fffe55c84f`,
  },
  {
    ...{ name: 'V5, what is compressed', keys: AES128_SHA1, sequence: 3, nextHeader: 5 },
    payload: '214500007800014000400125bc0a6300024e00014120420000110000',
    packet: `a1b2c3d400000003f0e0d0c0b0a090807060504030201000
      b2e2e5ffdf55f1e454d604a0493f444f18fb06d069e3133ebae1e53ee5870c2f 0a122f662f56f642154dffd7`,
  },
  {
    ...{ name: 'V6, a probe over IPv6', keys: AES128_SHA1, sequence: 0, nextHeader: 0x29, payload: '00' },
    packet: 'a1b2c3d400000000f0e0d0c0b0a0908070605040302010006fc70523d141bc398095a621ade17d8003ab7a33b3a5793c52a2bd4b',
  },
  {
    ...{ name: 'GlobalProtect’s request', sequence: 0, iv: GP_IV, nextHeader: 4, payload: GP_REQUEST },
    keys: keys('aes-128-cbc', 'sha1', 0x11223344, range(0, 16), range(0x80, 20)),
    packet: `1122334400000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf97111925cb7849e67fccfa9bb3b50a6828afc4f88b22fff7
      ad056636ee9e8b4df406d997d723bf1977a43b0f8e7b8f9ff243ecc513b3f49e13b72c0b`,
  },
  {
    ...{ name: 'the same with AES-256 and SHA-256', sequence: 0, iv: GP_IV, nextHeader: 4, payload: GP_REQUEST },
    keys: keys('aes-256-cbc', 'sha256', 0x11223344, range(0, 32), range(0x80, 32)),
    packet: `1122334400000000a0a1a2a3a4a5a6a7a8a9aaabacadaeafd2989c6f9c981d6c224ed116326d0a299d38ea8b86ae8008
      9db66aff8c5cf7590c17e6d5f5dfa9c5018e81f85bd34e495376e7bdfa4dfc9a7dd822d6c60f26ec`,
  },
  {
    ...{ name: 'GlobalProtect’s request over IPv6', sequence: 0, iv: GP_IV, nextHeader: 0x29, payload: GP_REQUEST_V6 },
    keys: keys('aes-128-cbc', 'sha1', 0x11223344, range(0, 16), range(0x80, 20)),
    packet: `1122334400000000a0a1a2a3a4a5a6a7a8a9aaabacadaeaf74f432c35d1dbdd56ebcbd3f32a35ed643c7bfb908946da8
      3536b660ce96f7a03b05146563234afb389566493d4b63faf3668e7ac72c9a12febc23e710f2051d516422d208e50796922baf08893fddeb3ac137ca37644eac7e24179e`,
  },
];

describe('ESP packets', () => {
  for (const { name, keys: sa, sequence, iv = IV, nextHeader, payload, packet } of VECTORS) {
    it(`are those of the specification: ${name}`, () => {
      const receiver = new EspReceiver(new NodeCrypto(), sa);
      assert.equal(receiver.open(hex(packet)), true);
      assert.deepEqual([receiver.nextHeader, receiver.payload], [nextHeader, hex(payload)]);
      assert.deepEqual(tunnelIdIn(hex(packet)), tunnelIdOf(sa.spi));
      if (sequence > 3) return; // nobody counts as far as V4 here
      const sender = new EspSender(new ChosenIv(iv), sa);
      const room = new Uint8Array(200);
      for (let i = 0; i < sequence; i++) sender.seal(hex('00'), 4, room);
      const length = sender.seal(hex(payload), nextHeader, room);
      assert.equal(toHex(room.subarray(0, length)), toHex(hex(packet)));
    });
  }

  it('are those of a real client (V7, V8)', () => {
    const receiver = new EspReceiver(new NodeCrypto(), AES128_SHA1);
    for (const packet of [
      'a1b2c3d4000000007d9146a2d13200a8d7a3e3d628c7df454c4bcf864a00dd8279c39c8e409744cb9881dbc44100b20340412287',
      'a1b2c3d40000000108bd9ec977e980204b7c41f9fdd0db4c0dcd00554d06790065fa920d504feb3c883cf79a355af9979040dc3b',
    ]) {
      assert.equal(receiver.open(hex(packet)), true);
      assert.deepEqual([receiver.nextHeader, receiver.payload], [4, hex('00')]);
    }
    const other = new EspReceiver(new NodeCrypto(), AES256_MD5);
    const packet = 'a1b2c3d400000000c074e8c4f7b9a3c868d15fa65a6487182b15af703e6ff13afc0bfebc2271b61819c9d31fd336cd5584bab800';
    assert.equal(other.open(hex(packet)), true);
    assert.deepEqual(other.payload, hex('00'));
  });

  it('are what the obvious implementation makes and opens, once, and not at all if a bit is another', () => {
    const payloads = fc.uint8Array({ minLength: 1, maxLength: 200 });
    const sas = fc.constantFrom(AES128_SHA1, AES256_MD5, AES256_SHA256);
    fc.assert(
      fc.property(sas, payloads, fc.nat(), (sa, payload, flip) => {
        const sender = new EspSender(new NodeCrypto(), sa);
        const room = new Uint8Array(espLength(payload.length, sa.mac));
        assert.equal(sender.seal(payload, 4, room), room.length);
        const obvious = openEspReference(sa, Buffer.from(room));
        assert.deepEqual([new Uint8Array(obvious.payload), obvious.nextHeader, obvious.sequence], [payload, 4, 0]);
        const sealed = sealEspReference(sa, { sequence: 0, iv: Buffer.from(obvious.iv), payload: Buffer.from(payload), nextHeader: 4 });
        assert.deepEqual(new Uint8Array(sealed), room);
        const altered = room.slice();
        altered[flip % room.length] = (altered[flip % room.length] ?? 0) ^ (1 << (flip % 8));
        const receiver = new EspReceiver(new NodeCrypto(), sa);
        assert.equal(receiver.open(altered), false);
        const again = room.slice();
        assert.equal(receiver.open(room), true);
        assert.deepEqual(receiver.payload, payload);
        assert.equal(receiver.open(again), false);
      }),
    );
  });

  it('are refused whatever else they are', () => {
    const receiver = new EspReceiver(new NodeCrypto(), AES128_SHA1);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => assert.equal(receiver.open(bytes), false)));
    assert.equal(receiver.open(Uint8Array.of(0xff)), false); // RFC 3948's keepalive
  });

  it('have nothing but 01 02 03 as padding, and something before it', () => {
    const crypto = new NodeCrypto();
    const forge = (plaintext: Uint8Array): Uint8Array => {
      const packet = new Uint8Array(24 + plaintext.length + 12);
      packet.set(hex('a1b2c3d400000000'));
      const blocks = packet.subarray(24, 24 + plaintext.length);
      blocks.set(plaintext);
      crypto.cbc('aes-128-cbc', AES128_SHA1.key).encrypt(new Uint8Array(16), blocks, blocks);
      packet.set(crypto.hmac('sha1', AES128_SHA1.macKey, packet.subarray(0, packet.length - 12)).subarray(0, 12), packet.length - 12);
      return packet;
    };
    const opens = (text: string) => new EspReceiver(crypto, AES128_SHA1).open(forge(hex(text)));
    assert.equal(opens('000102030405060708090a0b0c0d0d04'), true);
    assert.equal(opens('000102030405060708090a0b0c0e0d04'), false);
    assert.equal(opens('0102030405060708090a0b0c0d0e0e04'), false);
    assert.equal(opens('00000000000000000000000000000f04'), false);
  });

  it('are as long as the specification’s table says', () => {
    assert.deepEqual([espLength(1280, 'sha1'), espLength(1400, 'sha256'), espLength(1422, 'md5')], [1332, 1448, 1460]);
    assert.deepEqual(
      [espCapacity(1500 - 28, 'sha1'), espCapacity(1280 - 28, 'sha256'), espCapacity(1500 - 48, 'sha1')],
      [1422, 1198, 1406],
    );
  });
});

describe('SPIs of our own', () => {
  it('are not reserved, and no beginning of a DTLS record', () => {
    const crypto = new NodeCrypto();
    for (let i = 0; i < 2000; i++) {
      const spi = newSpi(crypto);
      assert.ok(spi >= 0x100 && (spi >>> 24 < 20 || spi >>> 24 > 63));
    }
  });

  it('of one tunnel differ in their last byte alone', () => {
    assert.deepEqual([nextSpi(0xa1b2c3d4), nextSpi(0xa1b2c3ff), nextSpi(0xffffff00)], [0xa1b2c3d5, 0xa1b2c300, 0xffffff01]);
    assert.deepEqual(tunnelIdOf(0xa1b2c3ff), Uint8Array.of(0xa1, 0xb2, 0xc3));
  });

  it('are looked for in nothing that is too short or a record of DTLS', () => {
    const datagram = new Uint8Array(52).fill(0xa1);
    assert.deepEqual(tunnelIdIn(datagram), Uint8Array.of(0xa1, 0xa1, 0xa1));
    assert.equal(tunnelIdIn(datagram.subarray(0, 39)), undefined);
    for (const type of [20, 22, 63]) assert.equal(tunnelIdIn(new Uint8Array(52).fill(type)), undefined);
  });
});

describe('The replay window of ESP', () => {
  it('answers the conformance sequence of the specification', () => {
    const decimal = `0+ 2+ 1+ 0- 64+ 65+ 65- 66+ 67+ 68+ 68- 2- 3- 4+ 164+ 99- 100+ 200+ 264+ 199- 200-
      265+ 210+ 201+ 270+ 206+ 210- 333+ 268- 269+ 270-`;
    const hexadecimal = 'fffffffd+ 1- ffffffc1+ fffffffc+ ffffffff+ 0- ffffffbe- ffffffbf+ ffffffc1- ffffffc0+';
    const window = new ReplayWindow();
    const steps = [decimal, hexadecimal].flatMap((text, i) =>
      text.split(/\s+/).map((step) => ({ step, number: Number.parseInt(step, i === 0 ? 10 : 16), isNew: step.endsWith('+') })),
    );
    assert.equal(steps.length, 41);
    for (const { step, number, isNew } of steps) {
      assert.equal(window.allows(number), isNew, step);
      if (isNew) window.mark(number);
    }
  });
});
