import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { renderRecord, renderRecords } from '../../../src/cli/occtl/json-text.ts';

const member = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.double({ noDefaultInfinity: true, noNaN: true }),
  fc.array(fc.string({ unit: 'binary' })),
);
const records = fc.array(fc.dictionary(fc.string(), member, { noNullPrototype: true }));

describe('JSON of occtl', () => {
  it('has its layout', () => {
    assert.equal(renderRecords([{ IP: '192.0.2.2', Score: 24 }, { DNS: ['a', 'b'] }]), OBSERVED_LAYOUT);
    assert.equal(renderRecords([]), '[\n]\n');
    assert.equal(renderRecord({ RX: '0 bytes', raw_rx: 0 }), '  {\n    "RX":  "0 bytes",\n    "raw_rx":  0\n  }\n');
  });

  it('is read by a parser, whatever is in it', () => {
    fc.assert(fc.property(records, (values) => assert.deepEqual(JSON.parse(renderRecords(values)), JSON.parse(JSON.stringify(values)))));
  });
});

/** As 1.1.6 writes `show ip ban points`, and lists of a user. */
const OBSERVED_LAYOUT = `[
  {
    "IP":  "192.0.2.2",
    "Score":  24
  },
  {
    "DNS":\t["a", "b"]
  }
]
`;
