/**
 * The lab: a client and a gateway's machine, with a router between them on which links can be made bad.
 *
 *   client ──192.0.2.0/24──── router ──198.51.100.0/24── server      (2001:db8:2::/64 and 2001:db8:3::/64)
 *      .2    eth0      .1 eth0  eth1 .1       eth0  .2
 *                         lo 203.0.113.1, 2001:db8:4::1
 *
 * Without the router (`router: false`, for benches) client and server are joined directly, and the server has the router's first addresses.
 *
 * @example
 * await using lab = await Lab.open();
 * const ocserv = await Ocserv.start(lab);
 */
import { writeFileSync } from 'node:fs';
import { Link, makeLabFolder, Namespace } from './namespaces.ts';

/** The outside addresses of a machine of the lab. */
export interface LabAddresses {
  readonly ipv4: string;
  readonly ipv6: string;
}

const CLIENT: LabAddresses = { ipv4: '192.0.2.2', ipv6: '2001:db8:2::2' };
const CLIENT_SIDE: LabAddresses = { ipv4: '192.0.2.1', ipv6: '2001:db8:2::1' };
/** On the router's loopback device: a gateway there is not on the client's own network, as gateways are not. */
const ROUTER: LabAddresses = { ipv4: '203.0.113.1', ipv6: '2001:db8:4::1' };
const SERVER_SIDE: LabAddresses = { ipv4: '198.51.100.1', ipv6: '2001:db8:3::1' };
const SERVER: LabAddresses = { ipv4: '198.51.100.2', ipv6: '2001:db8:3::2' };

/** The name that /etc/hosts of the client gives the server, for certificates. */
export const SERVER_NAME = 'gateway.test';

export class Lab implements AsyncDisposable {
  readonly folder: string;
  readonly client: Namespace;
  readonly server: Namespace;
  readonly #router: Namespace | undefined;
  /** The client's cable. */
  readonly clientLink: Link;
  /** The router's are for what runs on it, like a relay. */
  readonly addresses: { readonly client: LabAddresses; readonly router: LabAddresses; readonly server: LabAddresses };

  private constructor(folder: string, client: Namespace, server: Namespace, router: Namespace | undefined, clientLink: Link) {
    this.folder = folder;
    this.client = client;
    this.server = server;
    this.#router = router;
    this.clientLink = clientLink;
    this.addresses = { client: CLIENT, router: ROUTER, server: router === undefined ? CLIENT_SIDE : SERVER };
  }

  /** @param options.router Whether a router sits between client and server. Default true. */
  static async open({ router: hasRouter = true }: { router?: boolean } = {}): Promise<Lab> {
    const folder = makeLabFolder();
    const names = hasRouter ? ['client', 'server', 'router'] : ['client', 'server'];
    const [client, server, router] = await Promise.all(names.map((name) => Namespace.open(name, folder)));
    if (client === undefined || server === undefined) throw new Error('unreachable: two names give two namespaces');
    const next = router ?? server;
    const clientLink = await Link.connect(end(client, 'eth0', CLIENT), end(next, 'eth0', CLIENT_SIDE));
    await client.ip(...defaultRoutes(CLIENT_SIDE));
    if (router !== undefined) {
      await Link.connect(end(server, 'eth0', SERVER), end(router, 'eth1', SERVER_SIDE));
      await server.ip(...defaultRoutes(SERVER_SIDE));
      await router.ip(`address add ${ROUTER.ipv4}/32 dev lo`, `address add ${ROUTER.ipv6}/128 dev lo`);
    }
    for (const namespace of [next, server]) await forwardPackets(namespace);
    const lab = new Lab(folder, client, server, router, clientLink);
    lab.#writeNames();
    return lab;
  }

  /** The machine between client and server, for faults and relays. */
  get router(): Namespace {
    if (this.#router === undefined) throw new Error('this lab was opened without a router');
    return this.#router;
  }

  get namespaces(): readonly Namespace[] {
    return this.#router === undefined ? [this.client, this.server] : [this.client, this.server, this.#router];
  }

  /** Ends every process of the lab, its namespaces and its folder. Safe to call twice. */
  async close(): Promise<void> {
    await Promise.all(this.namespaces.map((namespace) => namespace.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A resolver that answers at once that it is not there, instead of the machine's own. */
  #writeNames(): void {
    const { server } = this.addresses;
    const hosts = [`127.0.0.1 localhost`, '::1 localhost', `${server.ipv4} ${SERVER_NAME}`, `${server.ipv6} ${SERVER_NAME}`];
    for (const namespace of this.namespaces) {
      writeFileSync(namespace.file('/etc/resolv.conf'), '# outside the tunnel\nsearch outside.test\nnameserver 127.0.0.1\n');
      writeFileSync(namespace.file('/etc/hosts'), `${hosts.join('\n')}\n`);
    }
  }
}

function end(namespace: Namespace, device: string, { ipv4, ipv6 }: LabAddresses) {
  return { namespace, device, addresses: [`${ipv4}/24`, `${ipv6}/64 nodad`] };
}

function defaultRoutes({ ipv4, ipv6 }: LabAddresses): string[] {
  return [`route add default via ${ipv4}`, `route add ::/0 via ${ipv6}`];
}

async function forwardPackets(namespace: Namespace): Promise<void> {
  await namespace.run('sysctl', ['-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
}
