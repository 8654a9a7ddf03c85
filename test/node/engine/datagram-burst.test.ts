/** Bursts against a system that says what the test wants: what is grouped, and what happens when it is refused. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type BurstSocket, DatagramBurst, NO_RECORD } from '../../../src/node/engine/datagram-burst.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import type { Libc } from '../../../src/node/ffi/libc.ts';

const { EIO, EINVAL, EMSGSIZE, EAGAIN, ECONNREFUSED, EHOSTUNREACH } = constants.errno;
const MAX_RECORD = 66_000;

interface Message {
  readonly bytes: Buffer;
  /** 0: one datagram. */
  readonly size: number;
}

/** A kernel that takes what `answer` lets it, and a socket that keeps what it hears. */
class Script implements BurstSocket {
  readonly fd = 7;
  lastInBurst = NO_RECORD;
  sendsBursts = true;
  sendsRuns = true;
  readonly arena = new Arena(1 << 19);
  readonly calls: Message[][] = [];
  readonly singles: Buffer[] = [];
  readonly left: Buffer[] = [];
  readonly words: (readonly [string, ...number[]])[] = [];
  /** How many messages of a call leave; or a negative error number, for the first. */
  answer: (messages: readonly Message[]) => number = (messages) => messages.length;
  onCall: ((fd: number, messages: readonly Message[]) => void) | undefined;
  answerSingle: (bytes: Buffer) => boolean = () => true;
  readonly burst: DatagramBurst;
  /** Records that cannot be sealed, by their place in the burst. */
  readonly unsealed: number[] = [];
  readonly #places: number[] = [];
  #errno = 0;

  constructor() {
    const libc = { sendmmsg: (fd: number, at: number, count: number) => this.#sendmmsg(fd, at, count), errno: () => this.#errno };
    const lanes = {
      finish: () => {
        for (const i of this.unsealed) this.arena.bytes.fill(0, this.#places[i] ?? 0, this.#places[i + 1] ?? this.burst.next);
        this.#places.length = 0;
      },
      takeFailure: () => this.unsealed.splice(0).length > 0,
    };
    this.burst = new DatagramBurst(libc as unknown as Libc, this.arena, MAX_RECORD, lanes);
  }

  add(bytes: Uint8Array): void {
    const { next } = this.burst;
    this.#places.push(next);
    this.arena.bytes.set(bytes, next);
    this.burst.add(next, bytes.length, this);
  }

  flush(): void {
    this.burst.flush();
  }

  #sendmmsg(fd: number, address: number, count: number): number {
    const messages = Array.from({ length: count }, (_, i) => this.#message(address - this.arena.address(0) + i * 64));
    this.calls.push(messages);
    this.onCall?.(fd, messages);
    const answer = this.answer(messages);
    this.#errno = -answer;
    for (const { bytes, size } of messages.slice(0, Math.max(answer, 0))) {
      for (let at = 0; at < bytes.length; at += size || bytes.length) this.left.push(bytes.subarray(at, at + (size || bytes.length)));
    }
    return answer < 0 ? -1 : answer;
  }

  #message(at: number): Message {
    const { view, bytes } = this.arena;
    const pointer = (place: number) => Number(view.getBigUint64(place, true)) - this.arena.address(0);
    const piece = pointer(at + 16);
    const control = pointer(at + 32);
    const start = pointer(piece);
    const hasControl = view.getUint32(at + 40, true) > 0;
    if (hasControl)
      assert.deepEqual([view.getUint32(control, true), view.getInt32(control + 8, true), view.getInt32(control + 12, true)], [18, 17, 103]);
    return {
      bytes: Buffer.from(bytes.subarray(start, start + view.getUint32(piece + 8, true))),
      size: hasControl ? view.getUint16(control + 16, true) : 0,
    };
  }

  send(start: number, length: number): boolean {
    const bytes = Buffer.from(this.arena.bytes.subarray(start, start + length));
    this.singles.push(bytes);
    const isSent = this.answerSingle(bytes);
    if (isSent) this.left.push(bytes);
    return isSent;
  }
  sent(datagrams: number, bytes: number): void {
    this.words.push(['sent', datagrams, bytes]);
  }
  dropped(datagrams: number): void {
    this.words.push(['dropped', datagrams]);
  }
  heard(errno: number): void {
    this.words.push(['heard', errno]);
  }
  refusesRuns(errno: number): void {
    this.sendsRuns = false;
    this.words.push(['refuses runs', errno]);
  }
}

const record = (length: number, fill: number) => Buffer.alloc(length, fill);

describe('a burst of records', () => {
  it('goes as it is when it is one, without a table', () => {
    const script = new Script();
    script.add(record(100, 1));
    script.flush();
    assert.deepEqual([script.calls.length, script.singles], [0, [record(100, 1)]]);
    script.flush();
    assert.equal(script.singles.length, 1, 'and only once');
  });

  it('is grouped into runs of equal length, whose last may be shorter', () => {
    const script = new Script();
    for (const [i, length] of [1400, 1400, 1400, 900, 60, 60, 1400, 1401].entries()) script.add(record(length, i));
    script.flush();
    assert.deepEqual(
      script.calls[0]?.map(({ bytes, size }) => [bytes.length, size]),
      [
        [5100, 1400],
        [120, 60],
        [1400, 0],
        [1401, 0],
      ],
    );
    assert.deepEqual(script.words, [['sent', 8, 5100 + 120 + 2801]]);
  });

  it('leaves out what could not be sealed, and counts it', () => {
    for (const [unsealed, left] of [
      [[0], [2, 3]],
      [[1], [1, 3]],
      [[2], [1, 2]],
      [[0, 2], [2]],
      [[0, 1, 2], []],
    ] as const) {
      const script = new Script();
      for (const fill of [1, 2, 3]) script.add(record(100, fill));
      script.unsealed.push(...unsealed);
      script.flush();
      assert.deepEqual(
        script.left,
        left.map((fill) => record(100, fill)),
      );
      assert.deepEqual(script.words[0], ['dropped', unsealed.length]);
      script.add(record(100, 4));
      script.flush();
      assert.deepEqual(script.left.at(-1), record(100, 4));
    }
  });

  it('arrives as it was, whatever the lengths', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(20, 100, 100, 100, 700, 1400, 1400), { maxLength: 150 }), fc.boolean(), (lengths, sendsRuns) => {
        const script = new Script();
        script.sendsRuns = sendsRuns;
        const records = lengths.map((length, i) => record(length, i));
        for (const each of records) {
          script.add(each);
          if (script.burst.isFull) script.flush();
        }
        script.flush();
        assert.deepEqual(script.left, records);
        for (const { bytes, size } of script.calls.flat()) assert.ok(bytes.length <= 65_507 && (size === 0 || bytes.length <= size * 64));
      }),
    );
  });

  it('goes to each of several sockets by one call, in the order of its records', () => {
    const script = new Script();
    const sockets = [3, 4, 5].map((fd) => {
      const socket = new Script();
      return Object.assign(socket, { fd });
    });
    const calls: (readonly [fd: number, messages: readonly (readonly [fills: string, size: number])[]])[] = [];
    script.onCall = (fd, messages) => calls.push([fd, messages.map(({ bytes, size }) => [[...new Set(bytes)].join(' '), size] as const)]);
    const add = (socket: number, length: number, fill: number) => {
      const { next } = script.burst;
      script.arena.bytes.fill(fill, next, next + length);
      script.burst.add(next, length, sockets[socket] as BurstSocket);
    };
    // Runs that lie together go as runs; a record of another socket between two of them parts them.
    for (const [fill, [socket, length]] of (
      [
        [0, 100],
        [0, 100],
        [1, 100],
        [0, 100],
        [1, 100],
        [1, 60],
        [2, 50],
      ] as const
    ).entries()) {
      add(socket, length, fill);
    }
    script.flush();
    assert.deepEqual(calls, [
      [
        3,
        [
          ['0 1', 100],
          ['3', 0],
        ],
      ],
      [
        4,
        [
          ['2', 0],
          ['4 5', 100],
        ],
      ],
    ]);
    assert.deepEqual(sockets[2]?.singles.length, 1, 'one alone is one plain send');
    assert.deepEqual(
      sockets.map(({ words }) => words),
      [[['sent', 3, 300]], [['sent', 3, 260]], []],
    );
    script.flush();
    assert.equal(calls.length, 2, 'and only once');
  });

  for (const { length, most } of [
    { length: 1, most: 256 },
    { length: 1_406, most: 92 }, // a run has 46
    { length: 1_500, most: 86 },
    { length: 65_000, most: 2 },
  ]) {
    it(`is full with two whole runs, or 256 records: ${most} of ${length} bytes`, () => {
      const script = new Script();
      let records = 0;
      for (; !script.burst.isFull; records++) script.add(record(length, records));
      assert.equal(records, most);
      script.flush();
      assert.equal(script.left.length, most);
      if (length > 1) assert.equal(script.calls.flat().length, 2);
    });
  }

  it('has room for a record of any length while it is not full', () => {
    const script = new Script();
    const records = Array.from({ length: 91 }, (_, i) => record(1_406, i));
    for (const each of records) script.add(each);
    assert.ok(!script.burst.isFull);
    script.add(record(MAX_RECORD, 3));
    assert.ok(script.burst.isFull);
    script.flush();
    assert.deepEqual(script.left, [...records, record(MAX_RECORD, 3)]);
  });

  it('goes on where the system stopped', () => {
    const script = new Script();
    script.sendsRuns = false;
    script.answer = (messages) => Math.min(messages.length, 2);
    const records = Array.from({ length: 5 }, (_, i) => record(100, i));
    for (const each of records) script.add(each);
    script.flush();
    assert.deepEqual(script.left, records);
    assert.deepEqual(script.words, [
      ['sent', 2, 200],
      ['sent', 2, 200],
      ['sent', 1, 100],
    ]);
  });

  it('is told what an earlier datagram met, and leaves all the same', () => {
    const script = new Script();
    script.answer = (messages) => (script.calls.length === 1 ? -ECONNREFUSED : messages.length);
    for (let i = 0; i < 3; i++) script.add(record(100, i));
    script.flush();
    assert.equal(script.left.length, 3);
    assert.deepEqual(script.words, [
      ['heard', ECONNREFUSED],
      ['sent', 3, 300],
    ]);
  });

  it('drops the rest when the socket is full', () => {
    const script = new Script();
    script.sendsRuns = false;
    script.answer = () => (script.calls.length === 1 ? 2 : -EAGAIN);
    for (let i = 0; i < 6; i++) script.add(record(100, i));
    script.flush();
    assert.deepEqual(script.words, [
      ['sent', 2, 200],
      ['dropped', 4],
    ]);
  });

  for (const [name, errno] of Object.entries({ EIO, EINVAL, EMSGSIZE })) {
    it(`goes record by record where a run is refused with ${name}, and in no more runs`, () => {
      const script = new Script();
      script.answer = (messages) => {
        const run = messages.findIndex(({ size }) => size > 0);
        return run === 0 ? -errno : run < 0 ? messages.length : run;
      };
      const records = [record(50, 0), ...Array.from({ length: 5 }, (_, i) => record(100, i)), record(101, 9)];
      for (const each of records) script.add(each);
      script.flush();
      assert.deepEqual(script.left, records);
      assert.deepEqual(
        script.words.find(([word]) => word === 'refuses runs'),
        ['refuses runs', errno],
      );
      const calls = script.calls.length;
      script.answer = (messages) => messages.length;
      for (const each of records) script.add(each);
      script.flush();
      assert.ok(
        script.calls
          .slice(calls)
          .flat()
          .every(({ size }) => size === 0),
      );
    });
  }

  it('keeps its runs when it hears twice what earlier datagrams met', () => {
    const script = new Script();
    const heard = [ECONNREFUSED, EHOSTUNREACH];
    script.answer = (messages) => -(heard[script.calls.length - 1] ?? -messages.length);
    const records = Array.from({ length: 3 }, (_, i) => record(100, i));
    for (const each of records) script.add(each);
    script.flush();
    assert.deepEqual(script.left, records);
    assert.deepEqual(script.words, [['heard', EHOSTUNREACH]]);
    for (const each of records) script.add(each);
    script.flush();
    assert.deepEqual(script.calls.at(-1), [{ bytes: Buffer.concat(records), size: 100 }]);
  });

  it('keeps its runs when it is the datagrams that are too long', () => {
    const script = new Script();
    script.answer = () => -EMSGSIZE;
    script.answerSingle = (bytes) => bytes.length <= 100;
    for (const length of [200, 200, 200, 100]) script.add(record(length, 1));
    script.flush();
    assert.equal(script.singles.length, 4);
    assert.ok(script.sendsRuns);
  });
});
