/**
 * Looks names up as a machine inside the VPN would: at the VPN's name servers, and at the system's for what the split rules leave outside.
 *
 * Read first: RFC 1035 §4, §7; RFC 5452 §9 (how forged answers are told apart: a random id and a socket, and so a port, of its own for each question).
 */
import { randomInt } from 'node:crypto';
import { lookup as systemLookup } from 'node:dns/promises';
import { type DecodedPacket, type Packet as DnsPacket, decode, encode, RECURSION_DESIRED, streamEncode } from 'dns-packet';
import { CancelledError, NetworkError } from '../core/errors.ts';
import type { TunnelConfig } from '../core/tunnel/config.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { formatIp, parseIp } from '../core/wire/ip-address.ts';
import type { IpDatagram, IpLookupAddress, IpNetwork, LookupOptions } from '../node/ip/ip-network.ts';

/** What the resolver needs: sockets inside the VPN, and what the gateway has said. */
export interface ResolverParts {
  readonly network: Pick<IpNetwork, 'createDatagram' | 'createConnection'>;
  readonly config: () => TunnelConfig | undefined;
  /** Families that this end has addresses of. */
  readonly families: () => readonly (4 | 6)[];
}

/** One server's time for an answer, and how often all of them are asked. */
const QUERY_TIMEOUT: Millis = 2_000;
const ROUNDS = 2;

/** Addresses of one name; more are not looked at. */
const MAX_ADDRESSES = 32;

/** An answer over TCP (RFC 1035 §4.2.2): its length has 16 bits. */
const MAX_MESSAGE = 2 + 0xffff;

const DNS_PORT = 53;

type RecordType = 'A' | 'AAAA';

export class VpnResolver {
  readonly #parts: ResolverParts;

  constructor(parts: ResolverParts) {
    this.#parts = parts;
  }

  /** As {@link IpNetwork.lookup}. */
  async lookup(name: string, options: LookupOptions = {}): Promise<readonly IpLookupAddress[]> {
    const { family = 0, signal } = options;
    const literal = parseIp(name.replace(/^\[(.*)\]$/, '$1'));
    if (literal !== undefined) return [{ address: formatIp(literal), family: literal.family }];
    if (signal?.aborted === true) throw new CancelledError();
    const wanted = this.#parts.families().filter((own) => family === 0 || own === family);
    if (wanted.length === 0) throw notFound(name, 'this end has no address of that family');
    const servers = this.#serversFor(name);
    if (servers.length === 0) return lookupOutside(name, family);
    for (const candidate of this.#candidates(name)) {
      const found = await this.#lookupInside(candidate, wanted, servers, signal);
      if (found.length > 0) return found;
    }
    throw notFound(name, "the VPN's name servers do not know it");
  }

  /** The VPN's servers if the name is theirs to know. Without split rules every name is. */
  #serversFor(name: string): readonly string[] {
    const config = this.#parts.config();
    if (config === undefined) return [];
    const lower = name.toLowerCase().replace(/\.$/, '');
    const domains = config.splitDns.map((domain) => domain.toLowerCase().replace(/^\.|\.$/g, ''));
    // A name without a dot is one of the search domains', which are the VPN's.
    const isOurs =
      domains.length === 0 || !lower.includes('.') || domains.some((domain) => lower === domain || lower.endsWith(`.${domain}`));
    return isOurs ? config.dns.map(formatIp) : [];
  }

  /** The search domains come first for a name without a dot, and last for others; a name that ends in one is as it is (resolv.conf(5), `ndots`). */
  #candidates(name: string): readonly string[] {
    if (name.endsWith('.')) return [name.slice(0, -1)];
    const searched = (this.#parts.config()?.searchDomains ?? []).map((domain) => `${name}.${domain.replace(/\.$/, '')}`);
    return name.includes('.') ? [name, ...searched] : [...searched, name];
  }

  async #lookupInside(
    name: string,
    families: readonly (4 | 6)[],
    servers: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<IpLookupAddress[]> {
    const answers = await Promise.allSettled(families.map((family) => this.#ask(name, family === 4 ? 'A' : 'AAAA', servers, signal)));
    const found = answers.flatMap((answer, i) =>
      answer.status === 'rejected' ? [] : answer.value.map((address) => ({ address, family: families[i] as 4 | 6 })),
    );
    const failed = answers.find((answer) => answer.status === 'rejected');
    // One family that answers is enough.
    if (failed !== undefined && answers.every(({ status }) => status === 'rejected')) throw failed.reason;
    return found.slice(0, MAX_ADDRESSES);
  }

  /** Asks one server after the other. The addresses; none: the name has none. Rejects where nobody answers. */
  async #ask(name: string, type: RecordType, servers: readonly string[], signal: AbortSignal | undefined): Promise<string[]> {
    const query: DnsPacket = { type: 'query', id: randomInt(0x1_0000), flags: RECURSION_DESIRED, questions: [{ type, name, class: 'IN' }] };
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of servers) {
        const answer = await this.#askServer(query, server, signal);
        if (answer === undefined) continue;
        const { rcode } = answer as { readonly rcode?: string };
        if (rcode === 'NXDOMAIN') return [];
        if (rcode !== 'NOERROR') continue; // it cannot say; another may
        return addressesOf(answer, type);
      }
    }
    throw new NetworkError(`No name server of the VPN answers for ${name}.`, { code: 'ETIMEDOUT' });
  }

  /** Undefined: there was no answer that counts. */
  async #askServer(query: DnsPacket, server: string, signal: AbortSignal | undefined): Promise<DecodedPacket | undefined> {
    const time = AbortSignal.timeout(QUERY_TIMEOUT);
    const limit = signal === undefined ? time : AbortSignal.any([time, signal]);
    try {
      const answer = await this.#askByUdp(query, server, limit);
      return answer?.flag_tc === true ? await this.#askByTcp(query, server, limit) : answer;
    } catch (error) {
      if (signal?.aborted === true) throw new CancelledError();
      if (error instanceof NetworkError || limit.aborted) return undefined;
      throw error;
    }
  }

  async #askByUdp(query: DnsPacket, server: string, signal: AbortSignal): Promise<DecodedPacket | undefined> {
    const socket = this.#parts.network.createDatagram({ family: server.includes(':') ? 6 : 4 });
    try {
      socket.send(encode(query), DNS_PORT, server);
      return await answerOf(socket, query, server, signal);
    } finally {
      socket.close();
    }
  }

  async #askByTcp(query: DnsPacket, server: string, signal: AbortSignal): Promise<DecodedPacket | undefined> {
    const socket = this.#parts.network.createConnection({ host: server, port: DNS_PORT, signal });
    try {
      socket.write(streamEncode(query));
      let bytes = Buffer.alloc(0);
      for await (const chunk of socket) {
        bytes = Buffer.concat([bytes, chunk as Buffer]);
        if (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) break;
        if (bytes.length > MAX_MESSAGE) return undefined;
      }
      if (bytes.length < 2 || bytes.length < 2 + bytes.readUInt16BE(0)) return undefined;
      return checked(bytes.subarray(2, 2 + bytes.readUInt16BE(0)), query);
    } finally {
      socket.destroy();
    }
  }
}

/** The first datagram that answers the question; others are ignored, as they may be forged. Rejects with what the network says, and when it is time. */
function answerOf(socket: IpDatagram, query: DnsPacket, server: string, signal: AbortSignal): Promise<DecodedPacket> {
  return new Promise((resolve, reject) => {
    socket.on('message', (message, from) => {
      const answer = from.address === server && from.port === DNS_PORT ? checked(message, query) : undefined;
      if (answer !== undefined) resolve(answer);
    });
    socket.on('error', reject);
    signal.addEventListener('abort', () => reject(new NetworkError(`${server} does not answer.`, { code: 'ETIMEDOUT' })), { once: true });
  });
}

/** An answer to just this question; undefined: it is none, or no DNS at all. */
function checked(message: Buffer, query: DnsPacket): DecodedPacket | undefined {
  let answer: DecodedPacket;
  try {
    answer = decode(message);
  } catch {
    return undefined; // whatever it is, the decoder makes nothing of it
  }
  const [asked] = query.questions ?? [];
  const [question] = answer.questions ?? [];
  const isOurs = answer.type === 'response' && answer.id === query.id && question?.type === asked?.type;
  return isOurs && question?.name.toLowerCase() === asked?.name.toLowerCase() ? answer : undefined;
}

/** Aliases have been followed by the server: what is left are addresses, whatever their name. Each is looked at before anybody uses it. */
function addressesOf(answer: DecodedPacket, type: RecordType): string[] {
  return (answer.answers ?? []).flatMap((record) => {
    if (record.type !== type) return [];
    const address = parseIp(record.data);
    return address === undefined ? [] : [formatIp(address)];
  });
}

async function lookupOutside(name: string, family: 0 | 4 | 6): Promise<readonly IpLookupAddress[]> {
  try {
    const found = await systemLookup(name, { all: true, family });
    return found.map((each) => ({ address: each.address, family: each.family === 6 ? 6 : 4 }));
  } catch (error) {
    throw notFound(name, "the system's name servers do not know it", error);
  }
}

function notFound(name: string, why: string, cause?: unknown): NetworkError {
  return new NetworkError(`${name} was not found: ${why}.`, { code: 'ENOTFOUND', cause });
}
