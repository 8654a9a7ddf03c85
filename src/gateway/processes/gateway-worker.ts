/**
 * The process that parses what the network sends. It starts as root, takes what it needs, gives all rights up, and only then hears of a connection.
 *
 * Started by `child-processes.ts`; the first call is `start`.
 */
import type { Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import type { MovedAssociation } from '../../core/dtls/state.ts';
import { MisuseError, UnsupportedError } from '../../core/errors.ts';
import type { NatLimits } from '../../core/nat/limits.ts';
import type { Endpoint } from '../../core/wire/ip-address.ts';
import { TunDevice } from '../../node/devices/tun-device.ts';
import { PacketEngine } from '../../node/engine/packet-engine.ts';
import { StackPort } from '../../node/engine/stack-port.ts';
import { descriptorLimit, withinDescriptors } from '../nat/descriptor-limits.ts';
import type { InnerNetwork } from '../nat/inner-network.ts';
import { NatDevice } from '../nat/nat-device.ts';
import { DeviceSwitch, type SharedDevice } from '../worker/device-switch.ts';
import { Worker } from '../worker/worker.ts';
import type { DisconnectReason } from './auth-service.ts';
import { FIRST_INHERITED } from './child-processes.ts';
import { giveUpRights } from './give-up-rights.ts';
import { parentChannel } from './process-channel.ts';
import { RemoteLogger } from './remote-logger.ts';
import { Rpc } from './rpc.ts';
import type { Arrival, ClosingManner, DeskNotices, DeskService, WorkerSetup } from './worker-contract.ts';

interface RunningWorker {
  readonly worker: Worker;
  readonly engine: PacketEngine | undefined;
  readonly nat: NatDevice | undefined;
}

function main(): void {
  const channel = parentChannel();
  if (channel === undefined) {
    process.stderr.write('This program is a part of the gateway, which starts it by itself.\n');
    process.exit(1);
  }
  let started: RunningWorker | undefined;
  const running = () => {
    if (started === undefined) throw new MisuseError('the worker has not been started');
    return started.worker;
  };
  let log: RemoteLogger | undefined;
  const rpc: Rpc = new Rpc(channel, {
    peer: 'main',
    serves: {
      start: async (setup: WorkerSetup) => {
        log = new RemoteLogger(rpc, setup.config.logLevel);
        started = await startWorker(rpc, setup, log);
      },
      reload: async (setup: WorkerSetup) => {
        await running().reload(setup);
        log?.setLevel(setup.config.logLevel);
      },
      closeTunnel: (tunnel: number, reason: DisconnectReason, manner: ClosingManner) => running().closeTunnel(tunnel, reason, manner),
      drop: (connection: number) => running().drop(connection),
      reports: () => running().reports(),
      natFigures: () => started?.nat?.figures,
      connection: (arrival: Arrival, socket: Socket) => running().serve(arrival, socket),
      stranger: (arrival: Arrival, first: Uint8Array, socket: UdpSocket) => running().serveStranger(arrival, first, socket),
      expected: (arrival: Arrival, datagramId: Uint8Array, first: Uint8Array, socket: UdpSocket) =>
        running().serveExpected(arrival, datagramId, first, socket),
      flow: (tunnel: number, _local: Endpoint, remote: Endpoint, first: Uint8Array, socket: UdpSocket) =>
        running().flow(tunnel, remote, first, socket),
      greeted: (tunnel: number, remote: Endpoint, dtls: MovedAssociation, socket: UdpSocket) =>
        running().greeted(tunnel, remote, dtls, socket),
      packets: (packets: readonly Uint8Array[]) => running().deliver(packets),
      network: (network: InnerNetwork) => started?.nat?.configure(network),
      forget: (session: string) => started?.nat?.forget(session),
    },
    onFault: (error) => {
      process.stderr.write(`${error.message}\n`);
      process.exit(1);
    },
  });
  /** The gateway ends. What its clients were told last is on its way still. */
  const leave = async () => {
    try {
      await started?.engine?.close();
    } finally {
      process.exit(0);
    }
  };
  channel.onClose(() => void leave());
}

async function startWorker(rpc: Rpc, setup: WorkerSetup, log: RemoteLogger): Promise<RunningWorker> {
  const notify: DeskNotices = {
    closed: (tunnel, end) => rpc.notify('closed', [tunnel, end]),
    disconnected: (connection) => rpc.notify('disconnected', [connection]),
    forward: (packets) => rpc.offer('forward', [packets]),
    strayed: (datagram, from) => rpc.offer('strayed', [datagram, from]),
  };
  const { config } = setup;
  const { device, engine, nat, hasPortableTls } = await openDevice(setup, log);
  const packets = new DeviceSwitch(device, { forward: notify.forward });
  const worker = await Worker.start({
    ...{ setup, notify, log, engine, hasPortableTls, device: packets, flows: nat, desk: rpc.remote<DeskService>() },
  });
  giveUpRights(config.processes, log, { dialsOut: nat !== undefined });
  packets.start();
  return { worker, engine, nat };
}

interface OpenedDevice {
  readonly device: SharedDevice;
  readonly engine: PacketEngine | undefined;
  /** Undefined: the kernel has the flows of clients. */
  readonly nat: NatDevice | undefined;
  readonly hasPortableTls: boolean;
}

async function openDevice({ device, config }: WorkerSetup, log: RemoteLogger): Promise<OpenedDevice> {
  if (device.kind === 'userspace') {
    const engine = await engineIfAny(log);
    const port = engine && (await StackPort.open(engine));
    const limits = natLimits(config.network.nat.limits, log);
    const opened = new NatDevice({ ...{ limits, mtu: device.mtu, network: device.network, log }, ...(port !== undefined && { port }) });
    if (engine === undefined) return { device: opened, engine, nat: opened, hasPortableTls: false };
    endWith(engine.failed, opened.failed);
    return { device: opened, engine, nat: opened, hasPortableTls: await hasPortableTls(engine, log) };
  }
  const engine = await PacketEngine.start();
  const inherited = Array.from({ length: device.descriptors }, (_, i) => FIRST_INHERITED + i);
  const parts = device.hasWriter
    ? { writers: inherited.slice(0, 1), queues: inherited.slice(1) }
    : { writers: inherited, queues: inherited };
  const opened = await TunDevice.adopt(engine, parts, device.name, device.offloads);
  endWith(engine.failed, opened.failed);
  return { device: opened, engine, nat: undefined, hasPortableTls: await hasPortableTls(engine, log) };
}

/** As the administrator wants them, as far as there are descriptors. */
function natLimits(wanted: NatLimits, log: RemoteLogger): NatLimits {
  const descriptors = descriptorLimit();
  const limits = withinDescriptors(wanted, descriptors);
  if (limits !== wanted) {
    const { flows, flowsPerSession } = limits;
    log.log('warn', 'fewer flows than configured, as there are not enough descriptors (ulimit -n)', {
      descriptors,
      flows,
      flowsPerSession,
    });
  }
  return limits;
}

/** Without an interface there is a way without it, too. */
async function engineIfAny(log: RemoteLogger): Promise<PacketEngine | undefined> {
  try {
    return await PacketEngine.start();
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    log.log('info', 'packets pass one by one, without the packet engine', { reason: error.message });
    return undefined;
  }
}

/** Without either no packet moves any more: main sees to another worker. */
function endWith(...failures: readonly Promise<Error>[]): void {
  for (const failed of failures) {
    void failed.then((error) => {
      process.stderr.write(`${error.message}\n`);
      process.exit(1);
    });
  }
}

async function hasPortableTls(engine: PacketEngine, log: RemoteLogger): Promise<boolean> {
  const tls = (await engine.features()).find(({ name }) => name === 'tls');
  if (tls?.isOn !== true) log.log('warn', 'TLS is by node:tls, which is slower', { reason: tls?.why ?? '' });
  return tls?.isOn !== true;
}

main();
