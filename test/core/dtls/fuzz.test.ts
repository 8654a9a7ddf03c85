import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { DtlsAssociation } from '../../../src/core/dtls/association.ts';
import type { DtlsState } from '../../../src/core/dtls/state.ts';
import { SallyportError } from '../../../src/core/errors.ts';
import { encodeHandshakeFragment } from '../../../src/core/tls-messages/handshake-fragment.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import { DatagramSink } from '../../support/datagram-sink.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { sized } from '../../support/size.ts';
import { clientOf, KINDS, kindNamed, serverOf } from './associations.ts';
import { LEGACY_CAPTURE, PSK_CAPTURE, RESUMPTION_CAPTURE } from './captures.ts';

const CAPTURED: readonly Uint8Array[] = [PSK_CAPTURE, RESUMPTION_CAPTURE, LEGACY_CAPTURE].flatMap((capture) =>
  Object.values(capture).filter((bytes) => bytes.length > 13),
);

/** More than any honest peer is answered for one datagram. */
const MAX_ANSWERS = 12;

class Fuzzer {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  below(limit: number): number {
    return Math.floor(this.#random.fraction() * limit);
  }

  /** Anything from noise to a datagram that is almost right. */
  datagram(real: readonly Uint8Array[]): Uint8Array {
    const pick = (from: readonly Uint8Array[]) => from[this.below(from.length)] ?? new Uint8Array(0);
    switch (this.below(6)) {
      case 0:
        return Uint8Array.from({ length: this.below(80) }, () => this.below(256));
      case 1:
        return this.#changed(pick(CAPTURED));
      case 2:
        return this.#changed(pick(real));
      case 3:
        return new Uint8Array(pick(real)).slice(0, this.below(100));
      case 4:
        return this.#handshakeRecord();
      default:
        return Buffer.concat([pick(real), this.#changed(pick(real))]);
    }
  }

  #changed(bytes: Uint8Array): Uint8Array {
    const changed = new Uint8Array(bytes);
    for (let i = this.below(4); i >= 0 && changed.length > 0; i--) changed[this.below(changed.length)] = this.below(256);
    return changed;
  }

  #handshakeRecord(): Uint8Array {
    const length = this.below(3) === 0 ? this.below(0x100_0000) : this.below(60);
    const offset = Math.min(length, this.below(40));
    const data = new Uint8Array(Math.min(length - offset, this.below(60))).fill(this.below(256));
    const fragment = encodeHandshakeFragment({ type: this.below(24), length, sequence: this.below(12), offset, data });
    const version = [0xfe, 0x01][this.below(2)] ?? 0;
    const header = Uint8Array.of(22, version, version === 1 ? 0 : 0xfd, 0, 0, 0, 0, 0, 0, 0, this.below(256), 0, fragment.length);
    return Buffer.concat([header, fragment]);
  }
}

/** Throws unless the state is one that can be; whatever came, what failed failed with an error of ours. */
function checkState(state: DtlsState): void {
  if (state.name === 'failed') assert.ok(state.error instanceof SallyportError);
}

describe('DTLS with hostile datagrams', () => {
  it('neither throws nor goes wild, whatever comes between the datagrams of a handshake', () => {
    const runs = sized(400, 20_000);
    for (let seed = 1; seed <= runs; seed++) {
      const fuzzer = new Fuzzer(seed);
      const kind = KINDS[seed % KINDS.length] ?? assert.fail();
      const ends: readonly { readonly layer: DtlsAssociation; readonly sink: DatagramSink }[] = [
        { layer: clientOf(kind, seed), sink: new DatagramSink() },
        { layer: serverOf(kind, seed + 1), sink: new DatagramSink() },
      ];
      let sent: Uint8Array[] = [];
      for (let step = 0; step < 30; step++) {
        const now = step * 300;
        for (const [i, { layer, sink }] of ends.entries()) {
          if ((layer.nextTimeout() ?? Infinity) <= now) layer.handleTimeout(now, sink);
          const fresh = sink.take();
          sent = [...sent, ...fresh].slice(-20);
          const peer = ends[1 - i] ?? assert.fail();
          for (const datagram of fresh) {
            if (fuzzer.below(3) > 0) peer.layer.receive(new Uint8Array(datagram), now, peer.sink);
          }
          const hostile = fuzzer.datagram(sent);
          const target = ends[fuzzer.below(2)] ?? assert.fail();
          const before = target.sink.records.length;
          try {
            target.layer.receive(hostile, now, target.sink);
          } catch (error) {
            throw new Error(`seed ${seed}, step ${step}, ${kind.name}`, { cause: error });
          }
          assert.ok(target.sink.records.length - before <= MAX_ANSWERS, `seed ${seed}: too many answers`);
          layer.send(packetOf(Uint8Array.of(1, 2, 3)), now, sink);
          checkState(layer.state);
        }
      }
      for (const { sink } of ends) {
        for (const packet of sink.packets) assert.deepEqual(packet, Uint8Array.of(1, 2, 3), `seed ${seed}: a packet that nobody sent`);
      }
    }
  });

  it('is not brought down by anyone without the keys once it is up', () => {
    for (let seed = 1; seed <= sized(100, 2_000); seed++) {
      const fuzzer = new Fuzzer(seed);
      const kind = KINDS[seed % KINDS.length] ?? assert.fail();
      const [client, server] = [clientOf(kind, seed), serverOf(kind, seed + 1)];
      const [toServer, toClient] = [new DatagramSink(), new DatagramSink()];
      client.handleTimeout(0, toServer);
      const seen: Uint8Array[] = [];
      for (let round = 0; round < 6; round++) {
        for (const datagram of toServer.take()) {
          seen.push(datagram);
          server.receive(new Uint8Array(datagram), 0, toClient);
        }
        for (const datagram of toClient.take()) {
          seen.push(datagram);
          client.receive(new Uint8Array(datagram), 0, toServer);
        }
      }
      assert.deepEqual([client.state.name, server.state.name], ['up', 'up']);
      for (let i = 0; i < 100; i++) {
        client.receive(fuzzer.datagram(seen), i * 1_000, toServer);
        server.receive(fuzzer.datagram(seen), i * 1_000, toClient);
      }
      assert.deepEqual([client.state.name, server.state.name], ['up', 'up'], `seed ${seed}, ${kind.name}`);
      assert.deepEqual([...toServer.packets, ...toClient.packets], []);
    }
  });

  it('keeps no more than a bounded amount, however much is sent', async () => {
    const kind = kindNamed('PSK, AES-256-GCM');
    const server = serverOf(kind);
    const sink = new DatagramSink();
    const fuzzer = new Fuzzer(1);
    const early = new Uint8Array(1_400);
    early.set(Uint8Array.of(23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 5, 107));
    const grow = () => {
      for (let i = 0; i < 2_000; i++) {
        server.receive(early.slice(), 0, sink);
        const fragment = encodeHandshakeFragment({
          type: 1,
          length: 16_384,
          sequence: fuzzer.below(0x10000),
          offset: i,
          data: new Uint8Array(1),
        });
        const header = Uint8Array.of(22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, fragment.length);
        server.receive(Buffer.concat([header, fragment]), 0, sink);
      }
    };
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    // What is collected is given back a little later, by another thread.
    const held = async (isEnough: (bytes: number) => boolean) => {
      let bytes = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 20 && !isEnough(bytes); i++) {
        collectGarbage();
        await new Promise((resolve) => setImmediate(resolve));
        bytes = Math.min(bytes, process.memoryUsage().arrayBuffers);
      }
      return bytes;
    };
    grow();
    const before = await held(() => false);
    for (let i = 0; i < 10; i++) grow();
    const after = await held((bytes) => bytes - before < 1024 * 1024);
    assert.ok(after - before < 1024 * 1024, `grew from ${before} to ${after} bytes`);
    assert.deepEqual(sink.records, []);
    assert.ok(server.counters.tooEarly > 20_000);
  });
});
