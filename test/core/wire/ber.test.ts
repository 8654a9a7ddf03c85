import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError, SallyportError, TruncatedError } from '../../../src/core/errors.ts';
import { BER, BerReader } from '../../../src/core/wire/ber.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { asLooseBer, der, integer, octetString, oid, sequence } from '../../support/der.ts';

const reader = (hex: string) => new BerReader(fromHex(hex));

describe('BerReader', () => {
  it('reads elements one after the other and says when there are no more', () => {
    const elements = reader('020105 0500');
    assert.equal(elements.peekTag(), BER.integer);
    assert.equal(elements.integer('a'), 5);
    assert.equal(toHex(elements.expect(BER.null, 'b').encoded), '0500');
    assert.equal(elements.isAtEnd, true);
    assert.equal(elements.peekTag(), undefined);
  });

  it('reads lengths in the short form, in the long form and in a long form that is longer than needed', () => {
    assert.equal(toHex(reader('0402aabb').octets('x')), 'aabb');
    assert.equal(toHex(reader('048102aabb').octets('x')), 'aabb');
    assert.equal(toHex(reader('048400000002aabb').octets('x')), 'aabb');
    assert.equal(new BerReader(octetString(new Uint8Array(70_000))).octets('x').length, 70_000);
  });

  it('reads indefinite lengths, also one in another', () => {
    const outer = reader('3080 3080 020107 0000 020108 0000 ff').sequence('outer');
    assert.equal(outer.sequence('inner').integer('a'), 7);
    assert.equal(outer.integer('b'), 8);
    assert.equal(outer.isAtEnd, true);
  });

  it('joins an octet string that is in pieces', () => {
    assert.equal(toHex(reader('2480 0401aa 2406 0401bb 0401cc 0000').octets('x')), 'aabbcc');
    assert.equal(toHex(reader('a006 0401aa 0401bb').octets('x', 0)), 'aabb');
    assert.equal(toHex(reader('8002aabb').octets('x', 0)), 'aabb');
    assert.throws(() => reader('2403 020101').octets('x'), PeerMisbehavedError);
  });

  it('reads object identifiers, with arcs of any size', () => {
    assert.equal(reader('06092a864886f70d010c01').element('x').encoded.length, 11);
    assert.equal(reader('06092a864886f70d01070c').oid('x'), '1.2.840.113549.1.7.12');
    assert.equal(reader('060388376f').oid('x'), '2.999.111');
    assert.equal(reader('06126983c0f8b3a5d4e6a2b1d8c9e0f1a2b3c47f').oid('x').split('.')[0], '2');
    assert.throws(() => reader('0600').oid('x'), PeerMisbehavedError);
    assert.throws(() => reader('06022a86').oid('x'), PeerMisbehavedError);
  });

  it('reads small numbers only, and none below zero', () => {
    assert.equal(reader('0203 00ffff').integer('x'), 0xffff);
    assert.throws(() => reader('0201ff').integer('x'), PeerMisbehavedError);
    assert.throws(() => reader('0200').integer('x'), PeerMisbehavedError);
    assert.throws(() => reader('02087fffffffffffffff').integer('x'), PeerMisbehavedError);
  });

  it('names the field and the tag that is wrong', () => {
    assert.throws(
      () => reader('0500').sequence('PKCS#12 file'),
      new PeerMisbehavedError('PKCS#12 file: expected ASN.1 tag 0x30, got 0x05'),
    );
  });

  it('says what is cut short', () => {
    assert.throws(() => reader('0405aabb').octets('salt'), new TruncatedError('salt: wanted 5 bytes, had 2'));
    assert.throws(() => reader('3080020101').sequence('x'), TruncatedError);
    assert.throws(() => reader('3082ff').sequence('x'), TruncatedError);
    assert.throws(() => reader('').element('x'), TruncatedError);
  });

  it('refuses what nobody writes: high tag numbers, lengths of five bytes, a primitive element without an end', () => {
    assert.throws(() => reader('1f8101 01 00').element('x'), PeerMisbehavedError);
    assert.throws(() => reader('0485 0000000001 aa').element('x'), PeerMisbehavedError);
    assert.throws(() => reader('0480 0000').element('x'), PeerMisbehavedError);
  });

  it('limits how deep indefinite lengths and pieces nest', () => {
    const nested = (open: string, close: string, levels: number) => reader(open.repeat(levels) + close.repeat(levels));
    assert.doesNotThrow(() => nested('3080', '0000', 30).element('x'));
    assert.throws(() => nested('3080', '0000', 10_000).element('x'), /nests deeper than 32 levels/);
    let pieces: Buffer = octetString(Uint8Array.of(1));
    for (let i = 0; i < 40; i++) pieces = der(0x24, pieces);
    assert.throws(() => new BerReader(pieces).octets('x'), /nests deeper than 32 levels/);
  });

  it('reads the same from DER and from the loosest BER', () => {
    const structure = fc.tuple(
      fc.uint8Array({ maxLength: 300 }),
      fc.nat({ max: 0x7fff_ffff }),
      fc.array(fc.nat({ max: 100_000 }), { maxLength: 6 }),
    );
    fc.assert(
      fc.property(structure, ([bytes, number, arcs]) => {
        const dotted = ['1', '3', ...arcs].join('.');
        const strict = sequence(octetString(bytes), sequence(integer(number), oid(dotted)));
        for (const encoded of [strict, asLooseBer(strict)]) {
          const outer = new BerReader(encoded).sequence('outer');
          assert.deepEqual(Buffer.from(outer.octets('bytes')), Buffer.from(bytes));
          const inner = outer.sequence('inner');
          assert.equal(inner.integer('number'), number);
          assert.equal(inner.oid('oid'), dotted);
          assert.ok(inner.isAtEnd && outer.isAtEnd);
        }
      }),
    );
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    const reads: readonly ((from: BerReader) => unknown)[] = [
      (from) => from.element('x'),
      (from) => from.octets('x'),
      (from) => from.octets('x', 0),
      (from) => from.integer('x'),
      (from) => from.oid('x'),
      (from) => from.explicit(0, 'x').element('x'),
    ];
    const bytes = fc.array(fc.oneof(fc.constantFrom(0x00, 0x02, 0x04, 0x06, 0x24, 0x30, 0x80, 0xa0), fc.nat({ max: 255 })), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(bytes, fc.constantFrom(...reads), (input, read) => {
        try {
          read(new BerReader(Uint8Array.from(input)));
        } catch (error) {
          assert.ok(error instanceof SallyportError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
