/**
 * Runs a gateway until it is told to stop: what `sallyport-ocserv` and `sallyport gateway` have in common.
 *
 *   SIGHUP    reads the configuration anew; sessions stay       SIGTERM, SIGINT   drains, ends sessions, leaves
 *   SIGUSR2   gives back at once what sessions that are gone have left
 */
import { SallyportError } from '../../core/errors.ts';
import type { LoadedConfig } from '../../gateway/config/ocserv-conf.ts';
import { GatewayControlServer } from '../../gateway/control/control-server.ts';
import { MetricsServer } from '../../gateway/control/metrics-server.ts';
import { Gateway } from '../../gateway/gateway.ts';
import type { GatewayLogger } from '../../gateway/log/gateway-logger.ts';
import { PidFile } from '../../node/processes/pid-file.ts';
import { ServiceManager } from '../../node/processes/service-manager.ts';
import { inheritedSockets } from '../../node/processes/socket-activation.ts';

export interface RunOptions {
  /** Rejects with what is wrong with the configuration. */
  readonly load: () => Promise<LoadedConfig>;
  readonly serverName: string;
  readonly log: GatewayLogger;
  /** The command line's; wins over the configuration's. */
  readonly logLevel?: number;
  readonly pidFile?: string;
  /** Clients can come. */
  readonly onReady?: () => void;
  /** What the log has been told of why it ends with status 1. */
  readonly onFailure?: (reason: string) => void;
}

/** Resolves with the exit status when the gateway has stopped. */
export async function runGateway(options: RunOptions): Promise<number> {
  const { log } = options;
  try {
    await run(options);
    return 0;
  } catch (error) {
    const reason = error instanceof SallyportError ? error.message : String(error instanceof Error ? error.stack : error);
    log.log('error', reason);
    options.onFailure?.(reason);
    return 1;
  }
}

/** Observed: ocserv goes on where it cannot write its pid file. */
async function writtenPidFile(file: string, log: GatewayLogger): Promise<PidFile | undefined> {
  try {
    return await PidFile.write(file);
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    log.log('error', error.message);
    return undefined;
  }
}

async function run(options: RunOptions): Promise<void> {
  const { serverName, log, onReady } = options;
  const manager = new ServiceManager();
  const inherited = inheritedSockets();
  const ofKind = (kind: 'stream' | 'datagram') => inherited.filter((socket) => socket.kind === kind).map(({ fd }) => fd);
  const load = async () => {
    const { config, notices } = await options.load();
    // The other processes have their level from the configuration.
    const loaded = { config: { ...config, logLevel: options.logLevel ?? config.logLevel }, notices };
    log.setLevel(loaded.config.logLevel);
    return loaded;
  };
  const closers: (() => unknown)[] = [];
  let gateway: Gateway | undefined;
  try {
    let pidPath = options.pidFile;
    gateway = await Gateway.start({
      ...{ load, serverName, log },
      ...(inherited.length > 0 && { inherited: { tcp: ofKind('stream'), udp: ofKind('datagram') } }),
      beforeOpening: async (target, { control, processes }) => {
        pidPath ??= processes.pidFile;
        if (control.isEnabled) {
          const server = await GatewayControlServer.listen(target, control.socket);
          closers.push(() => server.close());
        }
        if (control.metrics === undefined) return;
        const metrics = await MetricsServer.listen(target, control.metrics);
        closers.push(() => metrics.close());
      },
    });
    const pidFile = pidPath === undefined ? undefined : await writtenPidFile(pidPath, log);
    if (pidFile !== undefined) closers.push(() => pidFile.remove());
    const told = (word: Promise<void>) =>
      void word.catch((error: unknown) => log.log('warn', 'service manager', { reason: String(error) }));
    closers.push(listenToSignals(gateway, log, manager, told));
    told(manager.ready('Clients can come.'));
    onReady?.();
    const failure = await gateway.stopped;
    if (failure !== undefined) throw failure;
  } finally {
    await gateway?.stop();
    for (const close of closers.reverse()) await close();
  }
}

/** Returns what takes the listeners off again. */
function listenToSignals(gateway: Gateway, log: GatewayLogger, manager: ServiceManager, told: (word: Promise<void>) => void): () => void {
  const stop = (signal: NodeJS.Signals) => {
    log.log('info', 'stopping', { signal });
    told(manager.stopping('Sessions are being ended.'));
    void gateway.stop();
  };
  const reload = async () => {
    told(manager.reloading());
    try {
      await gateway.reload();
    } catch (error) {
      log.log('error', 'the configuration was not reloaded', { reason: error instanceof Error ? error.message : String(error) });
    }
    told(manager.ready('Clients can come.'));
  };
  const listeners = { SIGTERM: stop, SIGINT: stop, SIGHUP: () => void reload(), SIGUSR2: () => void gateway.tidy() } as const;
  const all = Object.entries(listeners) as [NodeJS.Signals, (signal: NodeJS.Signals) => void][];
  for (const [signal, listener] of all) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of all) process.off(signal, listener);
  };
}
