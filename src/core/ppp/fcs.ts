/**
 * FCS-16, the check sequence of HDLC-like framing: CRC-16/X-25, sent low byte first.
 *
 * Read first: RFC 1662, appendix C.2; spec "PPP", section 3.2.
 */

export const FCS_INITIAL = 0xffff;

/** The register after a whole frame and its two bytes of check sequence, if they are right. */
export const FCS_GOOD = 0xf0b8;

export const FCS_LENGTH = 2;

const REFLECTED_POLYNOMIAL = 0x8408;

const TABLE: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  let register = byte;
  for (let bit = 0; bit < 8; bit++) register = (register & 1) !== 0 ? (register >>> 1) ^ REFLECTED_POLYNOMIAL : register >>> 1;
  return register;
});

/** The register after one more byte. */
export function fcsStep(register: number, byte: number): number {
  return (register >>> 8) ^ (TABLE[(register ^ byte) & 0xff] as number); // the table has all 256
}

/** The check sequence of what has gone through the register. */
export function fcsOf(register: number): number {
  return register ^ 0xffff;
}
