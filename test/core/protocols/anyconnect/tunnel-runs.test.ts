/**
 * Thousands of tunnels on bad days, each from its seed: whatever the network and the peer do, a run ends with packets flowing both ways or with a
 * reason why not.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CompressionName } from '../../../../src/core/compress/compressor.ts';
import type { CloseReason } from '../../../../src/core/tunnel/machine.ts';
import type { Millis } from '../../../../src/core/tunnel/packet.ts';
import { fromHex } from '../../../../src/core/wire/text.ts';
import { SeededRandom } from '../../../support/seeded-random.ts';
import { sized } from '../../../support/size.ts';
import { CLIENT_ADDRESS, CLIENT_ADDRESS_6, ip, seconds, TunnelPair } from './tunnel-pair.ts';
import type { Mode, PairOptions } from './tunnel-pair-options.ts';
import { type Talk, talkOf } from './tunnel-talk.ts';

/** How long the faults last; then the network is well, but for its loss. */
const BAD_TIME = seconds(120);
/** How long a tunnel may take then: a failed attempt's pause and the next attempt, and once more if that fails on a bad link. */
const RECOVERY = seconds(200);
/** The stream is whole, and packets are sent each way all the time: how long there may be none that arrives. */
const MAX_GAP = seconds(30);
/** At the client: in use, being made, and going out of use. At the gateway beside the stream one more may be arriving. */
const MAX_FLOWS = 3;

/** Draws from a seed. */
class Dice {
  readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  chance(probability: number): boolean {
    return this.random.fraction() < probability;
  }

  between(low: number, high: number): number {
    return low + Math.floor(this.random.fraction() * (high - low + 1));
  }

  of<T>(values: readonly T[]): T {
    return values[this.between(0, values.length - 1)] as T;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.random.uint32() & 0xff);
  }
}

const MODES: readonly Mode[] = ['psk', 'psk', 'psk', 'dtls12', 'legacy'];
const PSK_SUITES = [0x00a9, 0x00a9, 0x00a8, 0xccab, 0x008d, 0x00ae];
const ENCODINGS: readonly (readonly CompressionName[])[] = [[], [], ['lzs'], ['oc-lz4'], ['deflate', 'lzs']];

function optionsOf(dice: Dice, seed: number): PairOptions {
  const mode = dice.of(MODES);
  const encodings = dice.of(ENCODINGS);
  const times = { dpd: seconds(dice.of([4, 10, 30, 90])), keepalive: seconds(dice.of([0, 3, 20])) };
  const hasIpv6 = dice.chance(0.3);
  return {
    seed,
    mode,
    ...(mode === 'psk' && { pskSuite: dice.of(PSK_SUITES) }),
    link: {
      delay: dice.between(1, 150),
      jitter: dice.of([0, 5, 50, 200]),
      loss: dice.of([0, 0, 0.01, 0.1, 0.2]),
      duplication: dice.of([0, 0, 0.1]),
    },
    streamDelay: dice.between(1, 200),
    engine: dice.chance(0.3),
    gatewayEngine: dice.chance(0.4),
    ...(dice.chance(0.2) && { pathMtu: dice.between(1280, 1500) }),
    client: { encodings, wantsIpv6: hasIpv6 },
    terms: {
      encodings,
      times: { ...times, rekey: seconds(dice.of([0, 0, 0, 0, 0, 0, 0, 0, 60, 100])) },
      config: {
        ipv4: { address: ip(CLIENT_ADDRESS), prefix: 24 },
        ...(hasIpv6 && { ipv6: { address: ip(CLIENT_ADDRESS_6), prefix: 64 } }),
        ...{ dns: [], nbns: [], searchDomains: [], splitDns: [], include: [], exclude: [], vendorOptions: [] },
      },
    },
    datagram: { times: { ...times, rekey: seconds(dice.of([0, 0, 15, 40])) } },
    gateway: { minLengthToCompress: 40, ...(dice.chance(0.2) && { switchToStreamAfter: seconds(5) }) },
  };
}

interface Fault {
  readonly name: string;
  /** What the tunnel may end with because of it; undefined: it must go on. */
  readonly ends?: readonly CloseReason['kind'][];
  /** Begins it; what it returns ends it. */
  readonly begin: (pair: TunnelPair, dice: Dice) => (() => void) | undefined;
}

const lasting = (name: string, begin: (pair: TunnelPair, dice: Dice) => () => void): Fault => ({ name, begin });
const sudden = (name: string, begin: (pair: TunnelPair, dice: Dice) => void, ends?: readonly CloseReason['kind'][]): Fault => ({
  name,
  ...(ends !== undefined && { ends }),
  begin: (pair, dice) => void begin(pair, dice),
});

/** To the client's machine, about one of its flows. */
const notify =
  (notice: (dice: Dice) => Parameters<TunnelPair['client']['machine']['notice']>[1]) =>
  (pair: TunnelPair, dice: Dice): void => {
    const flows = pair.clientFlows;
    if (flows.length === 0) return;
    const path = dice.of(flows);
    pair.client.turn((machine, sink) => machine.notice(path, notice(dice), pair.clock.now, sink));
  };

/** What a tunnel survives. */
const FAULTS: readonly Fault[] = [
  lasting('UDP blocked', (pair, dice) => {
    pair.udp = dice.of(['silent', 'refused', 'silent-to-client', 'silent-to-gateway'] as const);
    return () => {
      pair.udp = 'open';
    };
  }),
  lasting('a bad link', (pair, dice) => {
    pair.link = { loss: 0.5, jitter: dice.between(0, 1000) };
    return () => {
      pair.link = { loss: 0.05, jitter: 20 };
    };
  }),
  lasting('no new UDP flows', (pair) => {
    pair.opensDatagram = false;
    return () => {
      pair.opensDatagram = true;
    };
  }),
  lasting('slow new UDP flows', (pair, dice) => {
    pair.datagramOpening = dice.between(100, seconds(20));
    return () => {
      pair.datagramOpening = 1;
    };
  }),
  lasting('a narrow path', (pair, dice) => {
    pair.maxDatagram = dice.between(400, 1500);
    pair.tellsTooBig = dice.chance(0.5);
    return () => {
      pair.maxDatagram = Number.POSITIVE_INFINITY;
    };
  }),
  sudden('the client’s address changes', (pair) => pair.rebind()),
  sudden('the client’s flows are gone', (pair) => pair.breakDatagrams()),
  sudden(
    'keys used up',
    notify(() => ({ type: 'keys-used-up' })),
  ),
  sudden(
    'nobody there',
    notify(() => ({ type: 'unreachable' })),
  ),
  sudden(
    'too big',
    notify((dice) => ({ type: 'too-big', length: dice.chance(0.5) ? undefined : dice.between(800, 1500) })),
  ),
  sudden('forged datagrams', (pair, dice) => {
    for (const end of [pair.client, pair.gateway]) {
      for (const path of end?.paths ?? []) if (path.kind === 'datagram') end?.receive(path, forged(dice));
    }
  }),
];

/** Sealed under no key of ours, or nothing at all. What is in the clear could end a handshake: that is DTLS (see HandshakeMachine). */
function forged(dice: Dice): Uint8Array {
  const bytes = dice.bytes(dice.between(0, 200));
  if (dice.chance(0.5) || bytes.length < 13) return bytes.fill(0x17, 0, 1);
  const length = bytes.length - 13;
  bytes.set([0x17, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, dice.between(0, 50), length >>> 8, length & 0xff]);
  return bytes;
}

const over = { kind: 'expired', message: 'over' } as const;

/** What ends it, and how. */
const ENDS: readonly Fault[] = [
  sudden('the stream breaks', (pair) => pair.breakStream(), ['path-lost']),
  lastingEnd('the stream is silent', (pair) => {
    pair.isStreamSilent = true;
  }),
  sudden('the gateway closes', (pair) => pair.gateway?.turn((_, sink) => pair.gatewayMachine.close(over, pair.clock.now, sink)), [
    'ended-by-peer',
  ]),
  sudden('the gateway terminates', (pair) => pair.gateway?.turn((_, sink) => pair.gatewayMachine.terminate(over, pair.clock.now, sink)), [
    'ended-by-peer',
  ]),
  sudden(
    'the user leaves',
    (pair, dice) => {
      const kind = dice.of(['log-off', 'detach'] as const);
      pair.client.turn((machine, sink) => machine.close({ kind, message: 'bye' }, pair.clock.now, sink));
    },
    ['log-off', 'detach'],
  ),
  sudden('nonsense on the client’s stream', (pair) => pair.tellClient(fromHex('00112233')), ['misbehaved']),
  sudden('nonsense on the gateway’s stream', (pair) => pair.tellGateway(fromHex('00112233')), ['ended-by-peer']),
];

function lastingEnd(name: string, begin: (pair: TunnelPair) => void): Fault {
  return sudden(name, begin, ['path-lost']);
}

interface Outcome {
  readonly closed: CloseReason['kind'] | undefined;
  readonly faults: readonly string[];
  readonly sent: number;
  readonly arrived: number;
  readonly datagramsOpened: number;
}

class Run {
  readonly #dice: Dice;
  readonly #pair: TunnelPair;
  readonly #rekeysStream: boolean;
  #said: Talk | undefined;
  /** When something came last, or nothing was expected, by direction. */
  readonly #heardAt = { up: 0, down: 0 };
  #arrived = { up: 0, down: 0 };
  readonly faults: string[] = [];
  #allowed: readonly CloseReason['kind'][] = [];

  constructor(seed: number) {
    this.#dice = new Dice(seed);
    const options = optionsOf(this.#dice, seed);
    this.#rekeysStream = (options.terms?.times?.rekey ?? 0) > 0;
    this.#pair = new TunnelPair(options);
    if (this.#dice.chance(0.2)) this.#pair.udp = this.#dice.of(['silent', 'refused', 'silent-to-client', 'silent-to-gateway'] as const);
    if (this.#dice.chance(0.2)) this.#pair.maxDatagram = this.#dice.between(500, 1500);
    this.#pair.tellsTooBig = this.#dice.chance(0.5);
    this.#pair.opensStream = !this.#dice.chance(0.01);
    this.#plan();
  }

  outcome(): Outcome {
    const { clock, client } = this.#pair;
    while (clock.now < BAD_TIME && client.closed === undefined) this.#step();
    this.#heal();
    const target = (this.#said?.up.arrived ?? 0) + 3;
    const targetDown = (this.#said?.down.arrived ?? 0) + 3;
    const carries = () => (this.#said?.up.arrived ?? 0) >= target && (this.#said?.down.arrived ?? 0) >= targetDown;
    const limit = clock.now + RECOVERY;
    while (client.closed === undefined && !carries()) {
      assert.ok(clock.now < limit, 'neither closed nor carrying packets');
      this.#step();
    }
    this.#checkEnd();
    const { up, down } = this.#said ?? {};
    return {
      closed: client.closed?.kind,
      faults: this.faults,
      sent: (up?.sent ?? 0) + (down?.sent ?? 0),
      arrived: (up?.arrived ?? 0) + (down?.arrived ?? 0),
      datagramsOpened: this.#pair.datagramsOpened,
    };
  }

  #plan(): void {
    const { clock } = this.#pair;
    for (let count = this.#dice.between(0, 6); count > 0; count--) {
      clock.at(this.#dice.between(0, BAD_TIME), () => this.#begin(this.#dice.of(FAULTS)));
    }
    if (this.#dice.chance(0.3)) clock.at(this.#dice.between(seconds(1), BAD_TIME), () => this.#begin(this.#dice.of(ENDS)));
  }

  #begin(fault: Fault): void {
    const { clock, client, gateway } = this.#pair;
    if (client.closed !== undefined || gateway === undefined || gateway.closed !== undefined) return;
    this.faults.push(`${fault.name} at ${clock.now}`);
    if (fault.ends !== undefined) this.#allowed = [...this.#allowed, ...fault.ends];
    const end = fault.begin(this.#pair, this.#dice);
    if (end !== undefined) clock.at(clock.now + this.#dice.between(100, seconds(60)), end);
  }

  /** A while, with packets both ways. */
  #step(): void {
    const { clock, client, gateway } = this.#pair;
    clock.advance(this.#dice.between(1, 800));
    if (client.up === undefined || client.closed !== undefined || gateway === undefined || gateway.closed !== undefined) {
      this.#heardAt.up = clock.now;
      this.#heardAt.down = clock.now;
      return;
    }
    this.#said ??= talkOf(this.#pair);
    const { up, down } = this.#said;
    up.sendAny(this.#dice.random, client.mtu);
    down.sendAny(this.#dice.random, client.mtu);
    clock.advance(this.#dice.between(1, 400));
    if (up.arrived > this.#arrived.up || this.#pair.isStreamSilent) this.#heardAt.up = clock.now;
    if (down.arrived > this.#arrived.down || this.#pair.isStreamSilent) this.#heardAt.down = clock.now;
    this.#arrived = { up: up.arrived, down: down.arrived };
    assert.ok(this.#pair.clientFlows.length <= MAX_FLOWS && gateway.paths.length <= MAX_FLOWS + 2, 'flows pile up');
    assert.ok(clock.now - this.#heardAt.up < MAX_GAP, 'nothing reached the gateway, although the stream is there');
    assert.ok(clock.now - this.#heardAt.down < MAX_GAP, 'nothing reached the client, although the stream is there');
  }

  #heal(): void {
    const pair = this.#pair;
    pair.udp = 'open';
    pair.maxDatagram = Number.POSITIVE_INFINITY;
    pair.opensDatagram = true;
    pair.datagramOpening = 1;
  }

  #checkEnd(): void {
    const { client, clock } = this.#pair;
    if (client.closed === undefined) {
      assert.ok(client.nextTimeout() !== undefined, 'a tunnel that waits for nothing');
      return;
    }
    const allowed = [
      ...this.#allowed,
      ...(this.#rekeysStream ? (['renew'] as const) : []),
      ...(this.#pair.opensStream ? [] : (['path-lost'] as const)),
    ];
    assert.ok(allowed.includes(client.closed.kind), `ended with ${client.closed.kind}: ${client.closed.message}`);
    assert.ok(client.closed.message.length > 0);
    assert.equal(client.nextTimeout(), undefined);
    // The gateway learns of it, at the latest by DPD.
    this.#pair.breakStream();
    clock.advance(seconds(100));
    assert.ok(this.#pair.gateway === undefined || this.#pair.gateway.closed !== undefined, 'the gateway’s tunnel goes on');
  }
}

function runOf(seed: number): { readonly outcome: Outcome; readonly time: Millis } {
  const started = performance.now();
  const run = new Run(seed);
  try {
    return { outcome: run.outcome(), time: performance.now() - started };
  } catch (error) {
    throw new Error(`seed ${seed} (${run.faults.join(', ')}): ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

describe('A tunnel on a bad day', () => {
  it('ends with packets flowing both ways, or with a reason', () => {
    const count = sized(200, 10_000);
    const first = Number(process.env.SALLYPORT_TEST_SEED ?? 1);
    const ends = new Map<string, number>();
    let sent = 0;
    let arrived = 0;
    let opened = 0;
    for (let seed = first; seed < first + count; seed++) {
      const { outcome } = runOf(seed);
      ends.set(outcome.closed ?? 'carrying', (ends.get(outcome.closed ?? 'carrying') ?? 0) + 1);
      sent += outcome.sent;
      arrived += outcome.arrived;
      opened += outcome.datagramsOpened;
    }
    assert.ok((ends.get('carrying') ?? 0) > count / 2, JSON.stringify([...ends]));
    assert.ok(arrived > sent / 2 && opened > count);
    if (process.env.SALLYPORT_TEST_SIZE === 'long') console.log(JSON.stringify({ count, ends: [...ends], sent, arrived, opened }));
  });

  it('does the same again with the same seed', () => {
    for (let seed = 1; seed <= 5; seed++) assert.deepEqual(runOf(seed).outcome, runOf(seed).outcome);
  });
});
