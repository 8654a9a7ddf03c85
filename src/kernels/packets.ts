/** The work that touches every byte of a packet, as one small WebAssembly module over the engine's arena. Built by tools/kernels.ts. */

export { sumOf } from './checksum';
export { join, nextOf, setTables, thinned, undo } from './join';
export { laneStep } from './lanes';
export { inspect, segment } from './split';
