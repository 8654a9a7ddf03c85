/** How much a test does: little in the everyday run, much in the long one (`SALLYPORT_TEST_SIZE=long`). */
export function sized<T>(ci: T, long: T): T {
  return process.env.SALLYPORT_TEST_SIZE === 'long' ? long : ci;
}
