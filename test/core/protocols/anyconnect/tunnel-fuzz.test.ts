/** Bytes of all kinds into both machines, in every state: nothing is thrown, nothing piles up, and what ends ends as the rules say. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isIpPacket } from '../../../../src/core/tunnel/inner-packet.ts';
import type { CloseReason } from '../../../../src/core/tunnel/machine.ts';
import { utf8 } from '../../../../src/core/wire/text.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { sized } from '../../../support/size.ts';
import type { TestPath, TunnelEnd } from '../../../support/tunnel-end.ts';
import { seconds, TunnelPair } from './tunnel-pair.ts';
import type { PairOptions } from './tunnel-pair-options.ts';

type Kind = CloseReason['kind'];

interface Situation {
  readonly name: string;
  readonly options?: PairOptions;
  /** Brings a new pair there. */
  readonly reach: (pair: TunnelPair) => void;
  /** How bytes on the client's stream may end it. */
  readonly streamEnds: readonly Kind[];
}

const OPEN_ENDS: readonly Kind[] = ['misbehaved', 'ended-by-peer'];
const compressed: PairOptions = {
  client: { encodings: ['oc-lz4'] },
  terms: { encodings: ['oc-lz4'] },
  gateway: { minLengthToCompress: 40 },
};
const deflated: PairOptions = {
  client: { encodings: ['deflate'] },
  terms: { encodings: ['deflate'] },
  gateway: { minLengthToCompress: 40 },
};

const SITUATIONS: readonly Situation[] = [
  {
    name: 'waiting for the answer to CONNECT',
    options: { answer: () => undefined },
    reach: (pair) => pair.clock.runUntil(() => pair.request !== undefined, seconds(1)),
    streamEnds: ['misbehaved', 'refused', 'path-lost'],
  },
  {
    name: 'shaking hands',
    reach: (pair) => {
      pair.udp = 'silent-to-client';
      pair.clock.runUntil(() => pair.datagramsOpened === 1, seconds(1));
    },
    streamEnds: OPEN_ENDS,
  },
  {
    name: 'shaking hands to resume',
    options: { mode: 'legacy' },
    reach: (pair) => {
      pair.udp = 'silent-to-client';
      pair.clock.runUntil(() => pair.datagramsOpened === 1, seconds(1));
    },
    streamEnds: OPEN_ENDS,
  },
  {
    name: 'proving the path',
    reach: (pair) => {
      pair.maxDatagram = 1000;
      pair.clock.runUntil(() => pair.datagramsSent > 10, seconds(1));
    },
    streamEnds: OPEN_ENDS,
  },
  { name: 'up by UDP', reach: (pair) => pair.startDatagrams(), streamEnds: OPEN_ENDS },
  { name: 'up by UDP, compressed', options: compressed, reach: (pair) => pair.startDatagrams(), streamEnds: OPEN_ENDS },
  { name: 'up by UDP, deflated', options: deflated, reach: (pair) => pair.startDatagrams(), streamEnds: OPEN_ENDS },
  { name: 'up by UDP, resumed', options: { mode: 'dtls12' }, reach: (pair) => pair.startDatagrams(), streamEnds: OPEN_ENDS },
  { name: 'carried by an engine', options: { engine: true }, reach: (pair) => pair.startDatagrams(), streamEnds: OPEN_ENDS },
  {
    name: 'carried by the gateway’s engine',
    options: { gatewayEngine: true },
    reach: (pair) => pair.startDatagrams(),
    streamEnds: OPEN_ENDS,
  },
  {
    name: 'changing keys',
    reach: (pair) => {
      pair.startDatagrams();
      pair.clock.advance(seconds(20));
      pair.udp = 'silent';
      const [path] = pair.clientFlows;
      pair.client.turn((machine, sink) => machine.notice(path ?? assert.fail(), { type: 'keys-used-up' }, pair.clock.now, sink));
      pair.clock.runUntil(() => pair.datagramsOpened === 2, seconds(1));
    },
    streamEnds: OPEN_ENDS,
  },
  {
    name: 'up by the stream alone',
    options: { datagram: 'none' },
    reach: (pair) => void pair.start(),
    streamEnds: OPEN_ENDS,
  },
];

const FRAME_TYPES = [0, 0, 3, 4, 5, 7, 8, 8, 9, 0x42];

class Fuzzer {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  below(limit: number): number {
    return this.#random.uint32() % limit;
  }

  of<T>(values: readonly T[]): T | undefined {
    return values.length === 0 ? undefined : values[this.below(values.length)];
  }

  bytes(maxLength: number): Uint8Array {
    return Uint8Array.from({ length: this.below(maxLength + 1) }, () => this.#random.uint32() & 0xff);
  }

  /** Right but for a few bytes, its length, or what is in its middle. */
  mutated(genuine: Uint8Array): Uint8Array {
    const bytes = genuine.slice();
    switch (this.below(5)) {
      case 0:
        return bytes.slice(0, this.below(bytes.length + 1));
      case 1:
        return Buffer.concat([bytes, this.bytes(50)]);
      case 2: {
        const at = this.below(bytes.length + 1);
        return Buffer.concat([bytes.subarray(0, at), this.bytes(20), bytes.subarray(at)]);
      }
      case 3:
        return bytes; // again
      default:
        for (let count = 1 + this.below(4); count > 0 && bytes.length > 0; count--) bytes[this.below(bytes.length)] = this.below(256);
        return bytes;
    }
  }

  /** A frame with anything in it. */
  frame(): Uint8Array {
    const payload = this.bytes(this.below(10) === 0 ? 16_000 : 200);
    const type = this.of(FRAME_TYPES) ?? 0;
    if (payload.length > 20 && this.below(2) === 0) payload[0] = 0x45; // may pass for a packet
    return Buffer.concat([utf8('STF\x01'), Uint8Array.of(payload.length >>> 8, payload.length & 0xff, type, 0), payload]);
  }

  /** An answer to CONNECT with anything in it. */
  answer(): Uint8Array {
    const names = [
      'X-CSTP-MTU',
      'X-CSTP-Address',
      'X-CSTP-Netmask',
      'X-DTLS-Port',
      'X-DTLS-App-ID',
      'X-DTLS-CipherSuite',
      'X-CSTP-DPD',
      'X-Reason',
    ];
    const values = ['1400', '0', '10.0.0.9', '255.255.255.0', 'PSK-NEGOTIATE', 'ab'.repeat(32), 'none', '99999999999', 'fd00::1/64', '%00'];
    const status = this.of(['200 CONNECTED', '200 OK', '401 No', '503 Busy', '100 Continue', '302 Found', '999']) ?? '';
    const lines = Array.from({ length: this.below(12) }, () => `${this.of(names)}: ${this.of(values)}\r\n`);
    return utf8(`HTTP/1.1 ${status}\r\n${lines.join('')}\r\n`);
  }

  any(genuine: readonly Uint8Array[]): Uint8Array {
    const kind = this.below(4);
    if (kind === 0) return this.bytes(this.below(20) === 0 ? 20_000 : 100);
    if (kind === 1) return this.frame();
    if (kind === 2 && this.below(3) === 0) return this.answer();
    return this.mutated(this.of(genuine) ?? this.bytes(100));
  }
}

/** Everything that came to the end's device was a packet. */
function checkDelivered(end: TunnelEnd | undefined): void {
  for (const packet of end?.delivered ?? []) assert.ok(isIpPacket(packet, 0, packet.length));
}

/** A tunnel in a situation, and bytes that it saw on its way there. */
function reached(situation: Situation, seed: number): { readonly pair: TunnelPair; readonly records: Uint8Array[] } {
  const records: Uint8Array[] = [];
  const pair = new TunnelPair({ ...situation.options, seed });
  pair.onGatewayRecord = (bytes) => records.push(bytes.slice());
  situation.reach(pair);
  return { pair, records };
}

const streamOf = (end: TunnelEnd | undefined): TestPath | undefined => end?.paths.find(({ kind }) => kind === 'stream');
const flowsOf = (end: TunnelEnd | undefined): readonly TestPath[] => (end?.paths ?? []).filter(({ kind }) => kind === 'datagram');

function fuzzed(
  situation: Situation,
  seed: number,
  body: (fuzzer: Fuzzer, pair: TunnelPair, records: readonly Uint8Array[]) => void,
): void {
  const { pair, records } = reached(situation, seed);
  try {
    body(new Fuzzer(seed), pair, records);
    checkDelivered(pair.client);
    checkDelivered(pair.gateway);
  } catch (error) {
    throw new Error(`${situation.name}, seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

const RUNS = sized(60, 3000);

describe('A tunnel that is fed anything', () => {
  for (const situation of SITUATIONS) {
    it(`${situation.name}: on the client’s stream, ends as the rules say or goes on`, () => {
      for (let seed = 1; seed <= RUNS; seed++) {
        fuzzed(situation, seed, (fuzzer, pair, records) => {
          for (let i = 0; i < 30 && pair.client.closed === undefined; i++) {
            const path = streamOf(pair.client);
            if (path !== undefined) pair.client.receive(path, fuzzer.any(records));
            pair.clock.advance(fuzzer.below(100));
          }
          const kind = pair.client.closed?.kind;
          assert.ok(kind === undefined || situation.streamEnds.includes(kind), `ended with ${kind}`);
        });
      }
    });

    it(`${situation.name}: on UDP, goes on`, () => {
      for (let seed = 1; seed <= RUNS; seed++) {
        fuzzed(situation, seed, (fuzzer, pair) => {
          const genuine = [...pair.datagramsToClient, ...pair.datagramsToGateway];
          for (let i = 0; i < 30; i++) {
            const path = fuzzer.of(flowsOf(pair.client));
            if (path !== undefined) pair.client.receive(path, fuzzer.any(genuine));
            pair.clock.advance(fuzzer.below(100));
          }
          assert.equal(pair.client.closed, undefined);
        });
      }
    });

    it(`${situation.name}: at the gateway, ends as the rules say or goes on`, () => {
      for (let seed = 1; seed <= RUNS; seed++) {
        fuzzed(situation, seed, (fuzzer, pair) => {
          const genuine = [...pair.datagramsToClient, ...pair.datagramsToGateway];
          for (let i = 0; i < 30 && pair.gateway?.closed === undefined; i++) {
            const flow = fuzzer.below(4) === 0 && pair.gateway !== undefined ? pair.newGatewayPath() : fuzzer.of(flowsOf(pair.gateway));
            if (flow?.isOpen === true) pair.gateway?.receive(flow, fuzzer.any(genuine));
            const stream = streamOf(pair.gateway);
            if (stream !== undefined && fuzzer.below(4) === 0) pair.gateway?.receive(stream, fuzzer.any([]));
            pair.clock.advance(fuzzer.below(100));
          }
          const kind = pair.gateway?.closed?.kind;
          assert.ok(kind === undefined || ['misbehaved', 'log-off', 'detach'].includes(kind), `ended with ${kind}`);
          assert.ok(flowsOf(pair.gateway).length <= 4);
        });
      }
    });
  }

  it('keeps no more than a frame of an endless stream, and an answer has an end', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const heap = () => {
      collect();
      collect(); // the memory of buffers goes with the second
      return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
    };
    const megabytes = sized(20, 400);
    const { pair } = reached(SITUATIONS.find(({ name }) => name === 'up by UDP') ?? assert.fail(), 1);
    const fuzzer = new Fuzzer(1);
    const junk = fuzzer.bytes(60_000);
    const frame = Buffer.concat([utf8('STF\x01'), Uint8Array.of(0x40, 0, 0x42, 0), new Uint8Array(16_384)]);
    const feed = () => {
      const stream = streamOf(pair.client);
      for (let at = 0; at < frame.length; at += 5000) pair.client.receive(stream ?? assert.fail(), frame.subarray(at, at + 5000));
      for (const flow of flowsOf(pair.client)) pair.client.receive(flow, junk);
      for (const flow of flowsOf(pair.gateway)) pair.gateway?.receive(flow, junk);
    };
    feed();
    const before = heap();
    for (let fed = 0; fed < megabytes * 1e6; fed += frame.length + 2 * junk.length) feed();
    assert.equal(pair.client.closed, undefined);
    const grown = heap() - before;
    assert.ok(grown < 2e6, `${grown} bytes more`);

    const asking = reached(SITUATIONS[0] ?? assert.fail(), 1).pair;
    asking.tellClient(utf8('HTTP/1.1 200 OK\r\n'));
    const line = utf8(`X-CSTP-Split-Include: 10.0.0.0/255.255.255.0\r\n`);
    for (let i = 0; asking.client.closed === undefined; i++) {
      assert.ok(i < 100_000, 'without end');
      asking.tellClient(line);
    }
    assert.equal(asking.client.closed.kind, 'misbehaved');
  });
});
