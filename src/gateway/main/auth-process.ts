/** Main's end of the process with the secrets. */
import type { Logger } from '../../core/log.ts';
import type { IpAddress } from '../../core/wire/ip-address.ts';
import { logFor } from '../log/gateway-logger.ts';
import type { AuthService } from '../processes/auth-service.ts';
import { type GatewayChild, startAuth } from '../processes/child-processes.ts';
import type { AuthSetup, AuthStart } from '../processes/gateway-auth.ts';
import type { LogNotices } from '../processes/remote-logger.ts';

export interface AuthProcess {
  readonly child: GatewayChild;
  readonly service: AuthService;
}

/** Resolves when it can answer; rejects with what is wrong with its files. */
export async function startAuthProcess(
  setup: AuthSetup,
  { log, onFailed }: { readonly log: Logger; readonly onFailed: (remote: IpAddress) => void },
): Promise<AuthProcess> {
  const ownLog = logFor(log, 'sec-mod');
  const notices: LogNotices & { failed(remote: IpAddress): void } = {
    log: (level, event, fields) => ownLog.log(level, event, fields),
    failed: onFailed,
  };
  const child = startAuth({
    peer: 'the auth process',
    serves: { ...notices },
    onFault: (error) => log.log('error', 'the auth process failed', { reason: error.message }),
  });
  try {
    await child.rpc.remote<AuthStart>().start(setup);
  } catch (error) {
    await child.end();
    throw error;
  }
  return { child, service: child.rpc.remote<AuthService>() };
}
