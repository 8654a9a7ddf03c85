/** Which bare acknowledgements are left out for a newer one: the cases of src/kernels/acknowledgements.ts, one by one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JOIN, PacketKernels } from '../../../src/node/engine/packet-kernels.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { packetFrom, selective, timestamps } from '../../support/inner-packets.ts';

type Block = readonly [number, number];

/** Where the data ends that came without a gap, and what came behind it. */
type Acknowledgement = readonly [number, ...Block[]];

const DATA: Block = [3000, 4000];
const MORE: Block = [3000, 5000];
const OTHER: Block = [7000, 8000];

const LEFT_OUT: Readonly<Record<string, readonly [Acknowledgement, Acknowledgement]>> = {
  'where it goes on without a gap': [[2000], [2500]],
  'where a gap begins': [[2000], [2000, DATA]],
  'where the gap is filled': [
    [2000, DATA],
    [4000, OTHER],
  ],
  'where more has come behind the gap': [
    [2000, DATA],
    [2000, MORE],
  ],
  'where there is another gap': [
    [2000, DATA],
    [2000, OTHER, DATA],
  ],
  'where numbers begin anew': [
    [2 ** 32 - 100, [50, 150]],
    [2 ** 32 + 50, [50, 250]],
  ],
};

const KEPT: Readonly<Record<string, readonly [Acknowledgement, Acknowledgement]>> = {
  'where both say the same': [
    [2000, DATA],
    [2000, DATA],
  ],
  'where the newer one has no room for all': [
    [2000, DATA, OTHER],
    [2500, OTHER],
  ],
  'where the older one tells of data that came twice': [
    [2000, [1000, 1500], DATA],
    [2500, MORE],
  ],
  'where it tells that of what is behind the gap': [
    [2000, [3500, 3700], DATA],
    [2500, MORE],
  ],
  'where the newer one is overtaken': [
    [2500, DATA],
    [2000, MORE],
  ],
};

const arena = new Arena(1 << 20);
const kernels = new PacketKernels(arena, 2);
const room = arena.allocate(400);

const NONE = new Uint8Array(0);
const TIMESTAMP = timestamps(1, 2);

/** How many of two acknowledgements reach the host. @param times what each has in front of its blocks */
function passing(acknowledgements: readonly [Acknowledgement, Acknowledgement], times: readonly [Uint8Array, Uint8Array]): number {
  for (const [i, [acknowledgement, ...blocks]] of acknowledgements.entries()) {
    const packet = packetFrom({ acknowledgement, options: Buffer.concat([times[i] ?? NONE, selective(...blocks)]) });
    arena.bytes.set(packet, room + i * 200);
    arena.view.setInt32(kernels.tables.list + i * 8, room + i * 200, true);
    arena.view.setInt32(kernels.tables.list + i * 8 + 4, packet.length, true);
  }
  return kernels.join(2, JOIN.thin | JOIN.virtio);
}

describe('an acknowledgement', () => {
  for (const [cases, verb, count] of [
    [LEFT_OUT, 'is left out', 1],
    [KEPT, 'passes', 2],
  ] as const) {
    for (const [name, both] of Object.entries(cases)) {
      it(`${verb} ${name}`, () => {
        for (const time of [NONE, TIMESTAMP]) assert.equal(passing(both, [time, time]), count);
      });
    }
  }

  it('passes where one of them has a timestamp and the other none', () => {
    for (const both of Object.values(LEFT_OUT)) {
      assert.equal(passing(both, [TIMESTAMP, NONE]), 2);
      assert.equal(passing(both, [NONE, TIMESTAMP]), 2);
    }
  });
});
