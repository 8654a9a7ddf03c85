/** How much a test does: little in the everyday run, much in the long one (`SALLYPORT_TEST_SIZE=long`). */
export function sized<T>(ci: T, long: T): T {
  return process.env.SALLYPORT_TEST_SIZE === 'long' ? long : ci;
}

/**
 * In milliseconds: a test, or a suite with all its tests, that takes longer hangs. It says nothing of how fast they are, and so it is long enough for a
 * machine that is busy with much else.
 */
export const HANG_LIMIT = 300_000;
