/** The results of a load as a table, and its place in the document. */
import type { Circumstances } from '../machine.ts';
import type { LoadResult } from './measure-load.ts';

const BEGIN = '<!-- load -->';
const END = '<!-- /load -->';

const NAMES = { sallyport: 'Sallyport', ocserv: 'ocserv' } as const;

interface Row {
  readonly title: string;
  readonly value: (result: LoadResult) => string;
}

const ROWS: readonly Row[] = [
  { title: 'sessions wanted, up', value: ({ sessions, connected }) => `${sessions}, ${connected}` },
  { title: 'of these over DTLS', value: ({ byDatagrams }) => String(byDatagrams) },
  { title: 'log-ins a second, to a tunnel that is up', value: ({ loginsPerSecond }) => loginsPerSecond.toFixed(1) },
  { title: 'seconds of traffic, a packet and its echo a second for each session', value: ({ seconds }) => String(seconds) },
  { title: 'sessions up at the end', value: ({ upAtEnd }) => String(upAtEnd) },
  { title: 'tunnels dropped', value: ({ traffic }) => String(traffic.drops) },
  { title: 'packets sent, lost', value: ({ traffic }) => `${traffic.sent}, ${traffic.sent - traffic.returned}` },
  { title: 'packets twice, or to the wrong session', value: ({ traffic }) => `${traffic.wrong}, ${traffic.misdelivered}` },
  { title: 'memory without sessions, MiB (PSS)', value: ({ memoryWithout }) => (memoryWithout / 1024).toFixed(0) },
  { title: 'memory of an idle session, KiB (PSS)', value: ({ memoryPerSession }) => memoryPerSession.toFixed(0) },
];

export function renderTable(results: readonly LoadResult[]): string {
  const head = ['', ...results.map(({ gateway }) => NAMES[gateway])];
  const rows = ROWS.map(({ title, value }) => [title, ...results.map(value)]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** What goes into the document. */
export function renderSection(
  results: readonly LoadResult[],
  { date, commit, kernel, processor, cores, programs }: Circumstances,
  command: string,
): string {
  return `## Many sessions

Many clients of ours (\`bench/load/\`: the client's own machines, many in a process, no interface) at one gateway, half of them over DTLS, half over TLS.
Gateway, clients and the echo behind it share one machine, so log-ins a second are those of both ends together; the same clients go to both gateways, one gateway
after the other.

- Command: \`${command}\`
- Date: ${date}, commit ${commit}
- Machine: ${cores} × ${processor}, ${kernel}
- Programs: ${programs.join(', ')}

${renderTable(results)}
`;
}

/** The document with its part of the load replaced. */
export function withSection(document: string, section: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`the document has no ${BEGIN} … ${END} for the load`);
  return `${document.slice(0, begin + BEGIN.length)}\n\n${section}\n${document.slice(end)}`;
}
