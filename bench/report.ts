/** The figures as Markdown: tables for the terminal, and docs/performance.md around the same tables. */
import { type Figure, MEASUREMENTS, type Measurement, nameOf, type Transport, type Unit } from './figures.ts';
import { judge } from './limits.ts';
import type { Circumstances } from './machine.ts';
import type { BenchRecord } from './record.ts';
import { SECTIONS } from './sections.ts';
import { compare, type Spread } from './statistics.ts';

const TRANSPORT_TITLES: Readonly<Record<Transport, string>> = { dtls: 'DTLS', esp: 'ESP', tls: 'TLS' };

const DIGITS: Readonly<Record<Unit, number>> = { ms: 1, µs: 0, MiB: 1, 'Mbit/s': 0, 'CPU-s/GB': 2, 'packets/s': 0 };

/** The tables of what was measured, with their headings, and how each figure stands to its limit: those first, they are what a reader comes for. */
export function renderFigures(figures: readonly Figure[]): string {
  const measurements = MEASUREMENTS.filter((measurement) => figures.some((figure) => figure.measurement === measurement));
  const own = (measurement: Measurement) => figures.filter((figure) => figure.measurement === measurement);
  return [...limits(figures), ...measurements.flatMap((measurement) => section(measurement, own(measurement), []))].join('\n\n');
}

/** The whole document. */
export function renderDocument(record: BenchRecord): string {
  const all = Object.entries(record) as [Measurement, NonNullable<BenchRecord[Measurement]>][];
  const paragraphs = [
    '# Performance',
    `What Sallyport costs, beside the programs in C that it replaces: its client beside openconnect, its gateway beside ocserv, both ends beside both.
\`npm run bench -- --write\` writes this file, and \`performance.json\` with every sample; it needs root on Debian with the programs that
\`npm run test:setup\` installs, and an otherwise quiet machine. With \`--only\` it repeats one measurement and leaves the others as they are.`,
    `Clients run with the same options against the same gateway, gateways with the same configuration file for the same client, on two machines
made of network namespaces with a virtual cable between them. The two that are compared take turns within each round, and who goes first changes
with the round, so what else the machine does meets both. Absolute figures belong to one machine; the ratios are what to compare.
Transports are DTLS 1.2 with AES-256-GCM and a pre-shared key, and TLS 1.3 alone (\`--no-dtls\`); no compression; IPv4.`,
    `The columns of what is compared hold medians over all rounds, with the smallest and the largest in parentheses. "Ratio" is Sallyport's median to the
other's; "single rounds" is the range of the ratios of each round by itself: the wider it is, the less does the ratio say.`,
    ...limits(all.flatMap(([, { figures }]) => figures)),
    ...all.flatMap(([measurement, { figures, measuredOn }]) =>
      section(measurement, figures, [SECTIONS[measurement].how, circumstancesOf(measurement, measuredOn)]),
    ),
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

function circumstancesOf(measurement: Measurement, { date, commit, kernel, processor, cores, programs, load }: Circumstances): string {
  return [
    `- \`npm run bench -- --only ${measurement}\`, ${date}, commit ${commit}`,
    `- ${cores} × ${processor}, ${kernel}, load average ${load.toFixed(1)} before it`,
    `- ${programs.join(', ')}`,
  ].join('\n');
}

function section(measurement: Measurement, figures: readonly Figure[], prose: readonly string[]): string[] {
  return [`## ${SECTIONS[measurement].title}`, ...prose, table(measurement, figures)];
}

function limits(figures: readonly Figure[]): string[] {
  const rows = judge(figures).map(({ figure, limit, reached, isKept }) => [
    titleOf(figure),
    limit,
    reached,
    isKept ? 'kept' : '**missed**',
  ]);
  return rows.length === 0 ? [] : ['## Limits', render(['figure', 'limit', 'reached', 'verdict'], rows, 'lllll')];
}

/** What a figure is called where it stands by itself: `Ping time over DTLS, every 20 ms`. */
export function titleOf({ measurement, transport, name }: Figure): string {
  return `${SECTIONS[measurement].title} over ${TRANSPORT_TITLES[transport]}, ${name}`;
}

function table(measurement: Measurement, figures: readonly Figure[]): string {
  const rows = figures.map(({ transport, name, unit, samples }) => {
    const { sallyport, reference: other, ratio, ratios } = compare(samples);
    const digits = DIGITS[unit];
    const range = ({ min, max }: Spread, places: number) => `${min.toFixed(places)} to ${max.toFixed(places)}`;
    const cell = (spread: Spread) => `${spread.median.toFixed(digits)} (${range(spread, digits)})`;
    const rounds = String(samples.sallyport.length);
    return [
      `${TRANSPORT_TITLES[transport]}, ${name}`,
      unit,
      cell(sallyport),
      cell(other),
      `${ratio.toFixed(2)}×`,
      range(ratios, 2),
      rounds,
    ];
  });
  const names = [nameOf(measurement, 'sallyport'), nameOf(measurement, 'reference')];
  return render(['figure', 'unit', ...names, 'ratio', 'single rounds', 'rounds'], rows, 'llrrrrr');
}

/** @param alignment For each column `l` or `r`. */
function render(heads: readonly string[], rows: readonly (readonly string[])[], alignment: string): string {
  const widths = heads.map((head, i) => Math.max(4, head.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const isRight = (i: number) => alignment[i] === 'r';
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => (isRight(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join(' | ')} |`;
  const rule = widths.map((width, i) => (isRight(i) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)));
  return [line(heads), line(rule), ...rows.map(line)].join('\n');
}
