/**
 * The byte kernels of src/kernels, loaded over the engine's arena: everything that touches each byte of a packet, but for the ciphers.
 *
 * Read first: the heads of src/kernels/split.ts and join.ts. Offsets of the arena go in and come out; no call allocates.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SallyportError } from '../../core/errors.ts';
import type { Arena } from '../ffi/arena.ts';

const FILE = 'dist/kernels/packets.wasm';

/** How far above this file, or the bundle that it became part of, the package's folder is at most. */
const MAX_DEPTH = 4;

/** What {@link PacketKernels.join} shall do, as bits. */
export const JOIN = {
  tcp: 1,
  udp: 2,
  /** Leave out bare acknowledgements that a newer one makes needless. */
  thin: 4,
  /** Put a virtio header in front of each write. */
  virtio: 8,
} as const;

/** Length of an entry in each table of {@link JoinTables}. */
export const JOIN_ENTRY = { list: 8, entries: 40, pieces: 16, writes: 24, virtio: 16 } as const;
/** All flows that are looked after at a time. */
const FLOWS_LENGTH = 64;

/** Offsets of what {@link PacketKernels.join} works with. */
export interface JoinTables {
  /** The caller's: offset and length of each packet. */
  readonly list: number;
  /** struct iovec. */
  readonly pieces: number;
  /** First piece, number of pieces, packets, their bytes, and the first packet's place in the list. */
  readonly writes: number;
}

interface Exports {
  readonly inspect: (header: number, packet: number, length: number, mtu: number, target: number) => number;
  readonly segment: (index: number, target: number) => number;
  readonly join: (count: number, wishes: number) => number;
  readonly undo: (index: number) => number;
  readonly nextOf: (index: number) => number;
  readonly laneStep: (list: number, lanes: number, offset: number, buffer: number) => void;
  readonly setTables: (...values: readonly number[]) => void;
  readonly thinned: { readonly value: number };
}

export class PacketKernels {
  /** Looks at a packet of the TUN: how many packets it becomes, at most `mtu` long where that is ours to say; 0: it contradicts itself. One is at `target`, as long as it was. */
  readonly inspect: Exports['inspect'];
  /** Writes one of them to `target`; its length. */
  readonly segment: Exports['segment'];
  /** Makes the first `count` packets of the list writes; how many. */
  readonly join: Exports['join'];
  /** Takes back what joining did to the first packet of a write. 1: it was TCP. */
  readonly undo: Exports['undo'];
  /** The packet after this one in its write; -1: none. */
  readonly nextOf: Exports['nextOf'];
  /** One step of CBC in many records: see cbc-lanes.ts. */
  readonly laneStep: Exports['laneStep'];
  readonly tables: JoinTables;
  readonly #thinned: Exports['thinned'];

  /** @param packets how many {@link join} takes at most */
  constructor(arena: Arena, packets: number) {
    const { inspect, segment, join, undo, nextOf, laneStep, setTables, thinned } = arena.load(kernelBytes()) as Exports;
    this.inspect = inspect;
    this.segment = segment;
    this.join = join;
    this.undo = undo;
    this.nextOf = nextOf;
    this.laneStep = laneStep;
    this.#thinned = thinned;
    const list = arena.allocate(packets * JOIN_ENTRY.list);
    const entries = arena.allocate(packets * JOIN_ENTRY.entries);
    const pieces = arena.allocate(2 * packets * JOIN_ENTRY.pieces);
    const writes = arena.allocate(packets * JOIN_ENTRY.writes);
    const virtio = arena.allocate(packets * JOIN_ENTRY.virtio);
    const flows = arena.allocate(FLOWS_LENGTH);
    const address = arena.address(0);
    setTables(address % 2 ** 32, Math.floor(address / 2 ** 32), list, entries, pieces, writes, virtio, flows);
    this.tables = { list, pieces, writes };
  }

  /** How many acknowledgements the last {@link join} left out. */
  get thinned(): number {
    return this.#thinned.value;
  }
}

/** The compiled kernels of this package, whether this file runs as source, compiled or in a bundle. */
function kernelBytes(): Uint8Array {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    folder = path.dirname(folder);
    const file = path.join(folder, FILE);
    if (existsSync(file)) return readFileSync(file);
  }
  throw new SallyportError(
    'ERR_ENGINE',
    `The packet engine lacks ${FILE}: the package is incomplete. In a source tree, run "npm run build".`,
  );
}
