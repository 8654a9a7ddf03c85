import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hasUnsentData } from '../../../src/node/network/unsent-data.ts';

/** As Linux 6.18 writes it. */
const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const TAIL = '00:00000000 00000000     0        0 14177 1 0000000000000000 100 0 0 10 0';

function tableOf(...sockets: readonly (readonly [state: string, sent: number, received?: number])[]): string {
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, '0');
  const lines = sockets.map(
    ([state, sent, received = 0], i) =>
      `${String(i).padStart(4)}: 32004D0A:B0F6 01004D0A:0007 ${state} ${hex(sent)}:${hex(received)} ${TAIL}`,
  );
  return [HEAD, ...lines, ''].join('\n');
}

describe('what the kernel has not delivered', () => {
  it('is bytes, or an end, of connections that are open or closing', () => {
    for (const state of ['01', '04', '08', '09', '0B']) assert.equal(hasUnsentData(tableOf(['06', 0], [state, 1])), true, state);
    const six = `   0: 0000000000000000FFFF000032004D0A:B0F6 0000000000000000FFFF000001004D0A:0007 04 00004E21:00000000 ${TAIL}\n`;
    assert.equal(hasUnsentData(`${HEAD}\n${six}`), true);
  });

  it('is nothing where all was acknowledged, nobody is connected yet, or only a reader is late', () => {
    assert.equal(hasUnsentData(''), false);
    assert.equal(hasUnsentData(tableOf()), false);
    assert.equal(hasUnsentData(tableOf(['01', 0, 5_000], ['05', 0], ['06', 0], ['0A', 3], ['02', 1], ['07', 0])), false);
  });
});
