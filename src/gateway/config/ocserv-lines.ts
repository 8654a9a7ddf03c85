/**
 * The lines of `ocserv.conf`, and of its files for users and groups: sections, keys and values with their line numbers.
 *
 * Read first: spec "Gateway contract", section 1. What it does not say is as ocserv 1.1.6 was seen to do:
 *
 *   key = value      `:` does as well; blanks and double quotes at both ends of the value go
 *   # comment        or `;`, alone on its line
 *   key = a # b      a `#` after a blank ends the value, in quotes too
 *   key = a
 *     b              a line that begins with a blank is one more value of the key before it; its `#` is no comment
 *   [vhost:name]     until the next section; `[]` is the default host again
 */
import type { ConfigReport } from './config-report.ts';

export interface OcservLine {
  /** Undefined: before any section. */
  readonly section?: string;
  readonly key: string;
  readonly value: string;
  /** 1 for the first. */
  readonly line: number;
}

export interface OcservLines {
  readonly entries: readonly OcservLine[];
  /** Every section once, with the line where it was first opened: one without keys is there too. */
  readonly sections: ReadonlyMap<string, number>;
}

/** Larger than any file that people write; it is read before it is parsed. */
export const MAX_FILE_BYTES: number = 1 << 20;

/** Observed: ocserv refuses a line of 2048 bytes. */
export const MAX_LINE_BYTES = 2047;

/** What is wrong goes to the report; the rest is read on. */
export function readOcservLines(text: string, report: ConfigReport): OcservLines {
  const entries: OcservLine[] = [];
  const sections = new Map<string, number>();
  let section: string | undefined;
  let key: string | undefined;
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const line = index + 1;
    const at = { line };
    const content = raw.trim();
    if (Buffer.byteLength(raw) > MAX_LINE_BYTES) {
      report.error(at, `the line is longer than ${MAX_LINE_BYTES} bytes`);
    } else if (content.includes('\0')) {
      report.error(at, 'there is a NUL character in the line');
    } else if (content === '' || content.startsWith('#') || content.startsWith(';')) {
      // Nothing, or a comment.
    } else if (key !== undefined && /^\s/.test(raw)) {
      report.warning(at, `the line begins with a blank: it is read as another value of '${key}'`);
      entries.push({ ...(section !== undefined && { section }), key, value: unquoted(content), line });
    } else if (content.startsWith('[')) {
      const end = content.indexOf(']');
      key = undefined;
      if (end < 0) {
        report.error(at, "the section has no ']'");
        continue;
      }
      section = content.slice(1, end) === '' ? undefined : content.slice(1, end);
      if (section !== undefined && !sections.has(section)) sections.set(section, line);
    } else {
      const assignment = /^([^=:]*?)\s*[=:](.*)$/.exec(content);
      if (assignment?.[1] === undefined || /\s#/.test(assignment[1])) {
        report.error(at, `'key = value' was expected, but the line is '${shortened(content)}'`);
        continue;
      }
      key = assignment[1];
      const value = (assignment[2] ?? '').replace(/\s#.*$/, '');
      entries.push({ ...(section !== undefined && { section }), key, value: unquoted(value), line });
    }
  }
  return { entries, sections };
}

/** Observed: `" a "`, `""a""`, `"a` and `a"` are all a. */
function unquoted(value: string): string {
  return value.replace(/^[\s"]+/, '').replace(/[\s"]+$/, '');
}

/** A line may hold a password where its key is mistyped: only its beginning is shown. */
function shortened(line: string): string {
  const first = /^\S{0,24}/.exec(line)?.[0] ?? '';
  return first === line ? first : `${first}…`;
}
