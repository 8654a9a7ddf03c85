/**
 * The internet checksum (RFC 1071), sixteen bytes at a step.
 *
 * The sum of 16-bit words does not mind their byte order as long as the result is stored in the same one (RFC 1071 §2, B). So everything here is in
 * WebAssembly's little-endian order: words are loaded and sums are stored as they lie, and only numbers that come from elsewhere are swapped.
 */

/** The words of `length` bytes at `at`, added to `sum` and folded to 16 bits. An odd byte at the end is followed by a zero. At most 64 KiB. */
export function sumOf(at: i32, length: i32, sum: u32): u32 {
  const end = at + length;
  // Each lane gains two words a step: 65,535 bytes are far from filling its 32 bits.
  let lanes = i32x4.splat(0);
  let more = i32x4.splat(0);
  while (at + 32 <= end) {
    lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    more = i32x4.add(more, i32x4.extadd_pairwise_i16x8_u(v128.load(at, 16)));
    at += 32;
  }
  lanes = i32x4.add(lanes, more);
  let total: u64 =
    <u64>sum +
    <u64>(<u32>i32x4.extract_lane(lanes, 0)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 1)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 2)) +
    <u64>(<u32>i32x4.extract_lane(lanes, 3));
  while (at + 2 <= end) {
    total += <u64>load<u16>(at);
    at += 2;
  }
  if (at < end) total += <u64>load<u8>(at);
  total = (total & 0xffff_ffff) + (total >> 32);
  total = (total & 0xffff) + (total >> 16);
  total = (total & 0xffff) + (total >> 16);
  return <u32>((total & 0xffff) + (total >> 16));
}

/** A number in network byte order, as the word that it is in memory, and back. */
export function swapped(value: u32): u32 {
  return ((value & 0xff) << 8) | ((value >> 8) & 0xff);
}

/** The sum of addresses, protocol and length that TCP and UDP checksums include (RFC 9293 §3.1, RFC 8200 §8.1), folded. */
export function pseudoSum(packet: i32, isIpv6: bool, protocol: u32, length: u32): u32 {
  const sum = swapped(protocol) + swapped(length);
  return isIpv6 ? sumOf(packet + 8, 32, sum) : sumOf(packet + 12, 8, sum);
}
