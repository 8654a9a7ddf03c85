import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytesText, dateText, durationText, plainText, tableRow } from '../../../src/cli/occtl/human-text.ts';

describe('words of occtl', () => {
  // Printed by occtl 1.1.6 as `Up since` of a server, so many seconds after its start by a clock that was moved (faketime).
  const durations: readonly (readonly [number, string])[] = [
    [0, '    0s'],
    [59, '   59s'],
    [60, '   60s'],
    [61, ' 1m:01s'],
    [119, ' 1m:59s'],
    [120, ' 2m:00s'],
    [3_599, '59m:59s'],
    [3_600, ' 1h:00m'],
    [3_601, ' 1h:00m'],
    [36_000, '10h:00m'],
    [172_799, '47h:59m'],
    [172_800, ' 2days'],
    [259_199, ' 2days'],
    [259_200, ' 3days'],
    [8_640_000, '100days'],
    [-1, '   ?   '],
  ];
  for (const [seconds, text] of durations) it(`for ${seconds} s are "${text}"`, () => assert.equal(durationText(1000 * seconds), text));

  it('for a part of a second are those of the second that has begun', () => {
    assert.equal(durationText(999), '    0s');
    assert.equal(durationText(-1), '   ?   ');
  });

  // Printed by occtl 1.1.6 for limits (with /sec) and traffic of this size.
  const amounts: readonly (readonly [number, string])[] = [
    [0, '0 bytes'],
    [1_000, '1000 bytes'],
    [99_000, '99.0 KB'],
    [400_000, '400.0 KB'],
    [1_500_000, '1.5 MB'],
    [12_345_000, '12.3 MB'],
    [48_886_664, '48.9 MB'],
    [1_234_567_000, '1.2 GB'],
    [2_147_483_000, '2.1 GB'],
  ];
  for (const [bytes, text] of amounts) it(`for ${bytes} bytes are "${text}"`, () => assert.equal(bytesText(bytes), text));

  it('for a date are minutes of local time', () => {
    assert.equal(dateText(new Date(2026, 0, 9, 7, 5, 59).getTime()), '2026-01-09 07:05');
  });

  it('carry nothing that a terminal obeys, and never a second line', () => {
    assert.equal(plainText('eve\u001b[2J\n\talice\u202e'), 'eve[2J  alice');
    assert.equal(tableRow([5, 2], ['a\nb', 'long']), '  a b long');
  });
});
