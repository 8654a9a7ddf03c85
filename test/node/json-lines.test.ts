import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError } from '../../src/core/errors.ts';
import { JsonLineReader, renderJsonLine } from '../../src/node/json-lines.ts';
import { sliceSizes, slicesOf } from '../support/slices.ts';

const LIMIT = 1000;

describe('messages as JSON lines', () => {
  it('are read back as they were written, in whatever pieces they arrive', () => {
    const objects = fc.array(fc.record({ request: fc.jsonValue() }), { maxLength: 5 });
    fc.assert(
      fc.property(objects, sliceSizes, (messages, sizes) => {
        const reader = new JsonLineReader(100_000);
        const bytes = Buffer.from(messages.map(renderJsonLine).join(''));
        const read = slicesOf(bytes, sizes).flatMap((piece) => reader.push(piece));
        assert.deepEqual(read, JSON.parse(JSON.stringify(messages)));
      }),
    );
  });

  it('may be as long as the limit and no longer, whether or not their end has come', () => {
    const line = (length: number) => Buffer.from(`"${'x'.repeat(length - 2)}"`);
    const reader = new JsonLineReader(LIMIT);
    assert.deepEqual(reader.push(Buffer.concat([line(LIMIT), Buffer.from('\n')])), [JSON.parse(line(LIMIT).toString())]);
    assert.throws(() => new JsonLineReader(LIMIT).push(line(LIMIT + 1)), PeerMisbehavedError);
    assert.throws(() => new JsonLineReader(LIMIT).push(Buffer.concat([line(LIMIT + 1), Buffer.from('\n')])), PeerMisbehavedError);
  });

  it('that are no JSON are refused, whatever the bytes', () => {
    assert.throws(() => new JsonLineReader(LIMIT).push(Buffer.from('hello\n')), PeerMisbehavedError);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2 * LIMIT }), (bytes) => {
        try {
          new JsonLineReader(LIMIT).push(bytes);
        } catch (error) {
          assert.ok(error instanceof PeerMisbehavedError, String(error));
        }
      }),
    );
  });
});
