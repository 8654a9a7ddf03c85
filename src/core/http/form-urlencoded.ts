/** `application/x-www-form-urlencoded` in the dialect of VPN gateways: `%20` for a blank, never `+` (spec "AnyConnect", section 3.10). */
import { revealed, type Secret } from '../secret.ts';
import { utf8 } from '../wire/text.ts';
import { checkHttpLimit } from './limits.ts';
import { exactText } from './tokens.ts';

/** Fields that a peer may send in one form. */
export const MAX_FORM_FIELDS = 1024;

/** A form's fields as `name=value&…` in their order; all but RFC 3986's unreserved characters become percent escapes. */
export function encodeForm(fields: readonly (readonly [name: string, value: string | Secret])[]): string {
  return fields.map(([name, value]) => `${encodeFormText(name)}=${encodeFormText(revealed(value))}`).join('&');
}

/** One name or value of a form or a query. */
export function encodeFormText(text: string): string {
  return percentEncode(text, /[^A-Za-z0-9._~-]+/g);
}

/** Replaces what `unsafe` (a global expression) matches by the percent escapes of its UTF-8 bytes. */
export function percentEncode(text: string, unsafe: RegExp): string {
  return text.replace(unsafe, (run) => Array.from(utf8(run), escapeOf).join(''));
}

function escapeOf(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/**
 * Reads a form or a query in any dialect: `+` is a blank too, a `%` without two hex digits is itself. Throws {@link PeerMisbehavedError}
 * only for more than {@link MAX_FORM_FIELDS} fields.
 */
export function parseForm(text: string): [name: string, value: string][] {
  const fields = text.split('&', MAX_FORM_FIELDS + 1);
  checkHttpLimit(fields.length, MAX_FORM_FIELDS, 'form fields');
  return fields
    .filter((field) => field !== '')
    .map((field) => {
      const equals = field.indexOf('=');
      const decode = (part: string) => percentDecode(part.replaceAll('+', ' '));
      return equals < 0 ? [decode(field), ''] : [decode(field.slice(0, equals)), decode(field.slice(equals + 1))];
    });
}

/** Replaces percent escapes by the UTF-8 text they stand for; `+` stays as it is. */
export function percentDecode(text: string): string {
  // Whole runs, as the bytes of one character are escapes side by side.
  return text.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => {
    const bytes = Uint8Array.from(run.slice(1).split('%'), (digits) => Number.parseInt(digits, 16));
    return exactText(bytes);
  });
}
