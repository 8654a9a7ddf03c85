/**
 * The process with the secrets: passwords, RADIUS, PAM, cookies. It hears main and nobody else, and ends with it.
 *
 * Started by `child-processes.ts`; the first call is `start`.
 */
import { randomBytes } from 'node:crypto';
import { MisuseError } from '../../core/errors.ts';
import { createAuthService } from '../auth/auth-service.ts';
import type { GatewayConfig, SessionPolicy } from '../config/gateway-config.ts';
import { resolvePolicy } from '../config/session-policy.ts';
import type { AuthService, KnownSession } from './auth-service.ts';
import { parentChannel } from './process-channel.ts';
import { RemoteLogger } from './remote-logger.ts';
import { Rpc, type Served } from './rpc.ts';

export interface AuthSetup {
  readonly config: GatewayConfig;
  /** Where sessions are kept over a restart. */
  readonly stateFile: string;
}

/** What main calls before everything else. */
export interface AuthStart {
  start(setup: AuthSetup): Promise<void>;
}

const METHODS: readonly (keyof AuthService)[] = [
  'begin',
  'answer',
  'knows',
  'session',
  'has',
  'rebound',
  'opened',
  'reported',
  'closed',
  'revokePasses',
  'sessions',
];

/** With the files of users and groups, which may set time-outs and roaming too. */
async function policyOf(config: GatewayConfig | undefined, { user, group, host, policy }: KnownSession): Promise<SessionPolicy> {
  const own = config?.hosts.find(({ name }) => name === host) ?? config?.hosts[0];
  if (own === undefined) throw new MisuseError('the gateway has no host');
  const asked = { user, groups: group === undefined ? [] : [group], ...(policy !== undefined && { backEnd: policy }) };
  return (await resolvePolicy(own, asked)).policy;
}

function main(): void {
  const channel = parentChannel();
  if (channel === undefined) {
    process.stderr.write('This program is a part of the gateway, which starts it by itself.\n');
    process.exit(1);
  }
  let config: GatewayConfig | undefined;
  let log: RemoteLogger | undefined;
  let service: (AuthService & AsyncDisposable) | undefined;
  const serve = (name: keyof AuthService): Served => {
    return (...args: never[]) => {
      if (service === undefined) throw new MisuseError('the auth process has not been started');
      return (service[name] as (...all: unknown[]) => unknown)(...args);
    };
  };
  const rpc: Rpc = new Rpc(channel, {
    peer: 'main',
    serves: {
      start: async ({ config: first, stateFile }: AuthSetup) => {
        config = first;
        log = new RemoteLogger(rpc, first.logLevel);
        service = await createAuthService(first, {
          stateFile,
          events: { failed: (remote) => rpc.notify('failed', [remote]) },
          log,
          now: Date.now,
          random: randomBytes,
          policyOf: (session) => policyOf(config, session),
        });
      },
      ...Object.fromEntries(METHODS.map((name) => [name, serve(name)])),
      reload: async (next: GatewayConfig) => {
        await service?.reload(next);
        config = next;
        log?.setLevel(next.logLevel);
      },
    },
    onFault: (error) => {
      process.stderr.write(`${error.message}\n`);
      process.exit(1);
    },
  });
  channel.onClose(() => {
    const ended = Promise.resolve(service?.[Symbol.asyncDispose]());
    void ended.finally(() => process.exit(0));
  });
}

main();
