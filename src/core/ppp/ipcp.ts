/**
 * IPCP's options: the addresses of both ends, and the client's name servers.
 *
 * Read first: RFC 1332 §3, RFC 1877 §1; spec "PPP", section 6.3.
 *
 *   client   asks for the address it knows or 0.0.0.0, and for servers as 0.0.0.0
 *   gateway  answers by Nak with what it has assigned, by Reject for servers that it has not
 */
import { isHostAddress } from '../tunnel/config-values.ts';
import { copyOf } from '../wire/copy.ts';
import { formatIp, type IpAddress, sameIp } from '../wire/ip-address.ts';
import type { PppOption } from './control-packet.ts';
import { PPP_PROTOCOLS } from './frame-header.ts';
import type { ClientNetwork, GatewayNetwork, Ipv4Terms } from './link-options.ts';
import { judgeEach, type Negotiation, type OptionVerdict, sameOptions, type Verdict } from './negotiation.ts';

export const IPCP_OPTIONS = { address: 3, primaryDns: 129, primaryNbns: 130, secondaryDns: 131, secondaryNbns: 132 } as const;

export interface Ipcp extends Negotiation {
  /** What was agreed on; once the automaton is `opened`. */
  readonly terms: Ipv4Terms;
}

const UNSPECIFIED: IpAddress = { family: 4, bytes: new Uint8Array(4) };
const ADDRESS_LENGTH = 4;

/** In the order in which they are asked for. */
const SERVERS = [IPCP_OPTIONS.primaryDns, IPCP_OPTIONS.primaryNbns, IPCP_OPTIONS.secondaryDns, IPCP_OPTIONS.secondaryNbns] as const;
const DNS: readonly number[] = [IPCP_OPTIONS.primaryDns, IPCP_OPTIONS.secondaryDns];
const NBNS: readonly number[] = [IPCP_OPTIONS.primaryNbns, IPCP_OPTIONS.secondaryNbns];

/** Undefined: IPv4 is not wanted. */
export function ipcpOf(network: ClientNetwork | GatewayNetwork): Ipcp | undefined {
  if (network.role === 'client') return network.ipv4 && new ClientIpcp(network.ipv4);
  return network.ipv4 && new GatewayIpcp(network.ipv4);
}

class ClientIpcp implements Ipcp {
  readonly protocol: number = PPP_PROTOCOLS.ipcp;
  readonly #fixed: IpAddress | undefined;
  readonly #wanted: Set<number>;
  readonly #servers = new Map<number, IpAddress>();
  #address: IpAddress;
  #remote: IpAddress | undefined;

  constructor({ address, asksServers }: NonNullable<ClientNetwork['ipv4']>) {
    this.#fixed = address;
    this.#address = address ?? UNSPECIFIED;
    this.#wanted = new Set(asksServers ? SERVERS : []);
  }

  get terms(): Ipv4Terms {
    const known = (types: readonly number[]) => types.map((type) => this.#servers.get(type)).filter((server) => server !== undefined);
    const remote = this.#remote;
    return { local: this.#address, ...(remote !== undefined && { remote }), dns: known(DNS), nbns: known(NBNS) };
  }

  request(): readonly PppOption[] {
    const servers = SERVERS.filter((type) => this.#wanted.has(type)).map((type) => ({ type, value: UNSPECIFIED.bytes }));
    return [{ type: IPCP_OPTIONS.address, value: this.#address.bytes }, ...servers];
  }

  /** The gateway's own address is only informative: any is taken, and none as well. */
  judge(options: readonly PppOption[]): Verdict {
    return judgeEach(options, ({ type, value }) => (type === IPCP_OPTIONS.address && value.length === ADDRESS_LENGTH ? 'ack' : 'reject'));
  }

  accept(options: readonly PppOption[]): void {
    this.#remote = options.map(addressIn)[0];
  }

  naked(options: readonly PppOption[]): string | undefined {
    for (const option of options) {
      const offered = addressIn(option);
      if (option.type === IPCP_OPTIONS.address) {
        const problem = this.#offered(offered);
        if (problem !== undefined) return problem;
      } else if (this.#wanted.delete(option.type) && offered !== undefined && isHostAddress(offered)) {
        this.#servers.set(option.type, offered);
      }
    }
    return undefined;
  }

  rejected(options: readonly PppOption[]): string | undefined {
    for (const { type } of options) this.#wanted.delete(type);
    return options.some(({ type }) => type === IPCP_OPTIONS.address) ? 'The gateway gives no IPv4 address.' : undefined;
  }

  agreed(): string | undefined {
    return isHostAddress(this.#address)
      ? undefined
      : `The gateway gives ${formatIp(this.#address)} as IPv4 address, which no host can have.`;
  }

  isRepeat(options: readonly PppOption[], before: readonly PppOption[]): boolean {
    return sameOptions(options, before);
  }

  #offered(offered: IpAddress | undefined): string | undefined {
    if (offered === undefined || !isHostAddress(offered) || isLinkLocal(offered)) return 'The gateway gives no IPv4 address.';
    if (this.#fixed !== undefined && !sameIp(offered, this.#fixed)) {
      return `The gateway gives the address ${formatIp(offered)} now, instead of ${formatIp(this.#fixed)}.`;
    }
    this.#address = offered;
    return undefined;
  }
}

class GatewayIpcp implements Ipcp {
  readonly protocol: number = PPP_PROTOCOLS.ipcp;
  readonly #network: NonNullable<GatewayNetwork['ipv4']>;
  readonly #assigned = new Map<number, IpAddress>();
  #tellsOwn: boolean;

  constructor(network: NonNullable<GatewayNetwork['ipv4']>) {
    this.#network = network;
    this.#tellsOwn = network.own !== undefined;
    this.#assign(IPCP_OPTIONS.address, network.peer);
    this.#assign(IPCP_OPTIONS.primaryDns, network.dns[0]);
    this.#assign(IPCP_OPTIONS.secondaryDns, network.dns[1]);
    this.#assign(IPCP_OPTIONS.primaryNbns, network.nbns[0]);
    this.#assign(IPCP_OPTIONS.secondaryNbns, network.nbns[1]);
  }

  get terms(): Ipv4Terms {
    const { own, peer } = this.#network;
    return { local: own ?? UNSPECIFIED, remote: peer, dns: [], nbns: [] };
  }

  request(): readonly PppOption[] {
    const { own } = this.#network;
    return this.#tellsOwn && own !== undefined ? [{ type: IPCP_OPTIONS.address, value: own.bytes }] : [];
  }

  /** Whatever else is asked for, the address is never rejected: clients then have no IPv4 at all. */
  judge(options: readonly PppOption[]): Verdict {
    return judgeEach(options, (option): OptionVerdict => {
      const assigned = this.#assigned.get(option.type);
      if (assigned === undefined || option.value.length !== ADDRESS_LENGTH) return 'reject';
      const asked = addressIn(option);
      return asked !== undefined && sameIp(asked, assigned) ? 'ack' : { better: assigned.bytes };
    });
  }

  accept(_options: readonly PppOption[]): void {
    // What was accepted is what was assigned.
  }

  naked(_options: readonly PppOption[]): string | undefined {
    this.#tellsOwn = false; // our address is what it is: then the client does without
    return undefined;
  }

  rejected(_options: readonly PppOption[]): string | undefined {
    this.#tellsOwn = false;
    return undefined;
  }

  agreed(): string | undefined {
    return undefined;
  }

  isRepeat(options: readonly PppOption[], before: readonly PppOption[]): boolean {
    return sameOptions(options, before);
  }

  #assign(type: number, address: IpAddress | undefined): void {
    if (address?.family === 4) this.#assigned.set(type, address);
  }
}

function addressIn({ value }: PppOption): IpAddress | undefined {
  return value.length === ADDRESS_LENGTH ? { family: 4, bytes: copyOf(value) } : undefined;
}

/** Addresses that hosts make up for themselves (RFC 3927): no gateway assigns them. */
function isLinkLocal({ bytes }: IpAddress): boolean {
  return bytes[0] === 169 && bytes[1] === 254;
}
