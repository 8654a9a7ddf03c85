import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { HashName, Mac } from '../../../src/core/crypto/provider.ts';
import { CbcProtection } from '../../../src/core/dtls/cbc-protection.ts';
import { DIALECTS, type DtlsVersion, prfOf } from '../../../src/core/dtls/dialect.ts';
import { CONTENT_TYPES, RECORD_HEADER_LENGTH, readSequence, writeRecordHeader } from '../../../src/core/dtls/record.ts';
import { largestPlaintext, maxRecordOverhead } from '../../../src/core/dtls/record-overhead.ts';
import { protectionFor, type SuiteRecordProtection } from '../../../src/core/dtls/suite-protection.ts';
import { type CipherSuite, cipherSuite, MAC_LENGTHS, type SuiteProtection } from '../../../src/core/tls-messages/cipher-suites.ts';
import { trafficKeys } from '../../../src/core/tls-messages/key-schedule.ts';
import { toHex } from '../../../src/core/wire/text.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { LEGACY_CAPTURE, PSK_CAPTURE, RESUMPTION_CAPTURE } from './captures.ts';

const crypto = new SeededCrypto(1);
const suiteOf = (id: number): CipherSuite => cipherSuite(id) ?? assert.fail(`no suite ${id}`);

/** Each way to protect a record, in a version that has it. */
const PROTECTIONS: readonly { readonly version: DtlsVersion; readonly suite: CipherSuite }[] = [
  { version: '1.2', suite: suiteOf(0x00a9) },
  { version: '1.2', suite: suiteOf(0x00a8) },
  { version: '1.2', suite: suiteOf(0xccab) },
  { version: '1.2', suite: suiteOf(0x00ae) },
  { version: '1.0', suite: suiteOf(0x008d) },
  { version: '0.9', suite: suiteOf(0x002f) },
];

const RANDOMS = { client: new Uint8Array(32).fill(1), server: new Uint8Array(32).fill(2) };

function protectionOf({ version, suite }: (typeof PROTECTIONS)[number]): SuiteRecordProtection {
  const dialect = DIALECTS[version];
  const { client } = trafficKeys(crypto, prfOf(dialect, suite), new Uint8Array(48), RANDOMS, suite.protection);
  return protectionFor(crypto, dialect, suite, client);
}

function sealed(protection: SuiteRecordProtection, plaintext: Uint8Array, sequence = 1): Uint8Array {
  const room = new Uint8Array(plaintext.length + protection.maxOverhead).fill(0xa5);
  return room.slice(0, protection.seal(CONTENT_TYPES.applicationData, sequence, plaintext, room));
}

/** The exact length of a record with this plaintext. CBC: header, IV, then the plaintext with its MAC and the padding's length, in whole blocks. */
function sealedLength(protection: SuiteProtection, plaintextLength: number): number {
  if (protection.kind === 'aead') return plaintextLength + maxRecordOverhead(protection);
  return RECORD_HEADER_LENGTH + 16 + Math.ceil((plaintextLength + MAC_LENGTHS[protection.mac] + 1) / 16) * 16;
}

const name = ({ version, suite }: (typeof PROTECTIONS)[number]) => `DTLS ${version}, ${suite.name}`;

for (const kind of PROTECTIONS) {
  describe(`record protection (${name(kind)})`, () => {
    const protection = protectionOf(kind);

    it('opens what it sealed, at the place it says, with lengths as foretold', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 600 }), fc.integer({ min: 0, max: 2 ** 48 - 1 }), (plaintext, sequence) => {
          const record = sealed(protection, plaintext, sequence);
          assert.equal(record.length, sealedLength(kind.suite.protection, plaintext.length));
          assert.ok(record.length <= plaintext.length + protection.maxOverhead);
          assert.equal(readSequence(record, 0), sequence);
          const length = protection.open(record);
          assert.equal(length, plaintext.length);
          const { plaintextOffset } = protection;
          assert.deepEqual(record.slice(plaintextOffset, plaintextOffset + length), plaintext);
        }),
      );
    });

    it('refuses a record in which any one bit has changed', () => {
      const record = sealed(protection, new Uint8Array(20).fill(9));
      for (let at = 0; at < record.length; at++) {
        if (at === 11 || at === 12) continue; // the length is what found the record: see the next test
        const changed = record.slice();
        changed[at] = (changed[at] ?? 0) ^ (1 << (at & 7));
        assert.equal(protection.open(changed), -1, `byte ${at}`);
      }
      assert.equal(protection.open(record), 20);
    });

    it('refuses a record that is cut short or longer than it was', () => {
      const record = sealed(protection, new Uint8Array(40).fill(9));
      for (let length = 13; length < record.length; length++) assert.equal(protection.open(record.slice(0, length)), -1, `${length} bytes`);
      for (const extra of [1, 15, 16, 32, 256]) {
        const longer = new Uint8Array(record.length + extra);
        longer.set(record);
        assert.equal(protection.open(longer), -1, `${extra} bytes more`);
      }
    });

    it('fits the largest plaintext that MTU arithmetic names, and not one byte more', () => {
      for (let udpPayload = 100; udpPayload < 200; udpPayload++) {
        const largest = largestPlaintext(kind.suite.protection, udpPayload);
        assert.ok(sealed(protection, new Uint8Array(largest)).length <= udpPayload);
        assert.ok(sealed(protection, new Uint8Array(largest + 1)).length > udpPayload);
      }
    });
  });
}

describe('record overhead', () => {
  it('is that of spec "AnyConnect", section 8.3', () => {
    const overheads = [0x009c, 0x00a9, 0xccab, 0x002f, 0x0035, 0x00ae].map((id) => maxRecordOverhead(suiteOf(id).protection));
    assert.deepEqual(overheads, [37, 37, 29, 65, 65, 77]);
  });

  it('gives the tunnel MTUs that ocserv announces for a link of 1500 bytes', () => {
    // Spec "AnyConnect", section 8.2: PSK with GCM 1434 over IPv4 and 1414 over IPv6; one byte is the channel's type.
    assert.equal(largestPlaintext(suiteOf(0x00a9).protection, 1500 - 28) - 1, 1434);
    assert.equal(largestPlaintext(suiteOf(0x00a9).protection, 1500 - 48) - 1, 1414);
    // floor16(m - 29) - 21 for AES-CBC with SHA-1.
    assert.equal(largestPlaintext(suiteOf(0x002f).protection, 1472), 1419);
    assert.equal(largestPlaintext(suiteOf(0x002f).protection, 1468), 1403);
  });
});

describe('captured Finished messages', () => {
  const captures = [
    { name: 'the PSK handshake', version: '1.2', suite: 0x00a9, capture: { ...PSK_CAPTURE, serverFlight: PSK_CAPTURE.serverFinished } },
    { name: 'a resumed DTLS 1.2 session', version: '1.2', suite: 0x009d, capture: RESUMPTION_CAPTURE },
    { name: 'the pre-RFC dialect', version: '0.9', suite: 0x002f, capture: LEGACY_CAPTURE },
  ] as const;

  for (const { name, version, suite: id, capture } of captures) {
    it(`open with the keys of ${name}`, () => {
      const [dialect, suite] = [DIALECTS[version], suiteOf(id)];
      const serverHello = 'serverHello' in capture ? capture.serverHello : capture.serverFlight;
      const randoms = { client: capture.clientHello.slice(27, 59), server: serverHello.slice(27, 59) };
      const keys = trafficKeys(crypto, prfOf(dialect, suite), capture.master, randoms, suite.protection);
      const opened = (flight: Uint8Array, side: 'client' | 'server') => {
        const protection = protectionFor(crypto, dialect, suite, keys[side]);
        const record = flight.slice(-sealedLength(suite.protection, 24)); // Finished: header 12, verify_data 12
        const length = protection.open(record);
        return toHex(record.subarray(protection.plaintextOffset, protection.plaintextOffset + length));
      };
      assert.equal(opened(capture.clientFlight, 'client'), toHex(capture.clientFinishedPlain));
      assert.equal(opened(capture.serverFlight, 'server'), toHex(capture.serverFinishedPlain));
    });
  }
});

describe('CBC padding', () => {
  const suite = suiteOf(0x002f);
  const keys = { mac: new Uint8Array(20).fill(1), key: new Uint8Array(16).fill(2), iv: new Uint8Array(0) };
  const version = DIALECTS['1.0'].wireVersion;
  const plaintext = Uint8Array.from({ length: 100 }, (_, i) => i);

  /** Seals as a peer might who pads more than he has to; `spoil` changes the padded plaintext before it is encrypted. */
  function sealedWithPadding(padding: number, spoil: (blocks: Uint8Array) => void = () => undefined): Uint8Array {
    const header = new Uint8Array(13);
    const macInput = Buffer.concat([
      Uint8Array.from([0, 1, 0, 0, 0, 0, 0, 1, 23, version >>> 8, version & 0xff, 0, plaintext.length]),
      plaintext,
    ]);
    const mac = crypto.hmac('sha1', keys.mac, macInput);
    const blocks = new Uint8Array(Buffer.concat([plaintext, mac, new Uint8Array(padding + 1).fill(padding)]));
    spoil(blocks);
    writeRecordHeader(header, 23, version, 1, 1, 16 + blocks.length);
    const iv = new Uint8Array(16).fill(0x77);
    crypto.cbc('aes-128-cbc', keys.key).encrypt(iv, blocks, blocks);
    return new Uint8Array(Buffer.concat([header, iv, blocks]));
  }

  const protection = () => {
    assert.ok(suite.protection.kind === 'cbc');
    return new CbcProtection(crypto, suite.protection, keys, version);
  };

  /** All lengths of padding that fill the last block: 100 + 20 + padding + 1 is whole blocks. */
  const paddings = Array.from({ length: 16 }, (_, i) => 7 + 16 * i);

  it('may be of any length', () => {
    for (const padding of paddings) assert.equal(protection().open(sealedWithPadding(padding)), plaintext.length, `padding ${padding}`);
  });

  it('is refused if one of its bytes differs', () => {
    for (const padding of paddings) {
      for (const back of new Set([1, 2, padding >>> 1, padding])) {
        const record = sealedWithPadding(padding, (blocks) => {
          const at = blocks.length - 1 - back;
          blocks[at] = (blocks[at] ?? 0) ^ 0x80;
        });
        assert.equal(protection().open(record), -1, `padding ${padding}, ${back} from the end`);
      }
    }
  });

  it('is refused if it claims more than there is', () => {
    const all = paddings[0] ?? assert.fail();
    for (const claim of [all + 1, 108, 120, 127, 128, 255]) {
      const record = sealedWithPadding(all, (blocks) => blocks.fill(claim, blocks.length - 1 - Math.min(claim, blocks.length - 1)));
      assert.equal(protection().open(record), -1, `claims ${claim}`);
    }
  });

  it('makes no difference to how much is hashed', () => {
    // Lucky 13: of records of one length, MAC and make-up work together hash as many blocks whatever the padding is or claims to be.
    for (const padding of [paddings[0] ?? assert.fail(), paddings.at(-1) ?? assert.fail()]) {
      const end = plaintext.length + 20 + padding + 1;
      const records = [
        sealedWithPadding(padding),
        ...[0, 1, 127, 255].map((claim) => sealedWithPadding(padding, (blocks) => blocks.fill(claim, Math.max(0, end - 1 - claim)))),
        sealedWithPadding(padding, (blocks) => blocks.fill(0xee, end - 2)),
      ];
      const hashed = records.map((record) => {
        const counting = new CountingCrypto();
        assert.ok(suite.protection.kind === 'cbc');
        new CbcProtection(counting, suite.protection, keys, version).open(record);
        return counting.blocks;
      });
      assert.equal(new Set(hashed).size, 1, `hash blocks: ${hashed}`);
    }
  });
});

/** Counts the blocks that SHA-1 runs over. */
class CountingCrypto extends NodeCrypto {
  blocks = 0;

  override hash(hash: HashName, data: Uint8Array): Uint8Array {
    this.#count(data);
    return super.hash(hash, data);
  }

  override mac(hash: HashName, key: Uint8Array): Mac {
    const mac = super.mac(hash, key);
    const compute = (data: Uint8Array) => {
      this.#count(data);
      return mac.compute(data);
    };
    return { length: mac.length, compute };
  }

  #count(data: Uint8Array): void {
    this.blocks += Math.ceil((data.length + 9) / 64);
  }
}
