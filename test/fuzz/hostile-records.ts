/** On UDP: DTLS records and handshakes that are wrong, repeated, out of order or endless, and wild frames inside an honest association. */

import { CONTENT_TYPES, RECORD_HEADER_LENGTH, writeRecordHeader } from '../../src/core/dtls/record.ts';
import { CSTP_TYPES as TYPES } from '../../src/core/protocols/anyconnect/cstp-frame.ts';
import { encodeHandshakeFragment } from '../../src/core/tls-messages/handshake-fragment.ts';
import type { Dice } from './dice.ts';
import { mutated } from './hostile-bytes.ts';
import type { DatagramHostility } from './hostile-datagrams.ts';
import type { Hostility } from './hostile-gateway.ts';
import { compressedBomb, ipv4Packet } from './hostile-tunnel.ts';

const VERSIONS: readonly [number, ...number[]] = [0xfefd, 0xfefd, 0xfeff, 0x0100, 0x0303, 0xffff];

/** RFC 6347 §4.2.1, RFC 5246 §7.4. */
const HELLO_VERIFY_REQUEST = 3;
const MESSAGES: readonly [number, ...number[]] = [0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 20, 99];

/** Honest datagrams that are lost, changed, doubled, held back or answered with what was sent before. */
export function badLink(dice: Dice): Hostility {
  const earlier: Uint8Array[] = [];
  const honest = dice.pick([0, 1, 3, 10]); // so many pass first
  let n = 0;
  const outgoing: DatagramHostility['outgoing'] = (datagram, own) => {
    if (n++ < honest) return [datagram];
    earlier.push(datagram);
    if (earlier.length > 20) earlier.shift();
    switch (own.below(7)) {
      case 0:
        return [];
      case 1:
        return [mutated(own, datagram)];
      case 2:
        return [datagram, datagram];
      case 3:
        return [datagram, own.pickOf(earlier) ?? datagram];
      case 4:
        return [Buffer.concat([datagram, own.pickOf(earlier) ?? datagram])];
      case 5:
        return [mutated(own, datagram), datagram];
      default:
        return [datagram];
    }
  };
  return { datagrams: { outgoing } };
}

/** Besides the honest answers: records of every kind that were never part of the association. */
export function wildRecords(dice: Dice): Hostility {
  const count = dice.pick([1, 3, 20]);
  const isAlone = dice.oneIn(3);
  return {
    datagrams: {
      ...(isAlone && { outgoing: () => [] }),
      besides: (received, own) => own.times(count, () => wildDatagram(own, received)),
    },
  };
}

function wildDatagram(dice: Dice, received: Uint8Array): Uint8Array {
  switch (dice.below(8)) {
    case 0:
      return dice.bytes(dice.size(2000));
    case 1:
      return received; // its own, back
    case 2:
      return mutated(dice, received);
    case 3:
      return record(dice, CONTENT_TYPES.alert, Uint8Array.of(dice.pick([1, 2, 2, 9]), dice.below(256)));
    case 4:
      return record(dice, CONTENT_TYPES.changeCipherSpec, dice.bytes(dice.pick([0, 1, 1, 3, 200])));
    case 5:
      return record(dice, dice.pick([CONTENT_TYPES.applicationData, 24, 25, 26, 0, 255]), dice.bytes(dice.size(1500)));
    case 6:
      return Buffer.concat(dice.times(dice.between(1, 60), () => record(dice, dice.pick([20, 21, 22, 23]), dice.bytes(dice.below(4)))));
    default:
      return record(dice, CONTENT_TYPES.handshake, Buffer.concat(dice.times(dice.between(1, 6), () => wildFragment(dice))));
  }
}

/** Lengths, offsets and numbers that overlap, contradict each other or promise 16 MiB. */
function wildFragment(dice: Dice): Uint8Array {
  const data = dice.bytes(dice.size(1000));
  const length = dice.pick([data.length, data.length + 5, 0, 100, 0xff_ffff]);
  const offset = dice.pick([0, 0, 1, Math.max(0, length - data.length), 50]);
  return encodeHandshakeFragment({ type: dice.pick(MESSAGES), length, sequence: dice.pick([0, 0, 1, 2, 3, 40, 65_535]), offset, data });
}

function record(dice: Dice, type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_LENGTH + payload.length);
  const sequence = dice.pick([0, 1, 2, 3, 1000, 2 ** 32, 2 ** 48 - 1]);
  const said = dice.oneIn(6) ? dice.pick([0, payload.length + 1, 0x4001, 0xffff]) : payload.length;
  writeRecordHeader(bytes, type, dice.pick(VERSIONS), dice.pick([0, 0, 0, 1, 1, 2, 65_535]), sequence, said);
  bytes.set(payload, RECORD_HEADER_LENGTH);
  return bytes;
}

/** Each hello is answered with a demand for a cookie, the next one too. */
export function endlessCookies(dice: Dice): Hostility {
  const length = dice.pick([0, 1, 20, 32, 33, 255]);
  const version = dice.pick([0xfefd, 0xfeff, 0x0100]);
  let n = 0;
  return {
    datagrams: {
      outgoing: () => [],
      besides: (_received, own) => {
        const body = Uint8Array.of(version >> 8, version & 0xff, length, ...own.bytes(length));
        const message = { type: HELLO_VERIFY_REQUEST, length: body.length, sequence: own.pick([0, n]), offset: 0, data: body };
        const payload = encodeHandshakeFragment(message);
        const bytes = new Uint8Array(RECORD_HEADER_LENGTH + payload.length);
        writeRecordHeader(bytes, CONTENT_TYPES.handshake, version, 0, n++, payload.length);
        bytes.set(payload, RECORD_HEADER_LENGTH);
        return [bytes];
      },
    },
  };
}

/** An honest association whose plaintext is anything, as soon as the client has sent its first record. */
export function wildPlaintext(dice: Dice): Hostility {
  const count = dice.pick([1, 3, 20]);
  return { datagrams: { inside: (own) => own.times(count, () => plaintext(own)) } };
}

/** Spec 7.1: a type, then a packet or padding. */
function plaintext(dice: Dice): Uint8Array {
  switch (dice.below(7)) {
    case 0:
      return new Uint8Array(0);
    case 1:
      return dice.bytes(dice.size(1400));
    case 2:
      return Uint8Array.of(TYPES.data, ...ipv4Packet(dice, dice.between(20, 1300)));
    case 3:
      return Uint8Array.of(TYPES.compressed, ...compressedBomb(dice).subarray(0, 1400));
    case 4:
      return Uint8Array.of(dice.pick([TYPES.dpdRequest, TYPES.dpdResponse, TYPES.keepalive]), ...dice.bytes(dice.size(1400)));
    case 5:
      return Uint8Array.of(dice.pick([TYPES.disconnect, TYPES.terminate, dice.below(256)]), ...dice.bytes(dice.size(40)));
    default:
      return Uint8Array.of(TYPES.data, ...dice.bytes(dice.size(1400)));
  }
}

/** The association works, and then UDP is silent, at once or later; a reconnect of it is answered again, or not. */
export function fallsSilent(dice: Dice): Hostility {
  const talks = dice.below(30);
  const silence = dice.pick([5, 30, 100_000]);
  let n = 0;
  return { datagrams: { outgoing: (datagram) => (n++ % (talks + silence) < talks ? [datagram] : []) } };
}
