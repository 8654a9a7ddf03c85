/**
 * What a bench makes of its samples: medians, spreads, and ratios of two programs that were measured in turns.
 *
 * A round measures both, one right after the other. So there are two ratios: that of the medians, which is the result; and that of each round by
 * itself, whose spread says how far to believe it. What else a machine does meets both programs of a round, but seldom all rounds.
 */

/** The two that are compared: Sallyport's program and the one in C that it replaces. Ratios and differences are the first to the second. */
export const SIDES = ['sallyport', 'reference'] as const;

export type Side = (typeof SIDES)[number];

/** One number a round for each side, in the order of the rounds. */
export type Samples = Readonly<Record<Side, readonly number[]>>;

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Comparison {
  readonly sallyport: Spread;
  readonly reference: Spread;
  /** Of the medians. */
  readonly ratio: number;
  /** Of the medians, in the samples' unit. */
  readonly difference: number;
  /** The ratios of single rounds. */
  readonly ratios: Spread;
}

/** The middle of the numbers, or the mean of the middle two. Throws without numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (lower === undefined || upper === undefined) throw new RangeError('no numbers have no median');
  return (lower + upper) / 2;
}

/** Throws without numbers. */
export function spread(numbers: readonly number[]): Spread {
  return { median: median(numbers), min: Math.min(...numbers), max: Math.max(...numbers) };
}

/** Throws without rounds, and where one side has another number of them than the other. */
export function compare({ sallyport, reference }: Samples): Comparison {
  if (sallyport.length !== reference.length) {
    throw new RangeError(`${sallyport.length} rounds of Sallyport cannot be compared to ${reference.length} of the reference`);
  }
  const ours = spread(sallyport);
  const theirs = spread(reference);
  const ratios = sallyport.map((sample, round) => sample / (reference[round] ?? Number.NaN));
  return {
    sallyport: ours,
    reference: theirs,
    ratio: ours.median / theirs.median,
    difference: ours.median - theirs.median,
    ratios: spread(ratios),
  };
}
