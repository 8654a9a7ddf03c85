/** How much work a test does: little in everyday runs, all of it with SALLYPORT_TEST_SIZE=long (`npm run test:long`). */

/** `ci` in everyday runs, `long` in long ones. */
export function sized<T>(ci: T, long: T): T {
  return process.env.SALLYPORT_TEST_SIZE === 'long' ? long : ci;
}
