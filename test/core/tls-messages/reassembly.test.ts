import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError } from '../../../src/core/errors.ts';
import {
  decodeHandshakeFragment,
  encodeHandshakeFragment,
  encodeHandshakeMessage,
  type HandshakeFragment,
} from '../../../src/core/tls-messages/handshake-fragment.ts';
import { MAX_MESSAGE_LENGTH, MAX_MESSAGES_AHEAD, Reassembler } from '../../../src/core/tls-messages/reassembly.ts';
import { ByteReader } from '../../../src/core/wire/byte-reader.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { toleratingOwnErrors } from '../../support/own-errors.ts';

const u24 = fc.integer({ min: 0, max: 0xff_ffff });

/** A message as fragments of `size` bytes. */
function cut(sequence: number, body: Uint8Array, size: number, type = 1): HandshakeFragment[] {
  const fragments: HandshakeFragment[] = [];
  for (let offset = 0; offset === 0 || offset < body.length; offset += size) {
    fragments.push({ type, length: body.length, sequence, offset, data: body.subarray(offset, offset + size) });
  }
  return fragments;
}

describe('handshake fragment', () => {
  it('has the header of RFC 6347 §4.2.2', () => {
    const fragment = { type: 16, length: 5, sequence: 1, offset: 2, data: fromHex('6b6c') };
    assert.equal(toHex(encodeHandshakeFragment(fragment)), '10 000005 0001 000002 000002 6b6c'.replaceAll(' ', ''));
  });

  it('reads back whatever it writes', () => {
    const fragments = fc
      .record({
        type: fc.integer({ min: 0, max: 255 }),
        sequence: fc.integer({ min: 0, max: 0xffff }),
        offset: fc.integer({ min: 0, max: 5000 }),
        data: fc.uint8Array({ maxLength: 60 }),
        beyond: fc.integer({ min: 0, max: 5000 }),
      })
      .map(({ beyond, ...fragment }) => ({ ...fragment, length: fragment.offset + fragment.data.length + beyond }));
    fc.assert(
      fc.property(fragments, (fragment) => {
        assert.deepEqual(decodeHandshakeFragment(new ByteReader(encodeHandshakeFragment(fragment))), fragment);
      }),
    );
  });

  it('is refused if it reaches beyond its message', () => {
    assert.throws(() => decodeHandshakeFragment(new ByteReader(fromHex('01 000003 0000 000002 000002 aabb'))), PeerMisbehavedError);
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => toleratingOwnErrors(() => decodeHandshakeFragment(new ByteReader(bytes)))),
    );
    fc.assert(
      fc.property(u24, u24, (length, offset) =>
        toleratingOwnErrors(() =>
          decodeHandshakeFragment(
            new ByteReader(encodeHandshakeFragment({ type: 1, length, sequence: 0, offset, data: new Uint8Array(3) })),
          ),
        ),
      ),
    );
  });
});

describe('Reassembler', () => {
  it('delivers messages whole and in order, whatever the order, repetition and overlap of their fragments', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: MAX_MESSAGES_AHEAD });
    const deals = bodies.chain((messages) => {
      const fragments = messages.flatMap((body, sequence) => [...cut(sequence, body, 7), ...cut(sequence, body, 13)]);
      return fc.tuple(fc.constant(messages), fc.shuffledSubarray(fragments, { minLength: fragments.length }));
    });
    fc.assert(
      fc.property(deals, ([messages, fragments]) => {
        const reassembler = new Reassembler();
        const delivered: string[] = [];
        for (const fragment of fragments) {
          assert.notEqual(reassembler.add(fragment), 'refused');
          for (let message = reassembler.take(); message !== undefined; message = reassembler.take()) delivered.push(toHex(message.body));
        }
        assert.deepEqual(delivered, messages.map(toHex));
        assert.equal(reassembler.next, messages.length);
      }),
    );
  });

  it('waits for the missing fragment', () => {
    const reassembler = new Reassembler();
    const [first, second, third] = cut(0, fromHex('0102030405'), 2);
    for (const fragment of [first, third]) if (fragment !== undefined) reassembler.add(fragment);
    assert.equal(reassembler.take(), undefined);
    if (second !== undefined) reassembler.add(second);
    assert.equal(
      toHex(encodeHandshakeMessage(reassembler.take() ?? assert.fail())),
      '01 000005 0000 000000 000005 0102030405'.replaceAll(' ', ''),
    );
  });

  it('keeps the bytes that came first', () => {
    const reassembler = new Reassembler();
    reassembler.add({ type: 1, length: 3, sequence: 0, offset: 0, data: fromHex('aabb') });
    reassembler.add({ type: 1, length: 3, sequence: 0, offset: 0, data: fromHex('112233') });
    assert.equal(toHex(reassembler.take()?.body ?? fromHex('')), 'aabb33');
  });

  it('does not keep the memory it was handed', () => {
    const reassembler = new Reassembler();
    const data = fromHex('0102');
    reassembler.add({ type: 1, length: 2, sequence: 0, offset: 0, data });
    data.fill(0xff);
    assert.equal(toHex(reassembler.take()?.body ?? fromHex('')), '0102');
  });

  it('knows a message again that it has delivered', () => {
    const reassembler = new Reassembler();
    const [fragment] = cut(0, fromHex('01'), 1);
    assert.ok(fragment !== undefined);
    assert.equal(reassembler.add(fragment), 'taken');
    reassembler.take();
    assert.equal(reassembler.add(fragment), 'old');
  });

  it('refuses messages too long, too far ahead, or that change their type or length on the way', () => {
    const reassembler = new Reassembler(3);
    const fragment = { type: 1, length: 10, sequence: 3, offset: 0, data: fromHex('00') };
    assert.equal(reassembler.add({ ...fragment, length: MAX_MESSAGE_LENGTH + 1 }), 'refused');
    assert.equal(reassembler.add({ ...fragment, sequence: 3 + MAX_MESSAGES_AHEAD }), 'refused');
    assert.equal(reassembler.add(fragment), 'taken');
    assert.equal(reassembler.add({ ...fragment, type: 2 }), 'refused');
    assert.equal(reassembler.add({ ...fragment, length: 11 }), 'refused');
  });

  it('counts a message without fragments', () => {
    const reassembler = new Reassembler();
    reassembler.skip();
    for (const fragment of cut(1, fromHex('aa'), 1)) reassembler.add(fragment);
    assert.equal(reassembler.take()?.sequence, 1);
  });
});
