/** Whose client has come: the vendors that hosts serve, and how a first request is told apart. */
import type { ProtocolId } from '../../core/auth/protocol-id.ts';
import { MisuseError } from '../../core/errors.ts';
import type { HttpRequest } from '../../core/http/message.ts';
import type { TunnelStart } from '../../core/http/request-parser.ts';
import type { Claim, DatagramFront, GatewayProtocol } from '../../core/protocols/gateway-protocol.ts';
import { loadGatewayProtocol } from '../../core/protocols/registry.ts';
import type { HostConfig } from '../config/gateway-config.ts';

/** The best first. */
const RANKS: readonly Claim[] = ['certain', 'named', 'likely'];

/** What is asked of a host. */
export type ServingHost = { readonly login: Pick<HostConfig['login'], 'protocols'> };

export class VendorTable {
  readonly #vendors = new Map<ProtocolId, GatewayProtocol>();

  /** Those that these hosts serve; what is loaded stays. */
  async load(hosts: readonly ServingHost[]): Promise<void> {
    const wanted = new Set(hosts.flatMap(({ login }) => login.protocols));
    await Promise.all(
      [...wanted].map(async (id) => {
        if (!this.#vendors.has(id)) this.#vendors.set(id, await loadGatewayProtocol(id));
      }),
    );
  }

  /** The one that is certain of the request; else the first whose client it calls itself, or that finds it likely, in the host's order; else its default. */
  vendorOf(first: HttpRequest, { login: { protocols } }: ServingHost): GatewayProtocol {
    const vendors = protocols.map((id) => this.#of(id));
    const claims = vendors.map((vendor) => vendor.claims(first));
    const best = RANKS.map((claim) => claims.indexOf(claim)).find((i) => i >= 0) ?? 0;
    return vendors[best] ?? this.#of(protocols[0]);
  }

  /** As {@link GatewayProtocol.startsTunnel}, of all: whose request it is nobody knows yet. */
  readonly startsTunnel: TunnelStart = (head) => [...this.#vendors.values()].some((vendor) => vendor.startsTunnel?.(head) === true);

  /** Of those whose clients come by DTLS before anyone knows them. */
  get datagramFronts(): DatagramFront[] {
    return [...this.#vendors.values()].flatMap(({ datagrams }) => datagrams ?? []);
  }

  #of(id: ProtocolId): GatewayProtocol {
    const vendor = this.#vendors.get(id);
    if (vendor === undefined) throw new MisuseError(`the vendor ${id} was not loaded`);
    return vendor;
  }
}
