/** Comparison whose time does not depend on the bytes, as far as JavaScript allows. For MACs, verify_data, cookies and tokens. */

/** True if both have the same bytes. Only the lengths, which are no secret, decide how long it takes. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}
