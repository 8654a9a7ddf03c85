/** The tables of keys in docs/ocserv-conf.md, from the table that the parser has. */
import type { OcservKeySpec } from './ocserv-key.ts';
import { KEY_GROUPS } from './ocserv-keys.ts';

/** Markdown: a heading and a table for each group of keys. */
export function keyTables(): string {
  return KEY_GROUPS.map(({ title, keys }) => {
    const rows = [['key', 'type', 'default', 'where', 'reload', 'meaning'], ...keys.map(rowOf)];
    const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
    const [head = '', ...body] = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
    const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
    return [`### ${title}`, '', head, rule, ...body, ''].join('\n');
  }).join('\n');
}

function rowOf(spec: OcservKeySpec): string[] {
  const names = [spec.name, ...(spec.aliases ?? [])].map((name) => `\`${name}\``).join(', ');
  const type = spec.isList === true ? `${spec.type}, repeated` : spec.type;
  const value = spec.defaultText ?? (spec.default === undefined ? '' : `\`${spec.default}\``);
  const meaning = spec.unsupported === undefined ? spec.meaning : `${spec.meaning}. **No effect**: ${spec.unsupported}`;
  return [names, type, value, placesOf(spec), { yes: 'yes', file: 'the file', no: 'no' }[spec.reload ?? 'no'], meaning];
}

function placesOf({ scope, supplements }: OcservKeySpec): string {
  if (supplements === 'only') return 'users';
  return `${scope === 'global' ? 'default host' : 'each host'}${supplements === undefined ? '' : ', users'}`;
}
