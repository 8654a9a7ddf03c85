/** What XML 1.0 (fifth edition) lets stand as a name and as a character: productions [2] Char, [4] NameStartChar, [4a] NameChar. */

const NAME_START =
  'A-Z_a-z\\u{c0}-\\u{d6}\\u{d8}-\\u{f6}\\u{f8}-\\u{2ff}\\u{370}-\\u{37d}\\u{37f}-\\u{1fff}\\u{200c}-\\u{200d}\\u{2070}-\\u{218f}' +
  '\\u{2c00}-\\u{2fef}\\u{3001}-\\u{d7ff}\\u{f900}-\\u{fdcf}\\u{fdf0}-\\u{fffd}\\u{10000}-\\u{effff}';
const NC_NAME = `[${NAME_START}][-.0-9\\u{b7}\\u{300}-\\u{36f}\\u{203f}-\\u{2040}${NAME_START}]*`;

/** What nearly all names are. Asked first: an expression for all of Unicode takes longer to compile, once, than a log-in has to read and write. */
const IS_ASCII_NC_NAME = /^[A-Z_a-z][-.0-9A-Z_a-z]*$/;
const IS_NC_NAME = new RegExp(`^${NC_NAME}$`, 'u');
const IS_QUALIFIED_NAME = new RegExp(`^(?:${NC_NAME}:)?${NC_NAME}$`, 'u');

/** True for a name without a prefix. What a peer sends must be one before it is used as the name of an element of ours. */
export function isNcName(text: string): boolean {
  return IS_ASCII_NC_NAME.test(text) || IS_NC_NAME.test(text);
}

/** True for a name with or without a prefix. */
export function isQualifiedName(text: string): boolean {
  return IS_ASCII_NC_NAME.test(text) || IS_QUALIFIED_NAME.test(text);
}

/** No control characters but tab, LF and CR, no half of a surrogate pair, no non-character. */
const NO_XML_CHARACTER = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u;
const ALL_NO_XML_CHARACTERS = new RegExp(NO_XML_CHARACTER, 'gu');

/** What nearly all texts are, asked first for the same reason. */
const IS_ASCII_TEXT = /^[\t\n\r -~]*$/;

/** True if every character of a text can stand in a document. */
export function isXmlText(text: string): boolean {
  return IS_ASCII_TEXT.test(text) || !NO_XML_CHARACTER.test(text);
}

/** The text with U+FFFD for every character that cannot stand in a document, just as for bytes that are no text. */
export function toXmlText(text: string): string {
  return IS_ASCII_TEXT.test(text) ? text : text.replace(ALL_NO_XML_CHARACTERS, '\ufffd');
}
