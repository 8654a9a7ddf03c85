/** The figures as Markdown: tables for the terminal, and docs/performance.md around the same tables. */
import { type Figure, judge, type Measurement, REFERENCES, type Transport, type Unit } from './figures.ts';
import type { Circumstances } from './machine.ts';
import { compare, type Spread } from './statistics.ts';

/** Each measurement's heading, and what a reader must know of its table. */
const SECTIONS: Readonly<Record<Measurement, { readonly title: string; readonly how: string }>> = {
  connect: {
    title: 'Connect time',
    how: `From the start of the program to the tunnel up: logged in by password, and the network script has set the device's address and route, which is
all it does. A shell writes the time and then becomes the client, and the script writes the time as its last act: the same two events on the
same clock for both, whatever a client prints and when. With DTLS its handshake must be done too; both clients finish it before they run the
script, and where one does not, its time ends when it says that it has. Neither client goes to the background, so the hand-over of \`-b\` is not
in it. One connection of each client before the first round does not count.

Where Sallyport's time goes, of 165 ms seen with time stamps in the code, over DTLS: Node's own start 27 ms, loading the command 27, Node's modules for
TLS and the TLS context 22, TCP and TLS 15, log-in 27, CONNECT 10, DTLS 17, the network script and the device 20. No part stands out: it is code that
runs once, before any compiler has seen it. The main thread works for 115 to 130 ms of it, the engine's for 65, 38 of which Node needs to start any
thread; the processors of this machine slow each other down, so what counts is the sum. What brought it down, client and client in turns, smallest of
11 each: 213 to 167 ms over DTLS, 173 to 156 over TLS, openconnect 31. That is: the tunnel's connection opened during the log-in, the engine's thread
before the rest of the command, its warm-up after the tunnel is up (20 ms of processor time less), two files instead of thirteen, and Node's modules for
files, processes and TLS, one-time codes, key formats and profiles not before they are needed. Tried and not kept, as nothing was gained: larger
young generations of V8's heap, OpenSSL's certificate store instead of Mozilla's list (which Node reads in a thread of its own as soon as TLS is
loaded), one file for all code, less or more of it in the cache of compiled code.`,
  },
  ping: {
    title: 'Ping time',
    how: `The median round trip of small pings (56 bytes) to the gateway's inside address, with nothing else in the tunnel. 20 ms apart, processes and
cores are still warm; 200 ms apart, they have gone to sleep in between. A round's figure is the median of its pings.

Over TLS the engine's thread has the connection to itself, as over DTLS. A packet that leaves alone is followed by a look-out of 0.1 ms at most for its
answer, without sleep, as long as answers do come that soon (\`src/node/engine/answer-wait.ts\`), and leaves before the device is asked for another one.
On a busy machine, client and client in turns, medians of 3: 408 to 328 µs over DTLS every 20 ms, 367 to 323 every 200 ms; openconnect 253 and 257.`,
  },
  memory: {
    title: 'Idle memory',
    how: `Of the client's process, when its tunnel has been up for 5 seconds without a packet. "Resident" counts all its pages in memory (RSS);
"proportional" divides those that it shares with other processes by their number (PSS), and is what one more client costs a machine. It is stated; no limit is set.`,
  },
  throughput: {
    title: 'Throughput and CPU',
    how: `One TCP stream of iperf3 through the tunnel, first up (to the gateway), then down. The rate is what the receiver got. CPU is the client's, user
and system time of all its threads, for each GB (10^9 bytes) of payload; the kernel's work on the client's behalf is in it. Both ends, the
gateway and the traffic program share the machine's cores, so a client that needs less of them leaves more to the others.`,
  },
  'gateway-memory': {
    title: "Gateway's idle memory",
    how: `Of all processes of a gateway that has just been started, when one client's tunnel has been up for 5 seconds without a packet: main, and whoever it
has started. Sallyport has as many workers as the machine has cores, each of them for many clients, and loads its program into each; ocserv has a
process for each client. So these figures are what a gateway needs before it has clients, not what a client costs. A page that several processes
share is in the sum of "resident" once for each of them, and once in that of "proportional".`,
  },
  'gateway-throughput': {
    title: "Gateway's throughput and CPU",
    how: `As with the clients, but with the same openconnect on both gateways. CPU is user and system time of all processes of the gateway, which are
found by their descent from its main process. A round starts a gateway of its own, so what runs in JavaScript is compiled while it is measured.`,
  },
};

const TRANSPORT_TITLES: Readonly<Record<Transport, string>> = { dtls: 'DTLS', tls: 'TLS' };

const DIGITS: Readonly<Record<Unit, number>> = { ms: 1, µs: 0, MiB: 1, 'Mbit/s': 0, 'CPU-s/GB': 2 };

/** The tables of what was measured, with their headings, and how each figure stands to its limit. */
export function renderFigures(figures: readonly Figure[]): string {
  return sections(figures, () => []).join('\n\n');
}

/** The whole document. Only its figures change from run to run. */
export function renderDocument(figures: readonly Figure[], { date, commit, kernel, processor, cores, programs }: Circumstances): string {
  const paragraphs = [
    '# Performance',
    `What Sallyport costs, beside the programs in C that it replaces: its client beside openconnect, its gateway beside ocserv. \`npm run bench -- --write\`
writes this file; it needs root on Debian with the programs that \`npm run test:setup\` installs, and an otherwise quiet machine.`,
    `Both clients run with the same options against the same ocserv, both gateways with the same configuration file for the same openconnect, on two machines
made of network namespaces with a virtual cable between them. The two that are compared take turns within each round, and who goes first changes
with the round, so what else the machine does meets both. Absolute figures belong to one machine; the ratios are what to compare.`,
    [
      `- Date: ${date}`,
      `- Commit: ${commit}`,
      `- Machine: ${cores} × ${processor}, ${kernel}`,
      `- Programs: ${programs.join(', ')}`,
      '- Transports: DTLS 1.2 with AES-256-GCM and a pre-shared key, and TLS 1.3 alone (`--no-dtls`); no compression; IPv4',
    ].join('\n'),
    `The columns of the programs hold medians over all rounds, with the smallest and the largest in parentheses. "Ratio" is Sallyport's median to the
other's; "single rounds" is the range of the ratios of each round by itself: the wider it is, the less does the ratio say.`,
    ...sections(figures, (measurement) => [SECTIONS[measurement].how]),
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

/** The limits first: they are what a reader comes for. */
function sections(figures: readonly Figure[], prose: (measurement: Measurement) => readonly string[]): string[] {
  const measurements = [...new Set(figures.map(({ measurement }) => measurement))];
  return [
    ...limits(figures),
    ...measurements.flatMap((measurement) => {
      const own = figures.filter((figure) => figure.measurement === measurement);
      return [`## ${SECTIONS[measurement].title}`, ...prose(measurement), table(own, REFERENCES[measurement])];
    }),
  ];
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

function table(figures: readonly Figure[], reference: string): string {
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
  return render(['figure', 'unit', 'Sallyport', reference, 'ratio', 'single rounds', 'rounds'], rows, 'llrrrrr');
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
