/** Whether a traffic description is one that the engine can carry: it comes from another thread, and a wrong length would be memory of somebody else. */
import { MisuseError } from '../../core/errors.ts';
import type { AeadCipher, CbcCipher, RecordLayout, TrafficDescription } from '../../core/tunnel/traffic.ts';
import { HASH_LENGTHS } from '../ffi/openssl-hmac.ts';
import { MAX_INNER_SOURCES } from './carried-packets.ts';

/** Limits of what a description may ask for. */
const MAX_KEYS = 4;
const MIN_REPLAY_WINDOW = 64;
const MAX_REPLAY_WINDOW = 4096;

interface KeyLengths {
  readonly key: number;
  readonly iv: number;
  readonly mac: number;
}

const AEAD_LENGTHS: Readonly<Record<AeadCipher, KeyLengths>> = {
  'aes-128-gcm': { key: 16, iv: 4, mac: 0 },
  'aes-256-gcm': { key: 32, iv: 4, mac: 0 },
  'chacha20-poly1305': { key: 32, iv: 12, mac: 0 },
};

const CBC_LENGTHS: Readonly<Record<CbcCipher, number>> = { 'aes-128-cbc': 16, 'aes-256-cbc': 32 };

/** @throws MisuseError if it is not one, with the reason */
export function checkDescription(description: TrafficDescription): void {
  const { record, seal, open, replayWindow, tunnelMtu, innerSources = [] } = description;
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new MisuseError(`traffic description: ${what}`);
  };
  const lengths = keyLengths(record);
  if (lengths === undefined) throw new MisuseError(`traffic description: cipher ${record.cipher} is not one the engine knows`);
  const { idBits, sequenceBits } = record.kind === 'esp' ? { idBits: 32, sequenceBits: 32 } : { idBits: 16, sequenceBits: 48 };
  must(record.kind !== 'dtls-cbc' || isNatural(record.version, 2 ** 16 - 1), 'a version of two bytes is missing');
  must(open.length >= 1 && open.length <= MAX_KEYS, `${open.length} keys to open with; 1 to ${MAX_KEYS} are possible`);
  must(new Set(open.map((key) => key.id)).size === open.length, 'two keys to open with have the same id');
  for (const { id, key, iv, mac, nextSequence } of [seal, ...open]) {
    must(isNatural(id, 2 ** idBits - 1), `id ${id} has more than ${idBits} bits`);
    must(key.length === lengths.key, `key of ${key.length} bytes; ${record.cipher} wants ${lengths.key}`);
    must(iv.length === lengths.iv, `iv of ${iv.length} bytes; ${record.cipher} wants ${lengths.iv}`);
    const macLength = mac?.length ?? 0;
    must(macLength === lengths.mac, `MAC key of ${macLength} bytes; ${lengths.mac} are wanted`);
    must(isNatural(nextSequence, 2 ** sequenceBits), `record number beyond ${sequenceBits} bits`);
  }
  must(replayWindow >= MIN_REPLAY_WINDOW && replayWindow <= MAX_REPLAY_WINDOW, `replay window of ${replayWindow} records`);
  must(isNatural(tunnelMtu, 0xffff), `tunnel MTU ${tunnelMtu}`);
  must(innerSources.length <= MAX_INNER_SOURCES, `${innerSources.length} networks that packets may come from`);
}

/** Undefined: a cipher or a hash that is not known. */
function keyLengths(record: RecordLayout): KeyLengths | undefined {
  if (record.kind === 'dtls-aead') return AEAD_LENGTHS[record.cipher];
  const [key, mac] = [CBC_LENGTHS[record.cipher], HASH_LENGTHS[record.mac]];
  return key === undefined || mac === undefined ? undefined : { key, iv: 0, mac };
}

function isNatural(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= most;
}
