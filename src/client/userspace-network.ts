/** The inside of a VPN for this process alone: sockets of a userspace stack, names by the VPN's servers. */
import type { TunnelConfig } from '../core/tunnel/config.ts';
import { formatIp, type IpAddress, parseIp } from '../core/wire/ip-address.ts';
import { StackDevice, type StackDeviceOptions } from '../node/devices/stack-device.ts';
import type { PacketEngine } from '../node/engine/packet-engine.ts';
import { StackPort } from '../node/engine/stack-port.ts';
import type {
  ConnectionOptions,
  DatagramOptions,
  IpDatagram,
  IpLookupAddress,
  IpNetwork,
  IpServer,
  IpSocket,
  LookupOptions,
  PingAnswer,
  PingOptions,
  ServerOptions,
} from '../node/ip/ip-network.ts';
import { StackDatagram } from '../node/ip/stack-datagram.ts';
import { stackPing } from '../node/ip/stack-ping.ts';
import { StackServer } from '../node/ip/stack-server.ts';
import { StackSocket } from '../node/ip/stack-socket.ts';
import { VpnResolver } from './vpn-resolver.ts';

/**
 * A device for the tunnel, and what a program has of it.
 *
 * @param engine that carries its packets; undefined: they go the portable way
 * @param config what the gateway wants the tunnel to be, as it is now
 */
export async function openUserspace(
  options: StackDeviceOptions,
  engine: PacketEngine | undefined,
  config: () => TunnelConfig | undefined,
): Promise<{ readonly stack: StackDevice; readonly network: UserspaceNetwork }> {
  const stack = new StackDevice(options, engine && (await StackPort.open(engine)));
  return { stack, network: new UserspaceNetwork(stack, config) };
}

export class UserspaceNetwork implements IpNetwork {
  readonly #device: StackDevice;
  readonly #resolver: VpnResolver;

  /** @param config what the gateway wants the tunnel to be, as it is now */
  constructor(device: StackDevice, config: () => TunnelConfig | undefined) {
    this.#device = device;
    this.#resolver = new VpnResolver({
      network: this,
      config,
      families: () => ([4, 6] as const).filter((family) => device.stack.addresses.some((address) => address.family === family)),
    });
  }

  get addresses(): readonly string[] {
    return this.#device.stack.addresses.map(formatIp);
  }

  createConnection(options: ConnectionOptions): IpSocket {
    return StackSocket.connect(this.#device, options, (host, family, signal) => this.#resolve(host, family, signal));
  }

  createServer(options: ServerOptions = {}, onConnection?: (socket: IpSocket) => void): IpServer {
    const server = new StackServer(this.#device, options);
    if (onConnection !== undefined) server.on('connection', onConnection);
    return server;
  }

  createDatagram(options: DatagramOptions = {}): IpDatagram {
    return new StackDatagram(this.#device, options);
  }

  lookup(name: string, options: LookupOptions = {}): Promise<readonly IpLookupAddress[]> {
    return this.#resolver.lookup(name, options);
  }

  async ping(host: string, options: PingOptions = {}): Promise<PingAnswer> {
    const { family, signal } = options;
    const [address] = await this.#resolve(host, family ?? 0, signal);
    if (address === undefined) throw new Error('a lookup that resolves has an address');
    return stackPing(this.#device, address, options);
  }

  async #resolve(host: string, family: 0 | 4 | 6, signal: AbortSignal | undefined): Promise<readonly IpAddress[]> {
    const found = await this.lookup(host, { family, ...(signal !== undefined && { signal }) });
    return found.flatMap(({ address }) => parseIp(address) ?? []);
  }
}
