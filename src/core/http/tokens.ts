/** The words that HTTP heads are made of (RFC 9110 §5.6), and their bytes as text. */

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** True for a token of RFC 9110 §5.6.2: a method, a header name, a scheme. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** True for what may stand as a request target: no blanks, no control characters. */
export function isRequestTarget(text: string): boolean {
  return /^[^\s\u0000-\u001f\u007f]+$/.test(text);
}

/** True if a text can be part of a head: nothing in it ends a line or a string. */
export function isHeadText(text: string): boolean {
  return !/[\r\n\u0000]/.test(text);
}

/** The text without blanks and tabs around it. By hand, because `/[ \t]+$/` takes quadratic time on a hostile run of blanks. */
export function trimBlanks(text: string): string {
  const isBlank = (at: number) => text[at] === ' ' || text[at] === '\t';
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(start)) start++;
  while (end > start && isBlank(end - 1)) end--;
  return text.slice(start, end);
}

/** The members of a comma-separated header in all its lines (RFC 9110 §5.6.1), in lower case; empty ones are dropped. */
export function listMembers(values: readonly string[]): string[] {
  return values
    .flatMap((value) => value.split(','))
    .map((member) => trimBlanks(member).toLowerCase())
    .filter((member) => member !== '');
}

const exactDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * The text of a head's or a form's bytes: gateways write UTF-8 into banners and reasons, what is not UTF-8 becomes U+FFFD. A byte order
 * mark stays, unlike in a file: in front of a header name it must make the name wrong.
 */
export function exactText(bytes: Uint8Array): string {
  return exactDecoder.decode(bytes);
}
