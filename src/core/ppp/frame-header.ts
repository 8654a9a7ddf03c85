/**
 * The header of a PPP frame, in its four forms: with and without FF 03, with a protocol of two bytes or of one.
 *
 * Read first: RFC 1661 §2, §6.5, §6.6; spec "PPP", section 2.1.
 */

export const PPP_PROTOCOLS = {
  ipv4: 0x0021,
  ipv6: 0x0057,
  ipcp: 0x8021,
  ip6cp: 0x8057,
  lcp: 0xc021,
} as const;

const ADDRESS = 0xff;
const CONTROL = 0x03;

/** Of all forms. */
export const MAX_HEADER_LENGTH = 4;

/** Bytes of the header of the frame from `start` to `end`; 0 if the frame ends before its protocol does. */
export function pppHeaderLength(bytes: Uint8Array, start: number, end: number): number {
  const at = bytes[start] === ADDRESS && bytes[start + 1] === CONTROL ? start + 2 : start;
  const length = at - start + (((bytes[at] ?? 0) & 1) === 1 ? 1 : 2);
  return start + length <= end ? length : 0;
}

/** The protocol of the frame that begins at `start`, whose header has `length` bytes: an odd one ends in a protocol of one byte. */
export function pppProtocol(bytes: Uint8Array, start: number, length: number): number {
  const last = bytes[start + length - 1] ?? 0;
  return length % 2 === 1 ? last : ((bytes[start + length - 2] ?? 0) << 8) | last;
}

/** Which forms are sent. */
export interface HeaderForm {
  readonly hasAddressControl: boolean;
  /** Of a protocol below 0x100: one byte. */
  readonly hasShortProtocol: boolean;
}

export const FULL_HEADER: HeaderForm = { hasAddressControl: true, hasShortProtocol: false };

export function pppHeader(protocol: number, form: HeaderForm): Uint8Array {
  const bytes = form.hasAddressControl ? [ADDRESS, CONTROL] : [];
  if (!(form.hasShortProtocol && protocol < 0x100)) bytes.push(protocol >>> 8);
  bytes.push(protocol & 0xff);
  return Uint8Array.from(bytes);
}

/** The header of a protocol in all forms: those that are sent most come first. */
export function pppHeaders(protocol: number): readonly Uint8Array[] {
  return [false, true].flatMap((hasShortProtocol) =>
    [false, true].map((hasAddressControl) => pppHeader(protocol, { hasAddressControl, hasShortProtocol })),
  );
}
