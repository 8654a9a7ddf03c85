/**
 * Runs a session for the drop-in: from settings to the last words.
 *
 * Read first: spec "CLI", sections 3.5 (background, setuid, syslog), 5 (output) and 8 (signals).
 *
 *   certificates ─► log-in ─► tunnel ─► `Configured as`, pid file, syslog ─► device, script ─► -b, -U ─► … ─► last words
 */
import { VpnClient } from '../../client/vpn-client.ts';
import type { VpnSession } from '../../client/vpn-session.ts';
import { wallClock } from '../../client/wall-clock.ts';
import type { BrowseRequest, Credential } from '../../core/auth/login-io.ts';
import { CancelledError, SallyportError } from '../../core/errors.ts';
import type { Outcome } from '../../core/session/session-machine.ts';
import { browseWith } from '../../node/browser-login.ts';
import type { ClientIdentity } from '../../node/credentials/client-identity.ts';
import type { PacketEngine } from '../../node/engine/packet-engine.ts';
import { checkHost } from '../../node/host-check.ts';
import { startHostHelper } from '../../node/host-helper.ts';
import { reportOnHost } from '../../node/host-report.ts';
import { hasState } from '../../node/network/state-directory.ts';
import { UnreachableError } from '../../node/tcp-dial.ts';
import type { BackgroundReport } from '../background.ts';
import { programIsWarm } from '../warm-program.ts';
import { authenticateText, cookieText } from './authenticate-output.ts';
import { askAboutCertificate } from './certificate-question.ts';
import { clientSettings } from './client-settings.ts';
import { EXIT_FAILURE, EXIT_OK, lastWords, type Stage } from './exit-status.ts';
import { loginAnswers } from './login-answers.ts';
import type { Output } from './output.ts';
import { becomeUser, PID_FILE_FAILED, PidFile } from './process-wishes.ts';
import { type DropInNetwork, networkFor, openDeviceFor } from './session-network.ts';
import type { CertificateSettings, Settings } from './settings.ts';
import { configuredAs, statisticsLines } from './status-text.ts';
import { NoAnswerError, type Terminal } from './terminal.ts';
import { loadToken } from './token-file.ts';

export interface SessionCommandOptions {
  readonly settings: Settings;
  /** The name we were called by. */
  readonly programName: string;
  readonly output: Output;
  readonly terminal: Terminal;
  /** The way to the parent that waits for the tunnel, if we are in the background. */
  readonly background: BackgroundReport | undefined;
  /** Carries the tunnel; undefined if only the cookie is wanted. Closed when the session is over. */
  readonly engine: Promise<PacketEngine> | undefined;
}

/** Runs until the session is over; resolves with the exit status. */
export async function runSession(options: SessionCommandOptions): Promise<number> {
  const command = new SessionCommand(options);
  try {
    return await command.run();
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    return command.failed({ kind: 'failed', message: error.message, error }, 'logging in');
  }
}

class SessionCommand {
  readonly #options: SessionCommandOptions;
  readonly #cancel = new AbortController();
  #session: VpnSession | undefined;
  #pidFile: PidFile | undefined;
  /** `--setuid` could not be done: nothing goes on with more rights than were asked for. */
  #isUserRefused = false;

  constructor(options: SessionCommandOptions) {
    this.#options = options;
  }

  async run(): Promise<number> {
    const { settings, output, engine } = this.#options;
    this.#listenToSignals();
    await this.#undoLeftovers();
    const client = await this.#client();
    const credential = this.#givenCredential();
    if (engine === undefined) {
      const result = credential ?? (await client.logIn(this.#cancel.signal));
      output.result(settings.mode === 'authenticate' ? authenticateText(result) : cookieText(result));
      return EXIT_OK;
    }
    try {
      return await this.#connect(client, credential, engine);
    } finally {
      await engine.then(
        (started) => started.close(),
        () => undefined,
      ); // one that did not start needs no end
    }
  }

  /** Says why there is no session, and with which status to leave. */
  failed(outcome: Outcome, stage: Stage): number {
    const { error } = outcome;
    const { status, events } = lastWords(outcome, stage);
    for (const [event, fields] of events) {
      if (event === 'reason' && error !== undefined && isSaid(error)) continue;
      this.#options.output.log('info', event, fields);
    }
    return status;
  }

  /** A session that was killed may have left name servers that answer no more: undone before a name is looked up. */
  async #undoLeftovers(): Promise<void> {
    const { settings, output } = this.#options;
    if (!hasState()) return; // so it mostly is, and nothing more is loaded
    const { recoverLeftovers } = await import('../../client/leftovers.ts');
    try {
      await recoverLeftovers(output, this.#cancel.signal, { scriptOutput: settings.mode === 'connect' ? 'inherit' : process.stderr.fd });
    } catch (error) {
      if (!(error instanceof SallyportError) || error instanceof CancelledError) throw error;
      output.log('error', 'recovery failed', { reason: error.message });
    }
  }

  async #client(): Promise<VpnClient> {
    const { settings, output, terminal } = this.#options;
    const { signal } = this.#cancel;
    const { certificate, userCertificate, login, hostCheck } = settings;
    const { externalBrowser: browser } = login;
    const token = login.token && (await loadToken(login.token, output));
    const identity = certificate && (await this.#identity(certificate));
    const userIdentity = userCertificate && (await this.#identity(userCertificate));
    return VpnClient.create(
      clientSettings(settings, {
        ...(identity !== undefined && { identity }),
        ...(userIdentity !== undefined && { userIdentity }),
        ...(token?.mode === 'oidc' && { bearerToken: token.bearer }),
      }),
      {
        log: output,
        answerer: () => loginAnswers({ login, token, terminal, level: settings.messages.level, log: output, signal }),
        confirmCertificate: (question) => askAboutCertificate(terminal, { ...question, reason: question.fault }, { signal }),
        checkHost: (request) => checkHost(request, { ...hostCheck, signal, log: output }),
        ...(hostCheck.wrapper !== undefined && {
          startHelper: startHostHelper({ ...hostCheck, wrapper: hostCheck.wrapper, signal, log: output }),
        }),
        reportHost: (request) => reportOnHost(request, { ...hostCheck, signal, log: output }),
        ...(browser !== undefined && { browse: (request: BrowseRequest) => browseWith(browser, request, signal) }),
      },
    );
  }

  async #identity(certificate: CertificateSettings): Promise<ClientIdentity> {
    const { settings, output, terminal } = this.#options;
    const { loadCertificate, warnOfExpiry } = await import('./client-certificate.ts'); // with it come all formats of keys
    const identity = await loadCertificate(certificate, terminal, this.#cancel.signal);
    warnOfExpiry(identity, settings.trust.certExpireWarning, new Date(), output);
    return identity;
  }

  #givenCredential(): Credential | undefined {
    const { server, login, protocol } = this.#options.settings;
    return login.cookie && { protocol, gateway: server, pin: NO_PIN, cookie: login.cookie };
  }

  async #connect(client: VpnClient, credential: Credential | undefined, engine: Promise<PacketEngine>): Promise<number> {
    const { settings, output } = this.#options;
    const { level } = settings.messages;
    const network = networkFor(settings.network, level, output);
    const session = client.session({
      engine,
      openDevice: openDeviceFor(settings.network, level, engine),
      network,
      configured: () => this.#configured(session),
      configuredFirst: settings.process.background || settings.messages.syslog, // a file may be refused; what the script does is told elsewhere
    });
    this.#session = session;
    let stage: Stage = 'logging in';
    session.on('authenticated', (given) => {
      if (settings.mode === 'printcookie') output.result(cookieText(given));
    });
    session.on('state', ({ name }) => {
      if (name === 'opening') stage = 'connecting';
      if (name === 'bringing-up') stage = 'setting up';
      // A tunnel that was lost while the script ran: what it set up is there all the same.
      if (name !== 'up' && name !== 'reconnecting') return;
      if (stage !== 'up') this.#isUp(network);
      stage = 'up';
    });
    session.on('waiting', (wait, left) => {
      output.log('info', 'reconnect waiting', { seconds: Math.round(wait / 1000), remaining: Math.round(left / 1000) });
    });
    if (credential !== undefined && settings.mode === 'printcookie') output.result(cookieText(credential));
    if (this.#cancel.signal.aborted) void session.stop();
    session.start(credential);
    const outcome = await session.closed;
    this.#pidFile?.remove();
    return this.#isUserRefused ? EXIT_FAILURE : this.failed(outcome, stage);
  }

  /** The tunnel is there; nothing of this machine's network has changed yet. */
  async #configured(session: VpnSession): Promise<void> {
    const { settings, output, programName } = this.#options;
    const { config } = session;
    const status = session.status();
    if (config === undefined || status === undefined) return;
    output.log('info', 'configured', { text: configuredAs({ config, status: atStart(status) }) });
    if (config.expiresAt !== undefined) output.log('info', 'session expires', { at: wallClock(config.expiresAt).getTime() });
    if (settings.messages.syslog) {
      const { Syslog } = await import('../../node/ffi/syslog.ts');
      const syslog = new Syslog(programName);
      output.useSyslog({ log: (priority, line) => syslog.write(priority, line) });
    }
    const { background, pidFile } = settings.process;
    if (background && pidFile !== undefined) this.#pidFile = PidFile.open(pidFile, output);
  }

  /** Device and script have done their part. */
  #isUp(network: DropInNetwork): void {
    const { settings, output, background } = this.#options;
    const { setuid } = settings.process;
    this.#pidFile?.write();
    background?.up();
    programIsWarm();
    if (setuid === undefined) return;
    network.handOver?.();
    if (becomeUser(setuid, output)) return;
    this.#isUserRefused = true;
    void this.#session?.stop();
  }

  #listenToSignals(): void {
    const { output, terminal } = this.#options;
    const stop = (how: 'log-off' | 'detach') => {
      this.#cancel.abort();
      void this.#session?.stop(how);
    };
    process.on('SIGINT', () => stop('log-off'));
    process.on('SIGTERM', () => stop('log-off'));
    process.on('SIGHUP', () => stop('detach'));
    // Observed: they end a question that openconnect asks, and so the log-in.
    process.on('SIGUSR1', () => void (terminal.interrupt() || this.#showStatistics()));
    process.on('SIGUSR2', () => {
      if (terminal.interrupt()) return;
      output.log('info', 'paused');
      output.log('info', 'reconnect requested');
      this.#session?.reconnect();
    });
  }

  #showStatistics(): void {
    const session = this.#session;
    const status = session?.status();
    if (session?.config === undefined || status === undefined) return;
    const { config } = session;
    const { received, sent } = session.traffic();
    const facts = { config, status, received, sent, now: performance.now() };
    const expiry = config.expiresAt === undefined ? {} : { expiresAt: wallClock(config.expiresAt) };
    for (const line of statisticsLines({ ...facts, ...expiry })) this.#options.output.always(line);
  }
}

/** The terminal, the dialer or the pid file has said so; and who cancelled knows. */
function isSaid(error: SallyportError): boolean {
  const isTold = error instanceof NoAnswerError || error instanceof UnreachableError || error.code === PID_FILE_FAILED;
  return isTold || error instanceof CancelledError;
}

/** Where there was no log-in nothing is known of the gateway's key: what `--servercert` and the authorities say decides. */
const NO_PIN = `pin-sha256:${Buffer.alloc(32).toString('base64')}`;

/** openconnect says `connected` while no packet has gone that way. */
function atStart(status: Parameters<typeof configuredAs>[0]['status']): typeof status {
  return status.datagram.state === 'established' ? { ...status, datagram: { ...status.datagram, state: 'connected' } } : status;
}
