/**
 * JSON in occtl's layout: a member a line, lists on one line.
 *
 * Observed: 1.1.6 leaves commas behind last members, repeats keys and escapes nothing. This is JSON, with the same keys and types.
 */

export type JsonMember = string | number | readonly string[];

export type JsonRecord = Readonly<Record<string, JsonMember>>;

/** `  {` … `  }`, two blanks in, with a line end. */
export function renderRecord(record: JsonRecord): string {
  const members = Object.entries(record).map(([key, value]) => `    ${JSON.stringify(key)}:${renderMember(value)}`);
  return `  {\n${members.join(',\n')}\n  }\n`;
}

export function renderRecords(records: readonly JsonRecord[]): string {
  return `[\n${records.map((record) => renderRecord(record).trimEnd()).join(',\n')}${records.length === 0 ? '' : '\n'}]\n`;
}

function renderMember(value: JsonMember): string {
  if (typeof value === 'object') return `\t[${value.map((item) => JSON.stringify(item)).join(', ')}]`;
  return `  ${JSON.stringify(value)}`;
}
