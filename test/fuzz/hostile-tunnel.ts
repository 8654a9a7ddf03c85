/** In the tunnel: the headers that grant it, and the CSTP frames inside. */
import type { TLSSocket } from 'node:tls';
import { deflateRawSync } from 'node:zlib';
import type { HttpHeaders } from '../../src/core/http/message.ts';
import { renderResponse } from '../../src/core/http/render.ts';
import { CSTP_TYPES as TYPES } from '../../src/core/protocols/anyconnect/cstp-frame.ts';
import { echoPackets, type FakeTunnel } from '../support/fake-tunnel.ts';
import type { Dice } from './dice.ts';
import { badly, deliver, type Ending, gone, honestly, MAX_FLOOD, mutated, nastyText, written } from './hostile-bytes.ts';
import type { Hostility, Visit } from './hostile-gateway.ts';
import { momentOf } from './hostile-log-in.ts';

const NUMBERS: readonly [string, ...string[]] = [
  '-1',
  '-99999999999',
  '0',
  '1',
  '1.5',
  '1e400',
  '4e9',
  'NaN',
  'Infinity',
  '-Infinity',
  '0x7fffffff',
  '2147483647',
  '2147483648',
  '4294967297',
  '65535',
  '65536',
  '9007199254740993',
  '9'.repeat(400),
  '',
  ' 5 ',
  '5 5',
  'none',
  '\t7',
];

const VALUES: readonly [string, ...string[]] = [
  '0.0.0.0',
  '255.255.255.255',
  '127.0.0.1',
  '10.1.1.2/33',
  '10.0.0.0/0',
  '10.0.0.0/255.0.255.0',
  '::',
  'fd00::1/129',
  'fe80::1%eth0/64',
  '1.2.3.4.5',
  'true',
  'deflate',
  'lzs',
  'oc-lz4',
  'PSK-NEGOTIATE',
  'AES256-SHA',
  'ssl',
  'new-tunnel',
];

/** Headers whose values are changed, repeated, left out, or far too many. */
export function badGrants(dice: Dice): Hostility {
  const isDue = connectToSpoil(dice);
  return {
    grant: (headers, { dice: own }) => (isDue() ? spoilt(own, headers) : headers),
    tunnel: (tunnel, visit) => brief(tunnel, visit),
  };
}

/** The first CONNECT, or one of those that follow when the tunnel breaks. */
function connectToSpoil(dice: Dice): () => boolean {
  const first = dice.pick([0, 0, 0, 1, 2]);
  let n = 0;
  return () => n++ >= first;
}

function spoilt(dice: Dice, headers: HttpHeaders): HttpHeaders {
  let changed = [...headers];
  for (let i = dice.between(1, 4); i > 0; i--) {
    const at = dice.below(changed.length);
    const [name, value] = changed[at] ?? ['X-CSTP-None', ''];
    switch (dice.below(7)) {
      case 0:
        changed.splice(at, 1);
        break;
      case 1:
        changed.splice(at, 0, [name, value], [name.toLowerCase(), dice.pick(VALUES)]);
        break;
      case 2:
        changed = [...changed, ...dice.times(dice.pick([10, 300, 3900]), (n): [string, string] => [name, manyOf(name, n, value)])];
        break;
      case 3:
        changed[at] = [name, printableLine(nastyText(dice))];
        break;
      case 4:
        changed[at] = [name, dice.pick(VALUES)];
        break;
      default:
        changed[at] = [name, dice.pick(NUMBERS)];
    }
  }
  return changed;
}

function manyOf(name: string, n: number, value: string): string {
  if (/Split-(?:In|Ex)clude$/.test(name)) return `10.${n >> 8}.${n & 0xff}.0/255.255.255.0`;
  if (/Split-DNS|Domain/.test(name)) return `d${n}.example`;
  return value;
}

/** Our own writer refuses what no header can hold; {@link damagedGrants} sends such. */
function printableLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').trim();
}

/** A client that gets a new tunnel every second would go on for as long as it is let. */
const MAX_TUNNELS = 20;

/** Times at which something is due every second: new keys, a new tunnel, probes. */
export function storms(dice: Dice): Hostility {
  const set: HttpHeaders = [
    ['X-CSTP-DPD', dice.pick(['1', '2'])],
    ['X-CSTP-Keepalive', '1'],
    ['X-CSTP-Rekey-Time', dice.pick(['1', '3', '0'])],
    ['X-CSTP-Rekey-Method', dice.pick(['ssl', 'new-tunnel'])],
    ['X-DTLS-DPD', dice.pick(['1', '2'])],
    ['X-DTLS-Keepalive', '1'],
    ['X-DTLS-Rekey-Time', dice.pick(['1', '3'])],
    ['X-DTLS-Rekey-Method', dice.pick(['ssl', 'new-tunnel'])],
    ['X-CSTP-Session-Timeout', dice.pick(['1', '30', '0'])],
    ['X-CSTP-Idle-Timeout', dice.pick(['1', '30', 'none'])],
  ];
  const names = new Set(set.map(([name]) => name));
  let tunnels = 0;
  return {
    grant: (headers) => [...headers.filter(([name]) => !names.has(name)), ...set],
    tunnel: (tunnel) => {
      if (++tunnels > MAX_TUNNELS) tunnel.terminate();
      return echoPackets(tunnel);
    },
  };
}

/** The answer to CONNECT with its bytes changed, cut off, or endless. */
export function damagedGrants(dice: Dice): Hostility {
  const isDue = connectToSpoil(dice);
  const isEndless = dice.oneIn(4);
  const unit = dice.pick(['X-CSTP-Split-Include: 10.0.0.0/255.0.0.0\r\n', 'a', ' folded\r\n']);
  return {
    connect: (answer, { dice: own }) => {
      const bytes = renderResponse(answer);
      if (!isDue()) return honestly(bytes);
      if (isEndless) return { ...honestly(bytes.subarray(0, bytes.length - 2)), endless: Buffer.from(unit), ending: 'stall' };
      return badly(own, own.oneIn(2) ? mutated(own, bytes) : bytes);
    },
    tunnel: (tunnel, visit) => brief(tunnel, visit),
  };
}

/** An honest tunnel that breaks after a while. */
async function brief(tunnel: FakeTunnel, { time, signal, dice, raw }: Visit): Promise<void> {
  const echo = echoPackets(tunnel);
  await time.sleep(dice.pick([0, 1000, 20_000]), signal);
  raw.destroy();
  await echo;
}

/** Frames of every kind, right and wrong, between those of an honest tunnel. */
export function wildFrames(dice: Dice): Hostility {
  const count = dice.pick([1, 5, 40, 200]);
  const ending = dice.pick<Ending | 'echo'>(['echo', 'echo', 'end', 'drop', 'reset', 'stall']);
  return {
    tunnel: async (tunnel, visit) => {
      const { dice: own, time, signal } = visit;
      const echo = echoPackets(tunnel);
      const bytes = Buffer.concat(own.times(count, () => wildFrame(own)));
      const delivery = {
        ...honestly(bytes),
        slice: own.pick([1, 7, 100, 16_384, bytes.length]),
        pause: own.pick([0, 0, 100]),
        ending: 'go-on',
      } as const;
      if (own.oneIn(3)) await time.sleep(own.below(10_000), signal); // the tunnel is up, the host sends
      await deliver(visit, delivery);
      if (ending !== 'echo') await deliver(visit, { ...honestly(NO_BYTES), ending });
      await echo;
    },
  };
}

function wildFrame(dice: Dice): Uint8Array {
  switch (dice.below(12)) {
    case 0:
      return frame(TYPES.data, ipv4Packet(dice, dice.between(0, 1500)));
    case 1:
      return frame(TYPES.data, dice.bytes(dice.size(2000)));
    case 2:
      return frame(TYPES.compressed, compressedBomb(dice));
    case 3:
      return frame(TYPES.compressed, dice.bytes(dice.size(2000)));
    case 4:
      return frame(dice.pick([TYPES.dpdRequest, TYPES.dpdResponse, TYPES.keepalive]), dice.bytes(dice.size(16_384)));
    case 5:
      return frame(dice.below(256), dice.bytes(dice.size(100)));
    case 6:
      return frame(dice.pick([TYPES.data, TYPES.compressed, TYPES.dpdRequest]), new Uint8Array(0));
    case 7: {
      const wrong = frame(dice.below(10), dice.bytes(dice.below(40)));
      wrong[4] = dice.below(256); // the length
      wrong[5] = dice.below(256);
      return wrong;
    }
    case 8:
      return dice.oneIn(4) ? mutated(dice, frame(TYPES.data, ipv4Packet(dice, 60))) : frame(TYPES.keepalive, new Uint8Array(0));
    case 9:
      return dice.oneIn(8) ? frame(TYPES.disconnect, dice.bytes(dice.size(300))) : frame(TYPES.dpdResponse, new Uint8Array(0));
    case 10:
      return dice.oneIn(8) ? frame(TYPES.terminate, dice.bytes(dice.size(30))) : frame(TYPES.dpdRequest, new Uint8Array(0));
    default:
      return dice.oneIn(8) ? dice.bytes(dice.between(1, 60)) : frame(TYPES.data, ipv6Packet(dice));
  }
}

/** Spec 5.1. */
export function frame(type: number, payload: Uint8Array): Uint8Array {
  return Uint8Array.from([0x53, 0x54, 0x46, 0x01, payload.length >> 8, payload.length & 0xff, type, 0, ...payload]);
}

/** Of a right length or one that is not; the rest is anything. */
export function ipv4Packet(dice: Dice, length: number): Uint8Array {
  const packet = dice.bytes(Math.max(20, length));
  const said = dice.oneIn(4) ? dice.below(65_536) : packet.length;
  packet.set([0x45, 0, said >> 8, said & 0xff]);
  return packet;
}

function ipv6Packet(dice: Dice): Uint8Array {
  const packet = dice.bytes(dice.between(40, 200));
  const said = dice.oneIn(4) ? dice.below(65_536) : packet.length - 40;
  packet.set([0x60, 0, 0, 0, said >> 8, said & 0xff]);
  return packet;
}

/** 8 MiB of zeros, with what a checksum would be behind them (spec 6.2). */
const DEFLATE_BOMB = Buffer.concat([deflateRawSync(Buffer.alloc(8 * 1024 * 1024), { windowBits: 12 }), Buffer.alloc(4)]);

/** What grows beyond measure when it is expanded, in one of the encodings: as LZ4, as LZS (spec 6.3), or as deflate. */
export function compressedBomb(dice: Dice): Uint8Array {
  switch (dice.below(4)) {
    case 0: // LZ4: one literal, then a match of 255 for each byte of its length
      return Uint8Array.from([0x1f, 0x45, 1, 0, ...dice.times(dice.between(10, 8000), () => 0xff), 0]);
    case 1: // LZS: a literal, then offset 1 with a length of 15 for each half byte
      return Uint8Array.from([0x20, 0xe0, 0x7f, ...dice.times(dice.between(10, 8000), () => 0xff)]);
    case 2:
      return DEFLATE_BOMB;
    default:
      return Uint8Array.from([dice.below(256), ...dice.times(dice.between(10, 4000), () => dice.pick([0, 0xff]))]);
  }
}

/** One frame, again and again, while what the client sends is read. */
export function floods(dice: Dice): Hostility {
  const payload = dice.bytes(dice.pick([0, 60, 1400, 16_000]));
  const unit = dice.pick<() => Uint8Array>([
    () => frame(TYPES.dpdRequest, payload),
    () => frame(TYPES.keepalive, payload),
    () => frame(TYPES.data, ipv4Packet(dice, 1400)),
    () => frame(TYPES.compressed, compressedBomb(dice)),
    () => frame(99, payload),
  ])();
  // What is read and answered is garbage three times over in this one process: less than elsewhere makes the same point.
  const length = Math.min(unit.length * dice.pick([1000, 10_000]), MAX_FLOOD / 8);
  return {
    tunnel: async ({ tls }, { signal }) => {
      tls.resume();
      await flood(tls, unit, length, signal);
      await gone(tls, signal);
    },
  };
}

/** Questions that must be answered, from a gateway that never reads an answer. */
export function unreadAnswers(dice: Dice): Hostility {
  const unit = frame(TYPES.dpdRequest, dice.bytes(dice.pick([1400, 16_000])));
  let tunnels = 0;
  return {
    tunnel: async (tunnel, { time, signal }) => {
      // A client that gives the tunnel up comes again at once: in the end the gateway is honest.
      if (++tunnels > 2) return echoPackets(tunnel);
      tunnel.stall();
      await flood(tunnel.tls, unit, MAX_FLOOD, signal);
      return time.sleep(600_000, signal);
    },
  };
}

async function flood(stream: TLSSocket, unit: Uint8Array, length: number, signal: AbortSignal): Promise<void> {
  const piece = Buffer.concat(Array.from({ length: Math.ceil(65_536 / unit.length) }, () => unit));
  for (let sent = 0; sent < length && !stream.destroyed && !signal.aborted; sent += piece.length) await written(stream, piece);
}

/** The end, in each of its forms, again after each reconnect. */
export function endings(dice: Dice): Hostility {
  const isDue = momentOf(dice, 2);
  return {
    tunnel: async (tunnel, { dice: own, time, signal, raw, stream }) => {
      const echo = echoPackets(tunnel);
      await time.sleep(own.pick([0, 0, 10, 1000, 100_000]), signal);
      if (isDue()) {
        for (let i = own.pick([0, 1, 1, 2, 1000]); i > 0; i--) sendEnd(tunnel, own);
        await deliver(
          { stream, raw, time, signal },
          { ...honestly(NO_BYTES), ending: own.pick(['go-on', 'go-on', 'end', 'drop', 'reset', 'stall']) },
        );
      } else {
        raw.destroy();
      }
      await echo;
    },
  };
}

/** What says that it is over, or ought not to be said at all. */
function sendEnd(tunnel: FakeTunnel, dice: Dice): void {
  switch (dice.below(3)) {
    case 0:
      tunnel.disconnect(dice.oneIn(2) ? undefined : dice.pick(['bye', '\u001b[2J', '', 'a'.repeat(5000)]), dice.below(256));
      break;
    case 1:
      tunnel.terminate();
      break;
    default:
      tunnel.sendRaw(dice.bytes(dice.between(1, 20)));
  }
}

const NO_BYTES = new Uint8Array(0);
