/** What tests of a whole tunnel say again and again. */
import assert from 'node:assert/strict';
import type { Millis } from '../../../../src/core/tunnel/packet.ts';
import { NumberedPackets } from './numbered-packets.ts';
import { TunnelPair } from './tunnel-pair.ts';
import type { PairOptions } from './tunnel-pair-options.ts';

export interface Talk {
  readonly pair: TunnelPair;
  readonly up: NumberedPackets;
  readonly down: NumberedPackets;
}

/** A pair whose both ends send by UDP, with counted packets each way. */
export function established(options: PairOptions = {}): Talk {
  const pair = new TunnelPair(options);
  pair.startDatagrams();
  return talkOf(pair);
}

export function talkOf(pair: TunnelPair): Talk {
  const gateway = pair.gateway ?? assert.fail('the gateway has no tunnel');
  return { pair, up: new NumberedPackets(pair.client, gateway, 'up'), down: new NumberedPackets(gateway, pair.client, 'down') };
}

/** Both ends send a packet every `interval` for `duration`; then what is under way arrives. */
export function talk({ pair, up, down }: Talk, duration: Millis, interval: Millis = 100): void {
  for (let time = 0; time < duration && pair.client.closed === undefined; time += interval) {
    up.send(100);
    down.send(100);
    pair.clock.advance(interval);
  }
  pair.clock.advance(200);
}

/** After how long it was so, watched every millisecond from now on. */
export function timeUntil(pair: TunnelPair, what: () => boolean, limit: Millis): Millis {
  const start = pair.clock.now;
  while (!what()) {
    assert.ok(pair.clock.now < start + limit, `not within ${limit} ms`);
    pair.clock.advance(1);
  }
  return pair.clock.now - start;
}
