/**
 * The network set up by the user's script, as openconnect does it; from `connect` to `disconnect` a journal says how to undo it after a crash.
 *
 * Read first: spec "vpnc-script", sections 1 to 3.
 */
import type { Logger } from '../core/log.ts';
import type { TunnelConfig } from '../core/tunnel/config.ts';
import { type ScriptReason, scriptEnvironment } from '../core/tunnel/script-environment.ts';
import { type ScriptOutcome, ScriptRunner } from '../node/network/script-runner.ts';
import { ScriptSession } from '../node/network/script-session.ts';
import type { NetworkFacts, NetworkSetup } from './network-setup.ts';

export interface ScriptNetworkOptions {
  /** A shell command. */
  readonly command: string;
  /** 0 errors, 1 information, 2 debugging, 3 traces. */
  readonly logLevel: 0 | 1 | 2 | 3;
  /** The interface that the user named: scripts know it before the device is open. */
  readonly wantedDevice?: string;
  readonly log: Logger;
}

export class ScriptNetwork implements NetworkSetup {
  readonly #options: ScriptNetworkOptions;
  readonly #session: ScriptSession;

  constructor(options: ScriptNetworkOptions) {
    this.#options = options;
    this.#session = new ScriptSession(new ScriptRunner({ command: options.command }), { log: options.log });
  }

  preInit(config: TunnelConfig, facts: NetworkFacts): Promise<void> {
    return this.#run('pre-init', config, facts);
  }

  connect(config: TunnelConfig, facts: NetworkFacts): Promise<void> {
    return this.#run('connect', config, facts);
  }

  attemptReconnect(config: TunnelConfig, facts: NetworkFacts): Promise<void> {
    return this.#run('attempt-reconnect', config, facts);
  }

  reconnect(config: TunnelConfig, facts: NetworkFacts): Promise<void> {
    return this.#run('reconnect', config, facts);
  }

  disconnect(config: TunnelConfig, facts: NetworkFacts): Promise<void> {
    return this.#run('disconnect', config, facts);
  }

  /** This process is about to become another user. */
  handOver(): void {
    this.#session.handOver();
  }

  /** A script that fails is said, and the tunnel stays (spec 1). */
  async #run(reason: ScriptReason, config: TunnelConfig, { gateway, deviceName }: NetworkFacts): Promise<void> {
    const { logLevel, wantedDevice, command, log } = this.#options;
    const name = deviceName ?? wantedDevice;
    const facts = { reason, gateway, pid: process.pid, logLevel, ...(name !== undefined && { deviceName: name }) };
    const outcome = await this.#session.run(scriptEnvironment(config, facts, Object.keys(process.env)));
    report(command, outcome, log);
  }
}

function report(script: string, outcome: ScriptOutcome, log: Logger): void {
  switch (outcome.kind) {
    case 'ok':
      break;
    case 'failed':
      log.log('error', 'script failed', { script, status: outcome.status });
      break;
    case 'not-executed':
      log.log('error', 'script failed', { script, status: outcome.status ?? outcome.why });
      break;
    case 'killed':
      log.log('error', 'script killed', { script, signal: outcome.signal });
      break;
    default:
      outcome satisfies never;
  }
}
