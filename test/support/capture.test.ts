import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromHex } from '../../src/core/wire/text.ts';
import { checksumFault, parsePcap } from './capture.ts';

// Captured on a tun device of Linux: an echo request from 10.77.0.50 to 10.77.0.1, a UDP datagram of odd length between fd77::/64.
const ECHO = fromHex('450000309a06400040018bfa0a4d00320a4d0001 0800bffd6bef0001145a046b00000000902801000000000010111213');
const UDP_OVER_IPV6 = fromHex(
  '60081319001d1140fd770000000000009a7cc09fb76e58effd770000000000000000000000000001 b14daec9001d0c42 53504447000000010000000005588fea0000001500',
);

describe('checksumFault', () => {
  it('finds nothing wrong with packets of the kernel', () => {
    assert.equal(checksumFault(ECHO), undefined);
    assert.equal(checksumFault(UDP_OVER_IPV6), undefined);
  });

  it('finds any single flipped bit that a checksum covers, and names the checksum', () => {
    const flipped = (packet: Uint8Array, at: number): Uint8Array => packet.map((byte, i) => (i === at ? byte ^ 4 : byte));
    for (let at = 8; at < 20; at++) assert.equal(checksumFault(flipped(ECHO, at)), 'IPv4 header checksum');
    for (let at = 20; at < ECHO.length; at++) assert.equal(checksumFault(flipped(ECHO, at)), 'ICMP checksum');
    for (let at = 8; at < UDP_OVER_IPV6.length; at++) assert.equal(checksumFault(flipped(UDP_OVER_IPV6, at)), 'UDP checksum');
  });

  it('finds nothing wrong where the host leaves a checksum to the device, if the pseudo header’s sum stands there', () => {
    const left = Uint8Array.from(UDP_OVER_IPV6);
    new DataView(left.buffer).setUint16(46, 0x6699);
    assert.equal(checksumFault(left, { mayBeLeft: true }), undefined);
    assert.equal(checksumFault(left), 'UDP checksum');
    assert.equal(checksumFault(left.with(46, 0), { mayBeLeft: true }), 'UDP checksum');
  });
});

describe('parsePcap', () => {
  it('reads packets with their times and without the header of their link', () => {
    const header = 'd4c3b2a1 0200 0400 00000000 00000000 00000400 01000000';
    const first = '01000000 20a10700 10000000 10000000 aaaaaaaaaaaa bbbbbbbbbbbb 0800 4500';
    const second = '02000000 00000000 0f000000 3c000000 aaaaaaaaaaaa bbbbbbbbbbbb 86dd 60'; // cut short by a snapshot length
    assert.deepEqual(parsePcap(fromHex(header + first + second)), [
      { time: 1.5, bytes: fromHex('4500') },
      { time: 2, bytes: fromHex('60') },
    ]);
  });

  it('refuses what it does not know', () => {
    assert.throws(() => parsePcap(fromHex('0a0d0d0a'.padEnd(48, '0'))), /not a pcap file/);
    assert.throws(() => parsePcap(fromHex('d4c3b2a1 0200 0400 00000000 00000000 00000400 71000000')), /unknown type 113/);
  });
});
