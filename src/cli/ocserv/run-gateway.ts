/**
 * Runs a gateway until it is told to stop: what `sallyport-ocserv` and `sallyport gateway` have in common.
 *
 *   SIGHUP          reload; sessions stay          SIGTERM, SIGINT   drain, end sessions, leave
 *   SIGUSR2         maintenance now (leases of sessions that are gone)
 */
import { SallyportError } from '../../core/errors.ts';
import type { GatewayConfig } from '../../gateway/config/gateway-config.ts';
import type { LoadedConfig } from '../../gateway/config/ocserv-conf.ts';
import { GatewayControlServer } from '../../gateway/control/control-server.ts';
import { Gateway } from '../../gateway/gateway.ts';
import type { GatewayLogger } from '../../gateway/log/gateway-logger.ts';

export interface RunOptions {
  readonly load: () => Promise<LoadedConfig>;
  readonly serverName: string;
  readonly log: GatewayLogger;
  /** Clients can come. */
  readonly onReady: (gateway: Gateway, config: GatewayConfig) => Promise<void> | void;
}

/** Resolves with the exit status when the gateway has stopped. */
export async function runGateway({ load, serverName, log, onReady }: RunOptions): Promise<number> {
  const first = await load();
  let gateway: Gateway;
  try {
    gateway = await Gateway.start({ load: once(first, load), serverName, log });
  } catch (error) {
    log.log('error', error instanceof SallyportError ? error.message : String((error as Error).stack));
    return 1;
  }
  const { control } = first.config;
  let server: GatewayControlServer | undefined;
  try {
    if (control.isEnabled) server = await GatewayControlServer.listen(gateway.control, control.socket);
    listenToSignals(gateway, log);
    await onReady(gateway, first.config);
    await gateway.stopped;
  } catch (error) {
    log.log('error', error instanceof SallyportError ? error.message : String((error as Error).stack));
    await gateway.stop();
    return 1;
  } finally {
    await server?.close();
  }
  return 0;
}

/** The first call gets what was read already. */
function once(first: LoadedConfig, load: () => Promise<LoadedConfig>): () => Promise<LoadedConfig> {
  let next: LoadedConfig | undefined = first;
  return async () => {
    const loaded = next ?? (await load());
    next = undefined;
    return loaded;
  };
}

function listenToSignals(gateway: Gateway, log: GatewayLogger): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      log.log('info', 'stopping', { signal });
      void gateway.stop();
    });
  }
  process.on('SIGHUP', () => {
    gateway.reload().catch((error: unknown) => {
      log.log('error', 'the configuration was not reloaded', { reason: error instanceof Error ? error.message : String(error) });
    });
  });
  process.on('SIGUSR2', () => void gateway.tidy());
}
