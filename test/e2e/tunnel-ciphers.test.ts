/** Our client to ocserv by every way there is: `tunnel-ways.ts`. */
import { describe, it } from 'node:test';
import { sized } from '../support/size.ts';
import { skip } from './tunnel-scene.ts';
import { carries, DEADLINE, VARIANTS, WAYS } from './tunnel-ways.ts';

describe('a tunnel to ocserv', { skip }, () => {
  for (const [i, way] of WAYS.entries()) {
    // Everyday each way comes with and without compression, one over IPv4 and one over IPv6.
    for (const variant of VARIANTS.filter((_, j) => sized(j % 2 === i % 2, true))) {
      const { compression, family } = variant;
      const how = compression === undefined ? 'uncompressed' : `compressed by ${compression}`;
      it(`carries every byte by ${way.name}, ${how}, over IPv${family}`, { timeout: DEADLINE }, () => carries(way, variant));
    }
  }
});
