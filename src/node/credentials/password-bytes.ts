/**
 * The bytes that a password may have been when a file was encrypted. For ASCII there is one answer; for other passwords it depends on
 * the program and the locale of whoever made the file, so each plausible one is tried.
 *
 * Read first: RFC 7292, appendix B.1 (PKCS #12: big-endian UTF-16 with two zero bytes); RFC 8018, section 3 (PKCS #5: bytes, no character set).
 */
import type { Secret } from '../../core/secret.ts';
import { encodeExactly } from '../locale-text.ts';

export interface PasswordForms {
  /** For PKCS #5 and the traditional PEM encryption: UTF-8, the locale's character set, Latin-1; most likely first. */
  readonly bytes: readonly Uint8Array[];
  /** For the key derivation of PKCS #12. */
  readonly utf16: readonly Uint8Array[];
}

/** @param charset the locale's character set, as `localeCharset` names it */
export function passwordForms(password: Secret, charset: string): PasswordForms {
  const text = password.reveal();
  // GnuTLS normalises (RFC 8265), others do not; keyboards and input methods differ too.
  const texts = [text, text.normalize('NFC')];
  const bytes = distinct(
    [...texts.map((each) => encodeExactly(each, 'utf-8')), encodeExactly(text, charset), encodeExactly(text, 'iso-8859-1')].filter(
      (each) => each !== undefined,
    ),
  );
  const utf16 = distinct([
    ...texts.map((each) => terminated(Buffer.from(each, 'utf16le').swap16())),
    // OpenSSL before 1.1.0, and later for bytes that are not UTF-8, puts a zero byte before each byte.
    ...bytes.map((each) => terminated(Uint8Array.from([...each].flatMap((byte) => [0, byte])))),
    // No password: RFC 7292 would have the two zero bytes, some programs write none.
    ...(password.isEmpty ? [new Uint8Array(0)] : []),
  ]);
  return { bytes, utf16 };
}

function terminated(characters: Uint8Array): Uint8Array {
  const whole = new Uint8Array(characters.length + 2);
  whole.set(characters);
  return whole;
}

function distinct(forms: readonly Uint8Array[]): Uint8Array[] {
  return forms.filter((form, i) => forms.findIndex((other) => Buffer.compare(form, other) === 0) === i);
}
