/** The worker's part of the commands about UDP flows. */
import { MisuseError } from '../../core/errors.ts';
import type { Endpoint } from '../../core/wire/ip-address.ts';
import { connectUdpSocket, openUdpSocket, takeEarly } from '../ffi/sockets.ts';
import type { AdoptedFlow, Command, PathOptions } from './messages.ts';
import { offloadUdp } from './offloads.ts';
import type { PacketSwitch } from './packet-switch.ts';
import { FIRST_PATH_DESCRIPTOR } from './shared-memory.ts';
import type { WorkerContext } from './worker-context.ts';
import { WorkerPath } from './worker-path.ts';

/** Commands about UDP flows alone. */
export type DatagramCommand = Extract<Command, { readonly name: 'open-path' | 'adopt-path' | 'move-traffic' | 'set-tunnel-mtu' }>;

export class DatagramCommands {
  readonly #context: WorkerContext;
  readonly #switch: PacketSwitch;

  constructor(context: WorkerContext, packets: PacketSwitch) {
    this.#context = context;
    this.#switch = packets;
  }

  execute(command: DatagramCommand): unknown {
    const { name, takes } = command;
    switch (name) {
      case 'open-path':
        return this.#open(takes.path, takes.options);
      case 'adopt-path':
        return this.#adopt(takes.path, takes.fd, takes.remote);
      case 'move-traffic':
        return this.#move(takes.from, takes.to, takes.datagram);
      case 'set-tunnel-mtu':
        return this.#pathAt(takes.path).setTunnelMtu(takes.mtu);
    }
    name satisfies never;
  }

  #open(id: number, options: PathOptions): { readonly local: Endpoint; readonly pathMtu: number | undefined } {
    const { fd, local, pathMtu } = openUdpSocket(this.#context.libc, options);
    this.#add(id, fd, options);
    return { local, pathMtu };
  }

  #adopt(id: number, theirs: number, remote: Endpoint): AdoptedFlow {
    const { libc } = this.#context;
    const { fd, local, pathMtu } = connectUdpSocket(libc, theirs, remote);
    const { early, strays } = takeEarly(libc, fd, remote);
    this.#add(id, fd, { remote, copiesDscp: false });
    return { local, pathMtu, early, strays };
  }

  #add(id: number, fd: number, options: Pick<PathOptions, 'remote' | 'copiesDscp'>): void {
    const { libc, features, memory } = this.#context;
    const counters = memory.pathCounters(id);
    offloadUdp(libc, fd, features);
    memory.descriptors[FIRST_PATH_DESCRIPTOR + id] = fd + 1;
    counters.fill(0);
    this.#switch.setPath(id, new WorkerPath(this.#context, id, fd, counters, options));
  }

  #move(from: number, to: number, datagram: Uint8Array | undefined): boolean {
    const hasMoved = this.#pathAt(to).takeOver(this.#pathAt(from), datagram, this.#switch.liveDevice);
    if (hasMoved) this.#switch.moveNetworks(from, to);
    return hasMoved;
  }

  #pathAt(id: number): WorkerPath {
    const path = this.#switch.path(id);
    if (!(path instanceof WorkerPath)) throw new MisuseError('this UDP flow is closed');
    return path;
  }
}
