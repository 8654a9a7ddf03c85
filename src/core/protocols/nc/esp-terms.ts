/**
 * What the two ends of a Network Connect tunnel tell each other of ESP: how it is protected, where it goes, and the keys of what comes to each of them.
 *
 * Read first: spec "Juniper NC", sections 6.4 to 6.8; spec "ESP", section 2.2.
 *
 *   gateway ── 301: groups 8, 7 ──► client         its keys: what the client sends with
 *           ◄─ 302: group 7 ──────                 its keys: what the gateway sends with
 *           ◄─ 303: 6/1 = 1 ──────                 a probe was answered: packets by ESP from now on; 0: by TLS again
 *           ── 302: group 7, 8 ──► ◄─ 302          other keys
 */
import { PeerMisbehavedError } from '../../errors.ts';
import type { EspAlgorithms } from '../../esp/algorithms.ts';
import { algorithmsOf, CIPHER_IDS, type KeyBlock, MAC_IDS } from '../../esp/key-block.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { copyOf } from '../../wire/copy.ts';
import { ATTRIBUTES, type KmpAttribute, KmpAttributes, renderKmp } from './kmp-attributes.ts';
import { KMP_TYPES, type KmpSide } from './kmp-message.ts';

/** Spec "ESP", section 5.4, where a gateway does not say. */
const DEFAULT_FALLBACK: Millis = 60_000;

/** Seconds and milliseconds. */
const SECOND = 1000;

export interface EspTerms {
  readonly algorithms: EspAlgorithms;
  /** The gateway's. */
  readonly port: number;
  /** Silence after which an end asks; after twice as long it goes back to TLS. */
  readonly fallback: Millis;
  /** How long keys live, for the client to know. */
  readonly lifetime?: Millis;
}

export interface EspOffer {
  readonly terms: EspTerms;
  readonly keys: KeyBlock;
}

/** In a configuration. Undefined: none is offered, or one that this end does not speak. */
export function espOfferIn(attributes: KmpAttributes): EspOffer | undefined {
  const algorithms = algorithmsIn(attributes);
  const keys = keyBlockIn(attributes);
  const port = attributes.number(ATTRIBUTES.espPort);
  if (algorithms === undefined || keys === undefined || port === undefined || port === 0) return undefined;
  const fallback = attributes.number(ATTRIBUTES.espFallback) ?? 0;
  const lifetime = attributes.number(ATTRIBUTES.espLifetime) ?? 0;
  return {
    terms: {
      ...{ algorithms, port, fallback: fallback === 0 ? DEFAULT_FALLBACK : fallback * SECOND },
      ...(lifetime > 0 && { lifetime: lifetime * SECOND }),
    },
    keys,
  };
}

/** The groups of a configuration that offer ESP. The last one is long enough for clients that overlook a short one (spec 6.3). */
export function renderEspOffer({ terms, keys }: EspOffer): KmpAttribute[] {
  const { algorithms, port, fallback, lifetime = 0 } = terms;
  return [
    { key: ATTRIBUTES.espCipher, value: Uint8Array.of(CIPHER_IDS[algorithms.cipher]) },
    { key: ATTRIBUTES.espMac, value: Uint8Array.of(MAC_IDS[algorithms.mac]) },
    { key: ATTRIBUTES.espCompression, value: Uint8Array.of(0) },
    { key: ATTRIBUTES.espPort, value: new ByteWriter().u16(port).finish() },
    { key: ATTRIBUTES.espLifetimeBytes, value: u32(0) },
    { key: ATTRIBUTES.espLifetime, value: u32(lifetime / SECOND) },
    { key: ATTRIBUTES.espFallback, value: u32(fallback / SECOND) },
    { key: ATTRIBUTES.espReplayProtection, value: u32(1) },
    ...keyGroup(keys),
  ];
}

/** Other keys (KMP 302), and what they protect with: `before`, unless that changes too; undefined: what this end does not speak. Throws
 * {@link PeerMisbehavedError}. */
export function parseKeys(
  payload: Uint8Array,
  before: EspAlgorithms,
): { readonly keys: KeyBlock; readonly algorithms: EspAlgorithms | undefined } {
  const attributes = new KmpAttributes(payload);
  const keys = keyBlockIn(attributes);
  if (keys === undefined) throw new PeerMisbehavedError('a KMP message for keys has none');
  return { keys, algorithms: algorithmsIn(attributes, before) };
}

export function renderKeys(side: KmpSide, keys: KeyBlock): Uint8Array {
  return renderKmp(side, KMP_TYPES.keys, keyGroup(keys));
}

/** A client's word on how packets go from now on (KMP 303). */
export function renderEspSwitch(isOn: boolean): Uint8Array {
  return renderKmp('client', KMP_TYPES.settings, [{ key: ATTRIBUTES.espSwitch, value: Uint8Array.of(isOn ? 1 : 0) }]);
}

/** The same in a client's settings; undefined: they say nothing of it. */
export function espSwitchIn(attributes: KmpAttributes): boolean | undefined {
  const value = attributes.number(ATTRIBUTES.espSwitch);
  return value === undefined ? undefined : value !== 0;
}

function algorithmsIn(attributes: KmpAttributes, before?: EspAlgorithms): EspAlgorithms | undefined {
  const cipherId = attributes.number(ATTRIBUTES.espCipher) ?? (before && CIPHER_IDS[before.cipher]);
  const macId = attributes.number(ATTRIBUTES.espMac) ?? (before && MAC_IDS[before.mac]);
  return cipherId === undefined || macId === undefined || macId === MAC_IDS.sha256 ? undefined : algorithmsOf(cipherId, macId);
}

function keyBlockIn(attributes: KmpAttributes): KeyBlock | undefined {
  const spi = attributes.number(ATTRIBUTES.spi);
  const bytes = attributes.bytes(ATTRIBUTES.keyBlock);
  return spi === undefined || bytes === undefined ? undefined : { spi, bytes: copyOf(bytes) };
}

function keyGroup({ spi, bytes }: KeyBlock): KmpAttribute[] {
  return [
    { key: ATTRIBUTES.spi, value: u32(spi) },
    { key: ATTRIBUTES.keyBlock, value: bytes },
  ];
}

function u32(value: number): Uint8Array {
  return new ByteWriter().u32(value).finish();
}
