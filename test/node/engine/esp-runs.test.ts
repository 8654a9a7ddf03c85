/** ESP packets of a run, whose MACs are made at once before they are opened one by one. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { TrafficDescription, TrafficKey } from '../../../src/core/tunnel/traffic.ts';
import { CarriedTraffic, NOT_OPENED } from '../../../src/node/engine/carried-traffic.ts';
import { makeRecordCipher } from '../../../src/node/engine/make-record-cipher.ts';
import { NOT_MADE } from '../../../src/node/engine/record-cipher.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { OpenSsl } from '../../../src/node/ffi/openssl.ts';
import { HASH_LENGTHS } from '../../../src/node/ffi/openssl-hmac.ts';
import { LANES, STATES_LENGTH } from '../../../src/node/ffi/openssl-multi-block.ts';

const arena = new Arena(16 * 65_536);
const openssl = OpenSsl.bind(arena);
const skip = openssl?.cbcMac?.many === undefined && 'OpenSSL has no multi-block functions here';
const room = arena.allocate(64 * 1600);

for (const [cipher, mac] of [
  ['aes-128-cbc', 'sha1'],
  ['aes-256-cbc', 'sha256'],
] as const) {
  describe(`a run of packets: ${cipher}, ${mac}`, { skip }, () => {
    const newKey = (id: number): TrafficKey => ({
      id,
      key: randomBytes(cipher === 'aes-128-cbc' ? 16 : 32),
      ...{ iv: new Uint8Array(0), mac: randomBytes(HASH_LENGTHS[mac]), nextSequence: 0 },
    });

    function traffic(seal: TrafficKey, open: readonly TrafficKey[]): CarriedTraffic {
      const description: TrafficDescription = {
        record: { kind: 'esp', cipher, mac },
        ...{ seal, open, replayWindow: 64, tunnelMtu: 1400 },
        framing: {
          frame: { bytes: new Uint8Array(0), lengths: [] },
          sent: { ipv4: Uint8Array.of(4) },
          isData: { offset: 0, values: [{ bytes: Uint8Array.of(4), family: 4 }] },
        },
      };
      return new CarriedTraffic(arena, (layout, direction, each) => makeRecordCipher(openssl, arena, layout, direction, each), description);
    }

    /** Sealed packets in a row, and their payloads. */
    function sealed(end: CarriedTraffic, count: number, length = 1400): { readonly payloads: readonly Buffer[]; readonly size: number } {
      let size = 0;
      const payloads = Array.from({ length: count }, () => Buffer.concat([Buffer.of(0x45), randomBytes(length - 1)]));
      for (const [i, payload] of payloads.entries()) {
        const packet = room + i * size + end.prefixLength;
        arena.bytes.set(payload, packet);
        size = end.sealPacket(packet, length);
        assert.ok(size > length);
      }
      return { payloads, size };
    }

    /** As the worker's path does it. What became of each: its payload, or why it did not open. */
    function openRun(
      end: CarriedTraffic,
      size: number,
      count: number,
    ): { readonly opened: readonly (Buffer | number)[]; readonly batches: readonly number[] } {
      const batches: number[] = [];
      let [made, used] = [0, 0];
      const opened = Array.from({ length: count }, (_, i) => {
        const record = room + i * size;
        if (used === made) {
          made = end.makeMacs(record, size, count - i);
          batches.push(made);
          used = 0;
        }
        const length = end.open(record, size, used < made ? used++ : NOT_MADE);
        if (length < 0) return length;
        const payload = record + end.payloadOffset + 1;
        return Buffer.from(arena.bytes.subarray(payload, payload + length - 1));
      });
      return { opened, batches };
    }

    it('opens, however many there are', () => {
      const key = newKey(1);
      const [here, there] = [traffic(key, [key]), traffic(key, [key])];
      for (const count of [1, 2, 5, LANES, LANES + 1, 3 * LANES - 1, 40]) {
        const { payloads, size } = sealed(here, count);
        const { opened, batches } = openRun(there, size, count);
        assert.deepEqual(opened, payloads);
        const expected = Array.from({ length: Math.ceil(count / LANES) }, (_, i) => Math.min(LANES, count - i * LANES));
        assert.deepEqual(
          batches,
          expected.map((made) => (made > 1 ? made : 0)),
        );
      }
      for (const each of [here, there]) each.close();
    });

    it('opens at every length', () => {
      const key = newKey(1);
      const [here, there] = [traffic(key, [key]), traffic(key, [key])];
      for (let length = 20; length <= 300; length += 7) {
        const { payloads, size } = sealed(here, 5, length);
        assert.deepEqual(openRun(there, size, 5).opened, payloads);
      }
      for (const each of [here, there]) each.close();
    });

    it('leaves out what was changed, wherever it stands', () => {
      const key = newKey(1);
      const [here, there] = [traffic(key, [key]), traffic(key, [key])];
      for (let changed = 0; changed < LANES; changed++) {
        const { payloads, size } = sealed(here, LANES);
        // Each time another byte: of the sequence number, IV, payload, and last of the MAC.
        const at = room + changed * size + Math.floor(((changed + 0.5) / LANES) * size);
        arena.view.setUint8(at, arena.view.getUint8(at) ^ 1);
        const { opened } = openRun(there, size, LANES);
        assert.deepEqual(
          opened,
          payloads.map((payload, i) => (i === changed ? NOT_OPENED.badTag : payload)),
        );
      }
      for (const each of [here, there]) each.close();
    });

    it('takes no MAC for another packet’s: one that comes where another one lay, with its MAC, does not open', () => {
      const key = newKey(1);
      const [here, there] = [traffic(key, [key]), traffic(key, [key])];
      const { payloads, size } = sealed(here, 2);
      const old = Buffer.from(arena.bytes.subarray(room, room + size));
      assert.deepEqual(openRun(there, size, 2).opened, payloads);
      old.writeUInt32BE(99, 4); // a new number
      arena.bytes.set(old, room);
      assert.deepEqual(openRun(there, size, 1).opened, [NOT_OPENED.badTag]);
      for (const each of [here, there]) each.close();
    });

    it('leaves nothing of its keys, when they are wiped', () => {
      const key = newKey(1);
      const ends = [traffic(key, [key]), traffic(key, [key])];
      const [here, there] = [ends[0] ?? assert.fail(), ends[1] ?? assert.fail()];
      const { size } = sealed(here, 5);
      openRun(there, size, 5); // so that three lanes take no part
      for (const each of ends) each.close();
      assert.ok(!arena.bytes.includes(Buffer.from(key.key)), 'the first key of a schedule is the key');
      const { states } = openssl?.cbcMac?.many?.calls ?? assert.fail();
      assert.ok(arena.bytes.subarray(states, states + STATES_LENGTH).every((byte) => byte === 0));
    });

    it('opens each with the key that it names', () => {
      const keys = [newKey(1), newKey(2)] as const;
      const there = traffic(keys[0], keys);
      const ends = keys.map((key) => traffic(key, [key]));
      const all = ends.map((end) => {
        const { payloads, size } = sealed(end, 6);
        return { payloads, size, bytes: Buffer.from(arena.bytes.subarray(room, room + 6 * size)) };
      });
      const { size } = all[0] ?? assert.fail();
      const owners = [0, 1, 1, 0, 0, 1];
      for (const [i, owner] of owners.entries()) {
        all[owner]?.bytes.copy(arena.bytes, room + i * size, i * size, (i + 1) * size);
      }
      assert.deepEqual(
        openRun(there, size, owners.length).opened,
        owners.map((owner, i) => all[owner]?.payloads[i]),
      );
      for (const each of [there, ...ends]) each.close();
    });
  });
}
