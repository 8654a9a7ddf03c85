/** What all connections of a stack together may have to send. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DEFAULT_LIMITS, LEAST_SEND_BUFFER } from '../../../../src/core/ip/limits.ts';
import type { TcpConnection } from '../../../../src/core/ip/tcp/connection.ts';
import { StackPair } from '../stack-pair.ts';
import { hashOf, patternOf, Reader } from './transfer.ts';

const CONNECTIONS = 50;
const SEND_MEMORY = 1_000_000;

it('holds all connections together to a limit, and brings everything all the same', () => {
  const pair = new StackPair({ link: { delay: 20 }, left: { limits: { ...DEFAULT_LIMITS, sendMemory: SEND_MEMORY } } });
  const listener = pair.right.stack.listen(80, { backlog: CONNECTIONS });
  const clients = Array.from({ length: CONNECTIONS }, () => pair.connect(80));
  pair.runUntil(() => clients.every(({ isMade }) => isMade), 10_000);
  pair.advance(1_000); // the last word of a handshake is still on its way
  const readers = Array.from({ length: CONNECTIONS }, () => {
    const accepted = listener.accept() ?? assert.fail('nobody was accepted');
    return { accepted, reader: new Reader(accepted) };
  });
  const sent = patternOf(600_000, 1);
  const states = clients.map((client) => ({ client, at: 0 }));
  let most = 0;
  const unacknowledged = () => clients.reduce((sum, client) => sum + client.statistics().unacknowledged, 0);
  const write = (state: { readonly client: TcpConnection; at: number }) => {
    state.at += state.client.write(sent, state.at);
    if (state.at === sent.length) state.client.end();
    most = Math.max(most, unacknowledged());
  };
  for (const state of states) {
    state.client.onReady = () => write(state);
    write(state);
  }
  pair.advance(5_000); // their readers do not read: windows fill
  for (const { accepted, reader } of readers) {
    accepted.onReady = () => reader.look();
    reader.look();
  }
  pair.runUntil(() => readers.every(({ reader }) => reader.hasEnded), 600_000);
  const largest = 1_000_000; // of one that may write while there is memory: it takes its part at once
  assert.ok(most > SEND_MEMORY && most < SEND_MEMORY + largest + CONNECTIONS * LEAST_SEND_BUFFER, `${most} bytes at once`);
  for (const { reader } of readers) assert.equal(reader.hash, hashOf(sent));
  pair.advance(1_000);
  assert.equal(unacknowledged(), 0);

  for (let i = 0; i < CONNECTIONS; i++) {
    const given = pair.connect(80);
    given.write(sent);
    given.abort();
  }
  pair.advance(1_000);
  assert.ok(pair.connect(80).room > LEAST_SEND_BUFFER, 'all of it has come back');
});
