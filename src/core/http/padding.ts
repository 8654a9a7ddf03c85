/** The header that hides how long a form's password is (spec "AnyConnect", section 2.2; spec "Fortinet", section 1.2). */
const PAD_BLOCK = 64;

/** The value of `X-Pad`: zeros, so that body and pad fill whole blocks of 64, with at least one zero. */
export function padding(bodyLength: number): string {
  return '0'.repeat(PAD_BLOCK - (bodyLength % PAD_BLOCK));
}
