/**
 * Runs a connection to its end and says what happens: what the commands that connect have in common.
 *
 * Read first: client/vpn.ts; reporter.ts.
 *
 *   Vpn ─► control socket ─► log-in, tunnel, network ─► up … ─► closed ─► exit code
 *   Ctrl-C: once ─► close();  twice ─► abandon(), exit;  three times ─► exit
 */
import { serveSession } from '../../client/session-control.ts';
import type { Vpn } from '../../client/vpn.ts';
import { SallyportError } from '../../core/errors.ts';
import type { LogFields, LogLevel } from '../../core/log.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { ControlServer } from '../../node/control-socket.ts';
import { programIsWarm } from '../warm-program.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { type Explanation, explainError, explainOutcome, type Stage } from './explanation.ts';
import type { Reporter } from './reporter.ts';

const TICK: Millis = 1_000;

export interface ConnectionHooks {
  /** Called once, when packets flow and that was said. */
  readonly onUp?: () => void;
  /** True: a signal that would end the connection was meant for somebody else. */
  readonly takesSignal?: (signal: NodeJS.Signals) => boolean;
}

export class ConnectionCommand {
  readonly #reporter: Reporter;
  readonly #cancel: AbortController;
  readonly #hooks: ConnectionHooks;
  readonly #forced = Promise.withResolvers<Explanation>();
  #vpn: Vpn | undefined;
  #stage: Stage = 'logging in';
  #lostAt: number | undefined;
  #stops = 0;
  /** The tear-down could not undo all. */
  #isLeftBehind = false;

  constructor(reporter: Reporter, cancel: AbortController, hooks: ConnectionHooks = {}) {
    this.#reporter = reporter;
    this.#cancel = cancel;
    this.#hooks = hooks;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => this.#signalled(signal));
    process.on('SIGUSR1', () => {
      if (this.#vpn !== undefined) this.#reporter.status(this.#vpn.status());
    });
    process.on('SIGUSR2', () => this.#vpn?.reconnect());
  }

  log(level: LogLevel, event: string, fields?: LogFields): void {
    if (event === 'tear-down failed') this.#isLeftBehind = true;
    this.#reporter.log(level, event, fields);
  }

  async run(vpn: Vpn): Promise<ExitCode> {
    this.#vpn = vpn;
    if (this.#cancel.signal.aborted) void vpn.close();
    const control = await this.#serve(vpn);
    this.#follow(vpn);
    const ticking = setInterval(() => {
      if (this.#stage === 'connected') this.#reporter.tick(vpn.status());
    }, TICK).unref();
    try {
      return this.end(await Promise.race([this.#connect(vpn), this.#forced.promise]));
    } finally {
      clearInterval(ticking);
      await control?.close();
    }
  }

  /** Says why the command ends; the tear-down has had its say. */
  end(why: Explanation): ExitCode {
    const status = this.#vpn?.status();
    const ending = this.#isLeftBehind && why.exitCode === EXIT.ok ? { ...why, ...LEFT_BEHIND } : why;
    this.#reporter.ended(ending, status);
    return ending.exitCode;
  }

  async #connect(vpn: Vpn): Promise<Explanation> {
    let failure: unknown;
    try {
      if (vpn.state === 'idle') await vpn.start();
    } catch (error) {
      failure = error;
    }
    const outcome = await vpn.closed;
    // How a session ended says more than why it did not come up. One that failed before it was started ends as if it had been asked to.
    if (failure !== undefined && outcome.kind === 'logged-off' && !this.#cancel.signal.aborted) return explainError(failure, this.#stage);
    return explainOutcome(outcome, this.#stage);
  }

  /** Without a socket the connection works all the same. */
  async #serve(vpn: Vpn): Promise<ControlServer | undefined> {
    try {
      return await serveSession(vpn);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.log('warn', 'control failed', { reason: error.message });
      return undefined;
    }
  }

  #follow(vpn: Vpn): void {
    const reporter = this.#reporter;
    vpn.on('authenticated', () => reporter.authenticated(vpn.status().user));
    vpn.on('lost', (reason) => reporter.lost(reason));
    vpn.on('waiting', (wait, left) => reporter.waiting(wait, left));
    vpn.on('underlay', (change) => reporter.underlay(change));
    vpn.on('transport', (transport) => {
      if (vpn.state === 'up') reporter.transport(transport, vpn.status().cipherSuite);
    });
    vpn.on('state', (state) => {
      reporter.state(state);
      if (state === 'opening' && this.#stage === 'logging in') this.#stage = 'connecting';
      if (state === 'reconnecting') this.#lostAt ??= performance.now();
      if (state === 'up') this.#isUp(vpn);
    });
  }

  #isUp(vpn: Vpn): void {
    const status = vpn.status();
    if (this.#stage === 'connected') {
      this.#reporter.reconnected(status, performance.now() - (this.#lostAt ?? performance.now()));
    } else {
      this.#stage = 'connected';
      if (vpn.config !== undefined) this.#reporter.connected(status, vpn.config);
      this.#hooks.onUp?.();
      programIsWarm();
    }
    this.#lostAt = undefined;
  }

  #signalled(signal: NodeJS.Signals): void {
    if (this.#hooks.takesSignal?.(signal) !== true) this.#stop();
  }

  #stop(): void {
    this.#stops++;
    if (this.#stops > 2) process.exit(EXIT.stopped);
    this.#reporter.stopping(this.#stops > 1);
    this.#cancel.abort();
    void this.#vpn?.close();
    if (this.#stops > 1) void this.#force();
  }

  async #force(): Promise<void> {
    try {
      await this.#vpn?.abandon();
      this.#forced.resolve(FORCED);
    } catch (error) {
      this.#forced.resolve(explainError(error, 'connected'));
    }
  }
}

const FORCED: Explanation = {
  exitCode: EXIT.stopped,
  code: 'ERR_CANCELLED',
  message: 'Stopped without waiting for the gateway. The network is as it was.',
};

const LEFT_BEHIND = {
  exitCode: EXIT.localSetup,
  code: 'ERR_NETWORK_UNDO',
  message: 'Disconnected, but not everything could be put back.',
  next: 'Run "sallyport recover".',
} as const;
