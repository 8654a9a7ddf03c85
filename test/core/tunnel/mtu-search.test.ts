import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MtuSearch, type MtuSearchOptions } from '../../../src/core/tunnel/mtu-search.ts';
import { sized } from '../../support/size.ts';

const START = 1_000;
const ID = 0xffff_ff00; // so that tags pass 2^32

interface PathModel {
  /** The largest tunnel packet that arrives. */
  readonly carries: number;
  /** The largest that the local stack takes. */
  readonly sends?: number;
  readonly roundTrip: number;
  /** Whether the n-th probe or its echo is lost. */
  readonly loses?: (n: number) => boolean;
}

interface Outcome {
  readonly mtu: number;
  readonly took: number;
  readonly probes: readonly number[];
  /** Sizes whose echo came before the end. */
  readonly passed: ReadonlySet<number>;
}

/** Runs a search over a path, event by event on a fake clock. */
function search(options: Omit<MtuSearchOptions, 'id'>, path: PathModel): Outcome {
  const machine = new MtuSearch({ ...options, id: ID }, START);
  const echoes: { at: number; size: number; tag: number }[] = [];
  const probes: number[] = [];
  const passed = new Set<number>();
  let now = START;
  while (machine.result === undefined) {
    const timeout = machine.nextTimeout() ?? assert.fail('a running search has a timeout');
    const echo = echoes[0];
    if (echo !== undefined && echo.at <= timeout) {
      echoes.shift();
      now = echo.at;
      passed.add(echo.size);
      machine.echoed(echo.size, echo.tag, now);
      continue;
    }
    now = Math.max(now, timeout);
    const probe = machine.handleTimeout(now);
    if (probe === undefined) continue;
    probes.push(probe.size);
    assert.ok(probes.length < 2000);
    if (probe.size > (path.sends ?? Number.POSITIVE_INFINITY)) machine.refused(probe.size, now);
    else if (probe.size <= path.carries && path.loses?.(probes.length) !== true) echoes.push({ at: now + path.roundTrip, ...probe });
  }
  assert.equal(machine.nextTimeout(), undefined);
  assert.equal(machine.handleTimeout(now), undefined);
  return { mtu: machine.result, took: now - START, probes, passed };
}

describe('MtuSearch', () => {
  it('is done with the first echo where the path carries what was agreed', () => {
    assert.deepEqual(search({ agreed: 1434, hasIpv6: true }, { carries: 1434, roundTrip: 20 }), {
      mtu: 1434,
      took: 20,
      probes: [1434],
      passed: new Set([1434]),
    });
  });

  for (const roundTrip of [1, 30, 49, 120, 250]) {
    it(`finds exactly what a path carries, with echoes after ${roundTrip} ms`, () => {
      for (const carries of [576, 577, 700, 1000, 1279, 1280, 1399, 1433]) {
        assert.equal(search({ agreed: 1434, hasIpv6: false }, { carries, roundTrip }).mtu, carries);
      }
    });
  }

  it('looks for nothing below 1280 where the tunnel carries IPv6, and nothing below 576 where not', () => {
    const withIpv6 = search({ agreed: 1434, hasIpv6: true }, { carries: 1000, roundTrip: 20 });
    assert.equal(Math.min(...withIpv6.probes), 1280);
    assert.equal(withIpv6.mtu, 1434, 'nothing came back: the MTU stays');
    assert.equal(Math.min(...search({ agreed: 1434, hasIpv6: false }, { carries: 500, roundTrip: 20 }).probes), 576);
    assert.equal(search({ agreed: 1434, hasIpv6: true }, { carries: 1280, roundTrip: 20 }).mtu, 1280);
  });

  it('keeps the MTU of a peer that echoes nothing, and finds that out within a second', () => {
    const { mtu, took } = search({ agreed: 1434, hasIpv6: false }, { carries: 0, roundTrip: 20 });
    assert.equal(mtu, 1434);
    assert.ok(took < 1_000);
  });

  it('sends nothing where there is nothing to find', () => {
    assert.deepEqual(search({ agreed: 1280, hasIpv6: true }, { carries: 1280, roundTrip: 20 }).probes, []);
    assert.equal(search({ agreed: 1200, hasIpv6: true }, { carries: 1280, roundTrip: 20 }).mtu, 1200);
  });

  it('starts with what the local stack can send, where that is known', () => {
    const { mtu, probes } = search({ agreed: 1434, hasIpv6: true, sendable: 1402 }, { carries: 1500, roundTrip: 20 });
    assert.deepEqual([mtu, probes], [1402, [1402]]);
    assert.equal(search({ agreed: 1400, hasIpv6: true, sendable: 1402 }, { carries: 1500, roundTrip: 20 }).mtu, 1400);
  });

  it('goes down byte by byte while the local stack refuses, without waiting', () => {
    assert.deepEqual(search({ agreed: 1434, hasIpv6: true }, { carries: 1500, sends: 1430, roundTrip: 20 }), {
      mtu: 1430,
      took: 20,
      probes: [1434, 1433, 1432, 1431, 1430],
      passed: new Set([1430]),
    });
  });

  it('keeps the MTU where the local stack refuses even the floor', () => {
    assert.equal(search({ agreed: 1300, hasIpv6: true }, { carries: 1500, sends: 1200, roundTrip: 20 }).mtu, 1300);
  });

  it('is done when the size above the proven one is refused', () => {
    const machine = new MtuSearch({ agreed: 1400, hasIpv6: true, id: ID }, START);
    machine.handleTimeout(START);
    const second = machine.handleTimeout(START + 50) ?? assert.fail('no second probe');
    machine.echoed(second.size, second.tag, START + 60);
    machine.refused(second.size + 1, START + 61);
    assert.equal(machine.result, second.size);
  });

  it('forgets what is proven when the local stack begins to refuse it', () => {
    const machine = new MtuSearch({ agreed: 1400, hasIpv6: true, id: ID }, START);
    machine.handleTimeout(START);
    const second = machine.handleTimeout(START + 50) ?? assert.fail('no second probe');
    machine.echoed(second.size, second.tag, START + 60);
    machine.refused(second.size, START + 61);
    assert.equal(machine.result, undefined);
    assert.equal(machine.handleTimeout(START + 61)?.size, second.size - 1);
  });

  it('takes a late echo of a larger probe', () => {
    const machine = new MtuSearch({ agreed: 1434, hasIpv6: true, id: ID }, START);
    const first = machine.handleTimeout(START) ?? assert.fail('no probe');
    machine.handleTimeout(START + 50);
    machine.echoed(first.size, first.tag, START + 90);
    assert.equal(machine.result, 1434);
  });

  it('ignores echoes with a wrong tag, of a size above the ceiling, and ones that say nothing new', () => {
    const machine = new MtuSearch({ agreed: 1434, hasIpv6: true, id: ID }, START);
    const first = machine.handleTimeout(START) ?? assert.fail('no probe');
    machine.echoed(1434, first.tag + 1, START + 1);
    machine.echoed(1433, first.tag, START + 2);
    machine.echoed(1435, (first.tag + 1) >>> 0, START + 3);
    machine.echoed(1200, (ID + 1200) >>> 0, START + 4);
    assert.equal(machine.result, undefined);
    assert.equal(machine.nextTimeout(), START + 50);
  });

  it('keeps tags to 32 bits', () => {
    const probe = new MtuSearch({ agreed: 1434, hasIpv6: true, id: ID }, START).handleTimeout(START);
    assert.deepEqual(probe, { size: 1434, tag: 0xffff_ff00 + 1434 - 2 ** 32 });
  });

  it('reports a size that came back or the MTU so far, never more, within ten seconds, on any lossy path', () => {
    const model = fc.record({
      agreed: fc.integer({ min: 500, max: 9000 }),
      hasIpv6: fc.boolean(),
      carries: fc.nat(9000),
      sends: fc.option(fc.integer({ min: 500, max: 9000 }), { nil: undefined }),
      roundTrip: fc.nat(3000),
      losses: fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }),
    });
    fc.assert(
      fc.property(model, ({ agreed, hasIpv6, carries, sends, roundTrip, losses }) => {
        const loses = (n: number) => losses[n % losses.length] === true;
        const base: PathModel = { carries, roundTrip, loses };
        // As large a gap as real refusals have: byte by byte from 9000 down is not what is tested here.
        const path = sends === undefined ? base : { ...base, sends: Math.max(sends, agreed - 500) };
        const { mtu, took, passed, probes } = search({ agreed, hasIpv6 }, path);
        assert.ok(mtu === agreed || passed.has(mtu));
        assert.ok(mtu <= agreed);
        assert.ok(took <= 10_000);
        const floor = hasIpv6 ? 1280 : 576;
        assert.ok(probes.every((size) => size >= floor && size <= agreed));
      }),
      { numRuns: sized(500, 20_000) },
    );
  });

  it('finds the size in spite of one probe in three lost', () => {
    for (const carries of [700, 1100, 1380]) {
      const { mtu } = search({ agreed: 1434, hasIpv6: false }, { carries, roundTrip: 20, loses: (n) => n % 3 === 1 });
      assert.equal(mtu, carries);
    }
  });
});
