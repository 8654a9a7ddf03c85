/**
 * What a configuration says of ESP: the port, and for each direction algorithms, SPI and keys, all of the gateway's choice. Both ways.
 *
 * Read first: spec "GlobalProtect", section 10.1. Whatever is wrong with it, the tunnel goes by TLS instead.
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import type { EspAlgorithms } from '../../esp/algorithms.ts';
import { ESP_KEY_LENGTHS, ESP_MAC_KEY_LENGTHS, type EspKeys } from '../../esp/packet.ts';
import { MIN_SPI, newSpi } from '../../esp/spi.ts';
import { child, textOf, type XmlElement, xmlElement } from '../../markup/xml.ts';
import type { CbcCipher, EspMac } from '../../tunnel/traffic.ts';
import { fromHex, toHex } from '../../wire/text.ts';
import { childText } from './prelogin.ts';

export interface EspOffer {
  /** Of UDP, where the TLS connection's peer is. */
  readonly port: number;
  /** What the client sends with. */
  readonly toGateway: EspKeys;
  /** What the gateway sends with. */
  readonly toClient: EspKeys;
}

/** Best first, as we ask for them and as we choose; MD5 is neither asked for nor given (spec 17). */
export const CIPHERS: readonly CbcCipher[] = ['aes-256-cbc', 'aes-128-cbc'];
export const MACS: readonly EspMac[] = ['sha256', 'sha1'];

const CIPHER_NAMES: Readonly<Record<string, CbcCipher>> = {
  'aes-128-cbc': 'aes-128-cbc',
  aes128: 'aes-128-cbc',
  'aes-256-cbc': 'aes-256-cbc',
};
const MAC_NAMES: Readonly<Record<string, EspMac>> = { sha1: 'sha1', sha256: 'sha256' };

const KINDS = { cipher: 'ekey', mac: 'akey' } as const;
const WAYS = { toGateway: 'c2s', toClient: 's2c' } as const;

/** What may be used; the text: why not, in words for a log. */
export function parseIpsec(ipsec: XmlElement): EspOffer | string {
  const text = (name: string) => childText(ipsec, name) ?? '';
  const port = /^\d{1,5}$/.test(text('udp-port')) ? Number(text('udp-port')) : 0;
  if (port === 0 || port > 0xffff) return 'no port';
  const cipher = CIPHER_NAMES[text('enc-algo').toLowerCase()];
  const mac = MAC_NAMES[text('hmac-algo').toLowerCase()];
  if (cipher === undefined || mac === undefined) return 'an algorithm that is not spoken';
  const keysOf = (way: 'c2s' | 's2c'): EspKeys | undefined => {
    const spi = spiIn(text(`${way}-spi`));
    const key = keyIn(ipsec, `${KINDS.cipher}-${way}`, ESP_KEY_LENGTHS[cipher]);
    const macKey = keyIn(ipsec, `${KINDS.mac}-${way}`, ESP_MAC_KEY_LENGTHS[mac]);
    return spi === undefined || key === undefined || macKey === undefined ? undefined : { spi, cipher, mac, key, macKey };
  };
  const toGateway = keysOf(WAYS.toGateway);
  const toClient = keysOf(WAYS.toClient);
  if (toGateway === undefined || toClient === undefined) return 'a key or number that cannot be';
  return { port, toGateway, toClient };
}

function spiIn(text: string): number | undefined {
  const spi = /^(0x)?[0-9a-f]{1,8}$/i.test(text) ? Number.parseInt(text.replace(/^0x/i, ''), 16) : 0;
  return spi < MIN_SPI ? undefined : spi;
}

/** As long as its algorithm wants it, and as it says itself. */
function keyIn(ipsec: XmlElement, name: string, length: number): Uint8Array | undefined {
  const element = child(ipsec, name);
  const value = element && child(element, 'val');
  const digits = value === undefined ? '' : textOf(value).trim();
  const isWhole = childText(element ?? ipsec, 'bits') === String(8 * length) && digits.length === 2 * length;
  return isWhole && /^[0-9a-f]+$/i.test(digits) ? fromHex(digits) : undefined;
}

export function renderIpsec({ port, toGateway, toClient }: EspOffer): XmlElement {
  const text = (name: string, value: string) => xmlElement(name, {}, [value]);
  const key = (name: string, bytes: Uint8Array) =>
    xmlElement(name, {}, [text('bits', String(8 * bytes.length)), text('val', toHex(bytes))]);
  const keys = ({ key: cipherKey, macKey }: EspKeys, way: 'c2s' | 's2c') => [
    key(`${KINDS.mac}-${way}`, macKey),
    key(`${KINDS.cipher}-${way}`, cipherKey),
  ];
  const spi = (name: string, number: number) => text(name, `0x${number.toString(16).padStart(8, '0')}`);
  return xmlElement('ipsec', {}, [
    ...[text('udp-port', String(port)), text('ipsec-mode', 'esp-tunnel')],
    ...[text('enc-algo', toGateway.cipher), text('hmac-algo', toGateway.mac)],
    ...[spi('c2s-spi', toGateway.spi), spi('s2c-spi', toClient.spi)],
    ...[...keys(toClient, WAYS.toClient), ...keys(toGateway, WAYS.toGateway)],
  ]);
}

/** The best of what a client names, in lists that may end with a comma (spec 9.1); undefined: there is none. */
export function chooseAlgorithms(ciphers: string, macs: string): EspAlgorithms | undefined {
  const named = (list: string) => list.split(',').map((name) => name.trim().toLowerCase());
  const cipher = CIPHERS.find((known) => named(ciphers).some((name) => CIPHER_NAMES[name] === known));
  const mac = MACS.find((known) => named(macs).includes(known));
  return cipher === undefined || mac === undefined ? undefined : { cipher, mac };
}

export function newOffer(crypto: CryptoProvider, port: number, { cipher, mac }: EspAlgorithms): EspOffer {
  const keys = (): EspKeys => ({
    ...{ spi: newSpi(crypto), cipher, mac },
    key: crypto.randomBytes(ESP_KEY_LENGTHS[cipher]),
    macKey: crypto.randomBytes(ESP_MAC_KEY_LENGTHS[mac]),
  });
  return { port, toGateway: keys(), toClient: keys() };
}
