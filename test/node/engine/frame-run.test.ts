import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FrameRun } from '../../../src/node/engine/frame-run.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const ROOM = 160;

/** What a writer was given: each write's place and the lengths of the records that become of it. */
class Written {
  readonly writes: { readonly start: number; readonly records: readonly number[] }[] = [];

  writeFrames(start: number, length: number, frameLength: number, frames: number): void {
    const records: number[] = [];
    for (let left = length; left > 0; left -= frameLength) records.push(Math.min(left, frameLength));
    assert.equal(records.length, frames, 'OpenSSL makes as many records as there are frames');
    this.writes.push({ start, records });
  }

  get records(): readonly (readonly number[])[] {
    return this.writes.map(({ records }) => records);
  }
}

function add(run: FrameRun, writer: Written, ...lengths: readonly number[]): number[] {
  return lengths.map((length) => {
    const place = run.placeFor(writer);
    run.add(length);
    return place;
  });
}

describe('frames on their way into TLS connections', () => {
  it('are written together while they are equally long, and one that is shorter ends the run', () => {
    const [run, writer] = [new FrameRun(ROOM), new Written()];
    assert.deepEqual(add(run, writer, 1408, 1408, 1408, 70), [ROOM, ROOM + 1408, ROOM + 2816, ROOM + 4224]);
    assert.deepEqual(writer.records, [[1408, 1408, 1408, 70]]);
    assert.deepEqual(add(run, writer, 1408), [ROOM]);
    assert.equal(writer.writes.length, 1, 'what may go on waits');
    run.flush(writer);
    run.flush(writer);
    assert.deepEqual(writer.records.slice(1), [[1408]]);
  });

  it('begin a run of their own where they are longer, in the place in which they lie', () => {
    const [run, writer] = [new FrameRun(ROOM), new Written()];
    add(run, writer, 700, 700, 1408, 1408);
    assert.deepEqual(writer.writes, [{ start: ROOM, records: [700, 700] }]);
    run.flush(writer);
    assert.deepEqual(writer.writes[1], { start: ROOM + 1400, records: [1408, 1408] });
  });

  it('are written one by one where OpenSSL cuts no records so short', () => {
    const [run, writer] = [new FrameRun(ROOM), new Written()];
    assert.deepEqual(add(run, writer, 60, 60, 511), [ROOM, ROOM, ROOM]);
    assert.deepEqual(writer.records, [[60], [60], [511]]);
  });

  it('of one connection are written before those of another, and only by their own', () => {
    const [run, one, other] = [new FrameRun(ROOM), new Written(), new Written()];
    add(run, one, 1000, 1000);
    run.flush(other);
    assert.equal(one.writes.length, 0);
    assert.deepEqual(add(run, other, 1000), [ROOM]);
    assert.deepEqual([one.records, other.records], [[[1000, 1000]], []]);
  });

  it('keep their order and their lengths, and their room, whatever comes', () => {
    const random = new SeededRandom(21);
    const [run, writers] = [new FrameRun(ROOM), [new Written(), new Written()]];
    const given: number[][] = [[], []];
    for (let i = 0; i < 20_000; i++) {
      const which = random.fraction() < 0.02 ? 1 : 0;
      const writer = writers[which];
      const length = [40, 512, 1408, 1408, 1408, 1408, 1408, 9000][random.uint32() % 8];
      if (writer === undefined || length === undefined) continue;
      const [place = 0] = add(run, writer, length);
      assert.ok(place >= ROOM && place < ROOM + 64 * 1024);
      given[which]?.push(length);
      if (random.fraction() < 0.01) run.flush(writer);
    }
    for (const [i, writer] of writers.entries()) {
      run.flush(writer);
      assert.deepEqual(writer.records.flat(), given[i]);
    }
  });
});
