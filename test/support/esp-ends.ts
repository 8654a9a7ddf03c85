/** What tests of ESP have in common: keys, and the simplest probe. */
import type { CryptoProvider } from '../../src/core/crypto/provider.ts';
import type { EspProbe } from '../../src/core/esp/channel.ts';
import { ESP_KEY_LENGTHS, ESP_MAC_KEY_LENGTHS, type EspKeys } from '../../src/core/esp/packet.ts';
import { newSpi } from '../../src/core/esp/spi.ts';

const ZERO = { bytes: Uint8Array.of(0), nextHeader: 4 };

/** One byte, which one end asks with and the other answers with. */
export function zeroProbe(role: 'client' | 'gateway'): EspProbe {
  const isProbe = (bytes: Uint8Array) => bytes.length === 1 && bytes[0] === 0;
  return {
    request: () => ZERO,
    read: ({ bytes }) => (!isProbe(bytes) ? 'data' : role === 'client' ? 'answer' : { answer: ZERO }),
  };
}

export function newKeys(crypto: CryptoProvider, cipher: EspKeys['cipher'] = 'aes-256-cbc', mac: EspKeys['mac'] = 'sha256'): EspKeys {
  const key = crypto.randomBytes(ESP_KEY_LENGTHS[cipher]);
  return { spi: newSpi(crypto), cipher, mac, key, macKey: crypto.randomBytes(ESP_MAC_KEY_LENGTHS[mac]) };
}

/** An IPv4 packet of the client's, that can be told from others. */
export function numberedPacket(number: number, length = 100): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([0x45, 0, length >>> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, 10, 77, 0, 50, 10, 77, 0, 1]);
  new DataView(bytes.buffer).setUint32(20, number);
  return bytes;
}
