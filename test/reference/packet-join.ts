/**
 * Which packets may be joined, from their fields: the rules of guide "data plane", section 4, one by one. Groups in the order of their first packets;
 * each is a list of places. For bursts of few flows.
 */
import { FLAGS, type PacketFields, TCP, UDP } from '../support/inner-packets.ts';

export interface JoinRules {
  readonly joinsTcp: boolean;
  readonly joinsUdp: boolean;
  readonly thins: boolean;
}

/** @param broken places of packets whose checksum is wrong */
export function joinReference(packets: readonly PacketFields[], broken: ReadonlySet<number>, rules: JoinRules): number[][] {
  const groups: number[][] = [];
  /** The group that stands for each flow. */
  const current = new Map<string, number[]>();
  for (const [i, packet] of packets.entries()) {
    const group = [i];
    if (!isPlain(packet)) {
      current.clear();
      groups.push(group);
      continue;
    }
    const flow = `${packet.version} ${packet.protocol} ${packet.flow}`;
    const before = current.get(flow);
    const members = before?.map((place) => packets[place] as PacketFields);
    if (before !== undefined && members !== undefined) {
      const isBroken = broken.has(i) || (before.length === 1 && broken.has(before[0] ?? 0));
      if (!isBroken && mayFollow(members, packet, rules)) {
        before.push(i);
        continue;
      }
      const [first] = members;
      if (rules.thins && before.length === 1 && first !== undefined && isNewerAck(first, packet) && !broken.has(i)) before.length = 0;
    }
    groups.push(group);
    current.set(flow, group);
  }
  return groups.filter((group) => group.length > 0);
}

function isPlain({ version, protocol, fragment }: PacketFields): boolean {
  return (protocol === TCP || protocol === UDP) && (version === 6 || (fragment & 0xbfff) === 0);
}

function mayFollow(members: readonly PacketFields[], packet: PacketFields, rules: JoinRules): boolean {
  const [first] = members;
  const last = members.at(-1);
  if (first === undefined || last === undefined) return false;
  if (!(packet.protocol === TCP ? rules.joinsTcp : rules.joinsUdp)) return false;
  if (members.length === 64 || first.payload.length === 0 || packet.payload.length === 0) return false;
  if (packet.payload.length > first.payload.length || last.payload.length < first.payload.length) return false;
  const all = members.reduce((sum, { payload }) => sum + payload.length, 0);
  const headers = (first.version === 6 ? 40 : 20) + (first.protocol === TCP ? 20 + first.options.length : 8);
  if (headers + all + packet.payload.length > 65_535) return false;
  if (packet.tos !== first.tos || packet.ttl !== first.ttl) return false;
  if (packet.version === 4) {
    if (packet.fragment !== first.fragment) return false;
    const next = (first.identification + members.length) & 0xffff;
    if (packet.fragment === 0 && (packet.identification & 0xffff) !== next) return false;
  }
  if (packet.protocol === UDP) return true;
  if (members.some(({ flags }) => flags !== FLAGS.ack) || (packet.flags & ~FLAGS.psh) !== FLAGS.ack) return false;
  if (packet.sequence >>> 0 !== (first.sequence + all) >>> 0) return false;
  if (packet.acknowledgement !== first.acknowledgement || packet.window !== first.window || packet.urgent !== first.urgent) return false;
  return Buffer.compare(first.options, packet.options) === 0;
}

/** Of SACK: from the first sequence number to that behind the last, by how far they are behind the acknowledgement. */
type Block = readonly [number, number];

/** What a bare acknowledgement has of SACK; undefined: it is none. */
function blocksOf({ protocol, payload, flags, options, acknowledgement }: PacketFields): Block[] | undefined {
  if (protocol !== TCP || payload.length > 0 || flags !== FLAGS.ack) return undefined;
  const hex = Buffer.from(options)
    .toString('hex')
    .replace(/^0101080a.{16}/, '');
  if (hex === '') return [];
  const [, length = '', blocks = ''] = /^010105(..)((?:.{16})+)$/.exec(hex) ?? [];
  if (blocks === '' || Number.parseInt(length, 16) !== 2 + blocks.length / 2) return undefined;
  const behind = (digits: string) => (Number.parseInt(digits, 16) - acknowledgement) | 0;
  return (blocks.match(/.{16}/g) ?? []).map((block) => [behind(block.slice(0, 8)), behind(block.slice(8))]);
}

const isWithin = ([start, end]: Block, others: readonly Block[]) => others.some(([from, to]) => from <= start && end <= to);

/** All that the older one says, the newer one says, too, and more. */
function isNewerAck(older: PacketFields, newer: PacketFields): boolean {
  const [before, blocks] = [blocksOf(older), blocksOf(newer)];
  if (before === undefined || blocks === undefined) return false;
  const [isTimed, isOlderTimed] = [newer, older].map(({ options }) => options[2] === 8);
  if (isTimed !== isOlderTimed) return false;
  const progress = (newer.acknowledgement - older.acknowledgement) | 0;
  const [first, ...rest] = before;
  if (progress < 0 || (first !== undefined && (first[1] <= 0 || isWithin(first, rest)))) return false;
  const same = before.map(([start, end]): Block => [start - progress, end - progress]);
  if (!same.every((block) => block[1] <= 0 || isWithin(block, blocks))) return false;
  if (progress === 0 && JSON.stringify(same) === JSON.stringify(blocks)) return false;
  if (older.tos !== newer.tos || older.ttl !== newer.ttl || older.sequence !== newer.sequence) return false;
  if (older.version === 4 && older.fragment !== newer.fragment) return false;
  return older.version === 6 || older.fragment !== 0 || newer.identification === ((older.identification + 1) & 0xffff);
}
