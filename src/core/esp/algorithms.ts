/** What protects the packets of both directions of ESP: one cipher, one MAC. */
import type { CbcCipher, EspMac } from '../tunnel/traffic.ts';

export interface EspAlgorithms {
  readonly cipher: CbcCipher;
  readonly mac: EspMac;
}

/** For people. */
export function algorithmsText({ cipher, mac }: EspAlgorithms): string {
  return `ESP-${cipher.toUpperCase()}-${mac.toUpperCase()}`;
}
