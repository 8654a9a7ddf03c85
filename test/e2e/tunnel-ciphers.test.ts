/** Our client to ocserv by every way there is: `tunnel-ways.ts`. */
import { describe, it } from 'node:test';
import { skip } from './tunnel-scene.ts';
import { carries, DEADLINE, VARIANTS, WAYS } from './tunnel-ways.ts';

describe('a tunnel to ocserv', { skip }, () => {
  for (const way of WAYS) {
    for (const variant of VARIANTS) {
      const { compression, family } = variant;
      const how = compression === undefined ? 'uncompressed' : `compressed by ${compression}`;
      it(`carries every byte by ${way.name}, ${how}, over IPv${family}`, { timeout: DEADLINE }, () => carries(way, variant));
    }
  }
});
