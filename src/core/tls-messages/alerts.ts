/**
 * Alerts: two bytes, level and description.
 *
 * Read first: RFC 5246 §7.2; the IANA registry "TLS Alerts".
 */

export const ALERTS = {
  close_notify: 0,
  unexpected_message: 10,
  bad_record_mac: 20,
  record_overflow: 22,
  handshake_failure: 40,
  bad_certificate: 42,
  unsupported_certificate: 43,
  certificate_unknown: 46,
  illegal_parameter: 47,
  unknown_ca: 48,
  access_denied: 49,
  decode_error: 50,
  decrypt_error: 51,
  protocol_version: 70,
  insufficient_security: 71,
  internal_error: 80,
  user_canceled: 90,
  no_renegotiation: 100,
  missing_extension: 109,
  unsupported_extension: 110,
  unrecognized_name: 112,
  unknown_psk_identity: 115,
  certificate_required: 116,
} as const;

export type AlertName = keyof typeof ALERTS;

export interface Alert {
  readonly isFatal: boolean;
  readonly description: number;
}

const LEVEL_WARNING = 1;
const LEVEL_FATAL = 2;

const NAME_OF_DESCRIPTION: ReadonlyMap<number, string> = new Map(Object.entries(ALERTS).map(([name, description]) => [description, name]));

/** The registry's name, or `alert 123` for one it does not have. */
export function alertName(description: number): string {
  return NAME_OF_DESCRIPTION.get(description) ?? `alert ${description}`;
}

/** Undefined for anything but a warning or a fatal alert of two bytes. */
export function decodeAlert(bytes: Uint8Array): Alert | undefined {
  const [level, description] = bytes;
  if (bytes.length !== 2 || description === undefined) return undefined;
  if (level !== LEVEL_WARNING && level !== LEVEL_FATAL) return undefined;
  return { isFatal: level === LEVEL_FATAL, description };
}

export function encodeAlert(alert: Alert): Uint8Array {
  return Uint8Array.of(alert.isFatal ? LEVEL_FATAL : LEVEL_WARNING, alert.description);
}
