/** The figures as Markdown. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Figure } from '../../bench/figures.ts';
import type { Circumstances } from '../../bench/machine.ts';
import { withFigures } from '../../bench/record.ts';
import { renderDocument, renderFigures } from '../../bench/report.ts';

const CONNECT: Figure = {
  measurement: 'connect',
  transport: 'dtls',
  name: 'start to tunnel up',
  unit: 'ms',
  samples: { sallyport: [95, 90, 100], reference: [30, 28, 40] },
};

const PING: Figure = {
  measurement: 'ping',
  transport: 'tls',
  name: 'every 20 ms',
  unit: 'µs',
  samples: { sallyport: [120.4, 90, 150], reference: [80, 75, 100] },
};

const CPU: Figure = {
  measurement: 'throughput',
  transport: 'dtls',
  name: 'CPU up',
  unit: 'CPU-s/GB',
  samples: { sallyport: [2.644, 2.5], reference: [4.05, 4] },
};

const MEMORY: Figure = { ...CPU, measurement: 'memory', name: 'resident', unit: 'MiB' };

const GATEWAY_CPU: Figure = { ...CPU, measurement: 'gateway-throughput' };

const MACHINE: Circumstances = {
  date: '2031-05-17',
  commit: '0123abc',
  kernel: 'Linux 6.99',
  processor: 'Some Processor',
  cores: 2,
  programs: ['Node 24.0.0', 'ocserv 1.1.6'],
  load: 0.44,
};

function documentOf(...figures: Figure[]): string {
  return renderDocument(withFigures({}, figures, MACHINE));
}

/** The cells of the table row that begins like this. */
function row(markdown: string, start: string): string[] {
  const line = markdown.split('\n').find((candidate) => candidate.startsWith(`| ${start}`));
  assert.ok(line, `no row ${start} in:\n${markdown}`);
  return line
    .slice(2, -2)
    .split(' | ')
    .map((cell) => cell.trim());
}

describe('report', () => {
  it('shows medians with their spread, the ratio and the ratios of single rounds', () => {
    const cells = ['DTLS, start to tunnel up', 'ms', '95.0 (90.0 to 100.0)', '30.0 (28.0 to 40.0)', '3.17×', '2.50 to 3.21', '3'];
    assert.deepEqual(row(renderFigures([CONNECT]), 'DTLS, start'), cells);
  });

  it('rounds each unit to what was measured', () => {
    assert.equal(row(renderFigures([PING]), 'TLS, every 20 ms')[2], '120 (90 to 150)');
    assert.equal(row(renderFigures([CPU]), 'DTLS, CPU up')[2], '2.57 (2.50 to 2.64)');
  });

  it('names the program that Sallyport is beside: a client or a gateway', () => {
    const report = renderFigures([CPU, GATEWAY_CPU]);
    const headOf = (title: string) => row(report.slice(report.indexOf(`## ${title}\n`)), 'figure')[3];
    assert.equal(headOf('Throughput and CPU'), 'openconnect');
    assert.equal(headOf("Gateway's throughput and CPU"), 'ocserv');
  });

  it('says of each limit whether it is kept', () => {
    const report = renderFigures([CONNECT, PING, MEMORY]);
    const limits = report.slice(report.indexOf('## Limits'), report.indexOf('## Connect time'));
    assert.deepEqual(row(limits, 'Connect').slice(1), ['at most 80 ms above that of openconnect', '65.0 ms above', 'kept']);
    assert.deepEqual(row(limits, 'Ping').slice(1), ['at most 1.2 times that of openconnect', '1.505 times', '**missed**']);
    assert.ok(!limits.includes('memory'));
  });

  it('has no table of limits where none was measured', () => {
    assert.ok(!renderFigures([MEMORY]).includes('Limits'));
  });

  it('makes tables whose columns stand below each other', () => {
    const tables = renderFigures([CONNECT, PING, MEMORY])
      .split('\n\n')
      .filter((block) => block.startsWith('|'));
    assert.equal(tables.length, 4);
    for (const table of tables) assert.equal(new Set(table.split('\n').map((line) => line.length)).size, 1, table);
  });
});

describe('document', () => {
  it('says when, from which commit and on what the figures were measured', () => {
    const document = documentOf(CONNECT);
    assert.match(
      document,
      /^- `npm run bench -- --only connect`, 2031-05-17, commit 0123abc\n- 2 × Some Processor, Linux 6\.99, load average 0\.4 before it\n- Node 24\.0\.0, ocserv 1\.1\.6$/m,
    );
  });

  it('explains each measurement before its table', () => {
    const document = documentOf(CONNECT, PING, CPU, GATEWAY_CPU);
    for (const [title, word] of [
      ['Connect time', 'script'],
      ['Ping time', '56 bytes'],
      ['Throughput and CPU', 'iperf3'],
      ["Gateway's throughput and CPU", 'main process'],
    ] as const) {
      const section = document.split(`\n## ${title}\n\n`)[1]?.split('\n## ')[0] ?? '';
      const [prose = '', ...further] = section.trim().split('\n\n');
      assert.ok(prose.includes(word), section);
      assert.ok(further.at(-1)?.startsWith('| figure'), section);
    }
  });

  it('has the tables of the terminal in it', () => {
    const figures = [CONNECT, PING, CPU];
    const document = documentOf(...figures);
    for (const block of renderFigures(figures).split('\n\n')) assert.ok(document.includes(block), block);
  });

  it('stays the same but for what was measured', () => {
    const slower: Figure = { ...CONNECT, samples: { sallyport: [97, 91, 101], reference: [31, 29, 41] } };
    const lines = documentOf(CONNECT).split('\n');
    const differing = documentOf(slower)
      .split('\n')
      .filter((line, i) => line !== lines[i]);
    assert.equal(differing.length, 2, differing.join('\n')); // the row of the limit and the row of the figure
  });
});
