/**
 * A program in place of the kernel's network (`--script-tun`): sends a ping through the tunnel on its descriptor, and says what came back.
 *
 * Arguments: the address to ping. Environment: VPNFD and what scripts get.
 */
import { Arena } from '../../src/node/ffi/arena.ts';
import { libc } from '../../src/node/ffi/libc.ts';

const [, , target = ''] = process.argv;
const { VPNFD, INTERNAL_IP4_ADDRESS = '', reason, TUNDEV } = process.env;
const c = libc('the test');
const arena = new Arena(65_536);
const ANSWER = 4096;

process.on('SIGHUP', () => {
  console.log('program ended by SIGHUP');
  process.exit(0);
});

/** An IPv4 address. */
const bytesOf = (text: string) => Uint8Array.from(text.split('.'), Number);

/** RFC 1071. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** An ICMP echo request (RFC 792) in an IPv4 packet (RFC 791). */
function echoRequest(from: Uint8Array, to: Uint8Array): Uint8Array {
  const packet = Buffer.from('4500001c00000000400100000000000000000000' + '08000000007b0001', 'hex');
  packet.set(from, 12);
  packet.set(to, 16);
  packet.writeUInt16BE(checksum(packet.subarray(0, 20)), 10);
  packet.writeUInt16BE(checksum(packet.subarray(20)), 22);
  return packet;
}

console.log(`program has VPNFD=${VPNFD} reason=${reason} TUNDEV=${TUNDEV}`);
const packet = echoRequest(bytesOf(INTERNAL_IP4_ADDRESS), bytesOf(target));
arena.bytes.set(packet, 0);
c.write(Number(VPNFD), arena.address(0), packet.length);

// Node must see signals between packets, so it does not block in read.
arena.view.setInt32(1024, Number(VPNFD), true);
arena.view.setInt16(1028, 1, true);
setInterval(() => {
  while (c.poll(arena.address(1024), 1, 0) > 0) {
    const length = c.read(Number(VPNFD), arena.address(ANSWER), 10_000);
    const answer = arena.bytes.subarray(ANSWER, ANSWER + length);
    if (answer[9] === 1 && answer[20] === 0) console.log(`program got an answer from ${answer.subarray(12, 16).join('.')}`);
  }
}, 1);
