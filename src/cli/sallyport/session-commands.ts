/** `sallyport status`, `disconnect` and `reconnect`: asks the connections of this user's other processes. */
import { hasLeftovers } from '../../client/leftovers.ts';
import { RemoteSession } from '../../client/session-control.ts';
import { gatewayName, type VpnStatus } from '../../client/vpn-status.ts';
import { SallyportError } from '../../core/errors.ts';
import { printable } from '../../core/wire/text.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { type Explanation, explainError } from './explanation.ts';
import { EVENTS_VERSION } from './json-events.ts';
import { statusLines } from './status-text.ts';

export interface SessionArguments {
  readonly json?: true;
  readonly all?: true;
  readonly keepCookie?: true;
}

interface KnownSession {
  readonly session: RemoteSession;
  readonly status: VpnStatus;
}

export async function runStatus({ json }: SessionArguments): Promise<ExitCode> {
  return reporting(json, async () => {
    const sessions = await knownSessions();
    const leftovers = await hasLeftovers();
    if (json) {
      print({
        v: EVENTS_VERSION,
        sessions: sessions.map(({ session: { pid }, status }) => ({ pid, ...status })),
        needsRecovery: leftovers,
      });
    } else {
      const blocks = sessions.map(({ session: { pid }, status }) => statusLines(status, pid, Date.now()).join('\n'));
      say(blocks.length === 0 ? NO_SESSIONS : blocks.join('\n\n'));
      if (leftovers) say('A session that was killed has left the network changed. Run "sallyport recover" to put it back.');
    }
    return sessions.length === 0 ? EXIT.noSession : EXIT.ok;
  });
}

export async function runDisconnect(name: string | undefined, { json, all, keepCookie }: SessionArguments): Promise<ExitCode> {
  return reporting(json, async () => {
    for (const { session, status } of await chosen(name, all === true)) {
      await session.disconnect({ keepCookie: keepCookie === true });
      if (json) print({ v: EVENTS_VERSION, event: 'disconnected', pid: session.pid, gateway: gatewayName(status.gateway) });
      else say(`Disconnected from ${gatewayName(status.gateway)}.`);
    }
    return EXIT.ok;
  });
}

export async function runReconnect(name: string | undefined, { json }: SessionArguments): Promise<ExitCode> {
  return reporting(json, async () => {
    for (const { session, status } of await chosen(name, false)) {
      await session.reconnect();
      if (json) print({ v: EVENTS_VERSION, event: 'reconnecting', pid: session.pid, gateway: gatewayName(status.gateway) });
      else say(`Reconnecting to ${gatewayName(status.gateway)}.`);
    }
    return EXIT.ok;
  });
}

/** Sessions are seen by who started them. */
const NO_SESSIONS =
  process.geteuid?.() === 0
    ? 'There is no session.'
    : 'There is no session of yours. Those that were started with sudo are seen with sudo.';

const SESSION_CHOICE = 'ERR_SESSION_CHOICE';

/** Those that a command is about. Rejects with a {@link SallyportError} if there is none, or no saying which. */
async function chosen(name: string | undefined, all: boolean): Promise<readonly KnownSession[]> {
  const sessions = await knownSessions();
  if (sessions.length === 0) throw new SallyportError(NO_SESSION, NO_SESSIONS);
  if (all) return sessions;
  const matching = name === undefined ? sessions : sessions.filter((session) => namesOf(session).includes(name));
  if (matching.length === 1) return matching;
  const list = sessions
    .map(({ session: { pid }, status: { device, gateway } }) => `  ${device ?? pid}  ${gatewayName(gateway)}`)
    .join('\n');
  if (matching.length === 0) throw new SallyportError(NO_SESSION, `There is no session "${name}". There are:\n${list}`);
  throw new SallyportError(SESSION_CHOICE, `There is more than one session. Name one of them:\n${list}`);
}

const NO_SESSION = 'ERR_NO_SESSION';

/** By what a person may call a session: its interface, its gateway, its process. */
function namesOf({ session: { pid }, status: { device, gateway } }: KnownSession): readonly (string | undefined)[] {
  return [device, gateway.host, gatewayName(gateway), gateway.address, String(pid)];
}

/** One that ends meanwhile is left out. */
async function knownSessions(): Promise<readonly KnownSession[]> {
  const sessions = await RemoteSession.findAll();
  const answers = await Promise.allSettled(sessions.map(async (session) => ({ session, status: await session.status() })));
  return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
}

async function reporting(json: true | undefined, work: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await work();
  } catch (error) {
    const why = explained(error);
    if (json) print({ v: EVENTS_VERSION, event: 'error', ...why });
    else process.stderr.write(`${why.message}${why.next === undefined ? '' : `\n${why.next}`}\n`);
    return why.exitCode;
  }
}

function explained(error: unknown): Explanation {
  if (error instanceof SallyportError && error.code === NO_SESSION)
    return { exitCode: EXIT.noSession, code: error.code, message: error.message };
  if (error instanceof SallyportError && error.code === SESSION_CHOICE)
    return { exitCode: EXIT.usage, code: error.code, message: error.message };
  return explainError(error, 'connected');
}

function say(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

function print(object: object): void {
  process.stdout.write(`${JSON.stringify(object)}\n`);
}
