/**
 * The tunnels of one worker, by number: where they begin, get their UDP flows, are asked and end.
 */
import type { Socket } from 'node:dgram';
import type { DtlsAssociation } from '../../core/dtls/association.ts';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { TunnelPlan } from '../../core/protocols/gateway-protocol.ts';
import type { TunnelMachine } from '../../core/tunnel/machine.ts';
import { type Millis, packetOf } from '../../core/tunnel/packet.ts';
import type { Endpoint } from '../../core/wire/ip-address.ts';
import type { DatagramPath } from '../../node/datagram-path.ts';
import type { PacketEngine } from '../../node/engine/packet-engine.ts';
import type { AcceptedStream } from '../../node/tls-acceptor.ts';
import type { TlsStream } from '../../node/tls-stream.ts';
import { adoptDatagramPath } from '../../node/udp-socket.ts';
import type { DisconnectReason } from '../processes/auth-service.ts';
import type { ClosingManner, DeskNotices, DeskService, Lease, TunnelReport } from '../processes/worker-contract.ts';
import type { DeviceSwitch } from './device-switch.ts';
import { type FlowKeeper, type PacketRouter, RunningTunnel } from './running-tunnel.ts';

export interface TunnelHostOptions {
  readonly desk: Pick<DeskService, 'opened' | 'reported'>;
  readonly notify: Pick<DeskNotices, 'closed' | 'strayed'>;
  readonly device: DeviceSwitch;
  /** Undefined: there is none, and all packets pass here. */
  readonly engine: (PacketRouter & Pick<PacketEngine, 'adoptUdp' | 'adoptStream'>) | undefined;
  /** Undefined: the kernel has the flows of clients. */
  readonly flows: FlowKeeper | undefined;
  readonly log: Logger;
  readonly now: () => Millis;
}

export class TunnelHost {
  readonly #options: TunnelHostOptions;
  readonly #tunnels = new Map<number, RunningTunnel>();
  /** Tunnels that main has ended before they began. */
  readonly #doomed = new Set<number>();

  constructor(options: TunnelHostOptions) {
    this.#options = options;
  }

  /** The connection is the tunnel's from here on. `rest`: what came behind the request. Resolves when the tunnel is over. */
  async run(lease: Lease, plan: TunnelPlan, connection: AcceptedStream, rest: Uint8Array): Promise<void> {
    const { desk } = this.#options;
    try {
      // Before the client is answered: its first datagram follows the answer at once (spec "AnyConnect", section 7.7).
      await desk.opened(lease.tunnel, plan.datagramId, plan.greetingId);
    } catch (error) {
      connection.destroy();
      throw error;
    }
    const { exporter } = plan;
    const exported = exporter && connection.exportNow(exporter.label, exporter.length);
    const stream = await this.#placed(lease, connection, plan.takesEarlyBytes === true ? 0 : rest.length);
    if (this.#doomed.delete(lease.tunnel)) {
      stream.destroy();
      return;
    }
    await this.#run(lease, plan.machine, (tunnel) => tunnel.start(stream, exported, rest));
  }

  /** The same for a tunnel whose first path is a UDP flow that has come already; others follow where it has an id. */
  async runDatagrams(lease: Lease, { machine, datagramId }: TunnelPlan, path: DatagramPath): Promise<void> {
    try {
      await this.#options.desk.opened(lease.tunnel, datagramId, undefined);
    } catch (error) {
      await path.close();
      throw error;
    }
    if (this.#doomed.delete(lease.tunnel)) await path.close();
    else await this.#run(lease, machine, (tunnel) => tunnel.startOnDatagrams(path));
  }

  async #run(lease: Lease, machine: TunnelMachine, start: (tunnel: RunningTunnel) => void): Promise<void> {
    const { desk, notify, device, engine, flows, log, now } = this.#options;
    const over = Promise.withResolvers<void>();
    const tunnel = new RunningTunnel({
      ...{ lease, device, now, machine, router: engine, flows },
      onClosed: (end) => {
        this.#tunnels.delete(lease.tunnel);
        notify.closed(lease.tunnel, end);
        over.resolve();
      },
      onReport: (usage) => {
        desk.reported(lease.tunnel, usage).catch((error: unknown) => log.log('warn', 'a report was lost', { reason: String(error) }));
      },
    });
    this.#tunnels.set(lease.tunnel, tunnel);
    start(tunnel);
    await over.promise;
  }

  /** In the engine where that can be: not for a client whose packets are counted one by one, nor one that did not wait for its answer. */
  async #placed({ terms: { rates } }: Lease, connection: AcceptedStream, early: number): Promise<TlsStream> {
    const isLimited = rates.receive !== undefined || rates.send !== undefined;
    const { engine } = this.#options;
    if (engine === undefined || isLimited || early > 0) return connection;
    try {
      return (await connection.moveTo(engine)) ?? connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** The connection that a tunnel of this number could have begun on is gone. */
  forget(id: number): void {
    this.#doomed.delete(id);
  }

  /** A new flow of a tunnel, or of one that has gone meanwhile. @param said what came first, or the association in which hands were shaken */
  async flow(id: number, remote: Endpoint, said: Uint8Array | DtlsAssociation, socket: Socket): Promise<void> {
    const { notify, engine, log } = this.#options;
    const strayed = (bytes: Uint8Array, from: Endpoint) => notify.strayed(bytes, from);
    const [first, dtls] = said instanceof Uint8Array ? [said, undefined] : [undefined, said];
    try {
      const isCarried = this.#tunnels.get(id)?.isLimited !== true;
      const flow = { remote, ...(first !== undefined && { first }), strayed };
      const path = await adoptDatagramPath(socket, flow, isCarried ? engine : undefined);
      const tunnel = this.#tunnels.get(id);
      if (tunnel === undefined) await path.close();
      else tunnel.flowArrived(path, dtls);
    } catch (error) {
      // The client stays on TLS. A bug is told of, but is not worth everybody's tunnels.
      const reason = error instanceof Error ? error.message : String(error);
      log.log(error instanceof SallyportError ? 'info' : 'error', 'a UDP flow could not be opened', { reason });
    }
  }

  /** Resolves when the tunnel is gone; at once if it is already. */
  async close(id: number, reason: DisconnectReason, manner: ClosingManner): Promise<void> {
    const tunnel = this.#tunnels.get(id);
    if (tunnel === undefined) this.#doomed.add(id);
    else await tunnel.close(reason, manner);
  }

  /** Packets that other workers have read from the device. */
  deliver(packets: readonly Uint8Array[]): void {
    this.#options.device.deliver(packets.map(packetOf));
  }

  reports(): TunnelReport[] {
    return [...this.#tunnels.values()].map((tunnel) => tunnel.report());
  }
}
