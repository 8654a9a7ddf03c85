import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_PIECES, Scoreboard } from '../../../../src/core/ip/tcp/scoreboard.ts';

const deaf = { delivered() {} };
const LENGTH = 60_000;

function pieces(board: Scoreboard): number {
  let count = 0;
  for (let piece = board.head; piece !== undefined; piece = piece.next) count++;
  return count;
}

describe('scoreboard', () => {
  it('is not cut into more pieces than it may, and hears again when there are fewer', () => {
    const board = new Scoreboard();
    board.sent(0, LENGTH, 0);
    for (let at = 1; at + 1 < LENGTH; at += 2) board.sack(at, at + 1, deaf);
    assert.ok(pieces(board) >= MAX_PIECES && pieces(board) <= MAX_PIECES + 1, String(pieces(board)));
    assert.equal(board.sacked + board.inFlight, LENGTH);
    assert.equal(board.sack(LENGTH - 1, LENGTH, deaf), 0);
    board.acknowledge(100, deaf);
    assert.equal(board.sack(LENGTH - 1, LENGTH, deaf), 1);
    board.acknowledge(LENGTH, deaf);
    assert.deepEqual([pieces(board), board.inFlight, board.sacked], [0, 0, 0]);
  });
});
