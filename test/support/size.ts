/** How much a test does: little in continuous integration, all of it with SALLYPORT_TEST_SIZE=long. */
export function sized<T>(ci: T, long: T): T {
  return process.env.SALLYPORT_TEST_SIZE === 'long' ? long : ci;
}
