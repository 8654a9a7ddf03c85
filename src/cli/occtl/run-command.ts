/** Does what one line says, and says how it went: text for standard output and standard error, and an exit status. */
import { NetworkError, SallyportError } from '../../core/errors.ts';
import { parseIp } from '../../core/wire/ip-address.ts';
import type { ControlTarget } from '../../gateway/control/control-target.ts';
import { bansJson, bansTable, pointsJson, pointsTable } from './ban-report.ts';
import { COMMANDS, type CommandName, commandLines, commandList, readCommand } from './command-table.ts';
import { isValid, sessionDetails, sessionsJson, sessionsTable } from './session-report.ts';
import { statusJson, statusText } from './status-report.ts';
import { iroutesJson, iroutesTable, shortSession, userDetails, usersJson, usersTable } from './user-report.ts';

export interface ReportOptions {
  /** `--json`. Observed: it changes nothing about actions. */
  readonly isJson: boolean;
  /** `--debug`. */
  readonly isVerbose: boolean;
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
  /** Left for whoever has the terminal. */
  readonly next?: 'watch' | 'exit' | 'reset';
}

/** Observed: exit status for a user or a number that nobody has. */
const NOT_FOUND = 2;

/** Runs a line. `connect` is called for commands that need the gateway, and what it rejects with is passed on. */
export async function runLine(line: string, connect: () => Promise<ControlTarget>, options: ReportOptions): Promise<Outcome> {
  const reading = readCommand(line);
  switch (reading.type) {
    case 'empty':
      return said('', 1);
    case 'unknown':
      return complained(`unknown command: ${line}\nuse help or '?' to get a list of the available commands\n`);
    case 'incomplete':
      return said(commandLines(reading.candidates), 1);
    case 'command':
      return await runCommand(reading.name, reading.argument, connect, options);
  }
}

async function runCommand(
  name: CommandName,
  argument: string,
  connect: () => Promise<ControlTarget>,
  options: ReportOptions,
): Promise<Outcome> {
  switch (name) {
    case 'help':
      return said(commandList(true));
    case 'exit':
      return { ...said(''), next: 'exit' };
    case 'reset':
      return { ...said(''), next: 'reset' };
    case 'show events':
      return { ...said(''), next: 'watch' };
    case 'disconnect user':
    case 'disconnect id':
    case 'unban ip':
    case 'reload':
    case 'stop':
    case 'maintenance on':
    case 'maintenance off':
      return await act(name, argument, connect);
    default:
      return await show(name, argument, await connect(), options);
  }
}

type ShowName = 'show status' | 'show users' | 'show ip bans' | 'show ip ban points' | 'show iroutes' | SessionsName | DetailName;
type SessionsName = 'show sessions all' | 'show sessions valid';
type DetailName = 'show session' | 'show user' | 'show id';

async function show(name: ShowName, argument: string, target: ControlTarget, { isJson, isVerbose }: ReportOptions): Promise<Outcome> {
  // The gateway's clock, so that "since" is right even where the machine of this one is not.
  const status = await target.status();
  const { now } = status;
  switch (name) {
    case 'show status':
      return said(isJson ? statusJson(status, isVerbose) : statusText(status, isVerbose));
    case 'show users': {
      const users = await target.users();
      return said(isJson ? usersJson(users, now) : usersTable(users, now));
    }
    case 'show ip bans': {
      const bans = await target.bans();
      return said(isJson ? bansJson(bans, now) : bansTable(bans, now));
    }
    case 'show ip ban points': {
      const bans = await target.bans();
      return said(isJson ? pointsJson(bans) : pointsTable(bans));
    }
    case 'show iroutes': {
      const users = await target.users();
      return said(isJson ? iroutesJson(users) : iroutesTable(users));
    }
    case 'show sessions all':
    case 'show sessions valid': {
      const all = await target.sessions();
      const sessions = name === 'show sessions all' ? all : all.filter(isValid);
      return said(isJson ? sessionsJson(sessions) : sessionsTable(sessions, now));
    }
    case 'show session': {
      // 1.1.6 knows the short name only.
      const sessions = (await target.sessions()).filter(({ id }) => id === argument || shortSession(id) === argument);
      if (isJson) return said(sessionsJson(sessions));
      return said(sessions.length === 0 ? 'Session ID not found or expired\n' : sessionDetails(sessions));
    }
    case 'show user':
    case 'show id': {
      const id = Number(argument);
      if (name === 'show id' && !isId(argument)) return said(commandLines(COMMANDS), 1);
      const users = (await target.users()).filter((user) => (name === 'show user' ? user.user === argument : user.id === id));
      const isFound = users.length > 0;
      if (isJson) return said(usersJson(users, now), isFound ? 0 : NOT_FOUND);
      return isFound ? said(userDetails(users, now)) : said('user or ID not found\n', NOT_FOUND);
    }
  }
}

type ActionName = 'disconnect user' | 'disconnect id' | 'unban ip' | 'reload' | 'stop' | 'maintenance on' | 'maintenance off';

async function act(name: ActionName, argument: string, connect: () => Promise<ControlTarget>): Promise<Outcome> {
  switch (name) {
    case 'disconnect user': {
      const isDone = (await (await connect()).disconnectUser(argument)) > 0;
      return isDone ? said(`user '${argument}' was disconnected\n`) : said(`could not disconnect user '${argument}'\n`, 1);
    }
    case 'disconnect id': {
      if (!isId(argument)) return said(commandLines(COMMANDS), 1);
      const isDone = await (await connect()).disconnectId(Number(argument));
      return isDone ? said(`connection ID '${argument}' was disconnected\n`) : said(`could not disconnect ID '${argument}'\n`, 1);
    }
    case 'unban ip': {
      // Observed: without a line end.
      if (parseIp(argument) === undefined) return complained(`Cannot parse IP: ${argument}`);
      const isDone = await (await connect()).unban(argument);
      return isDone ? said(`IP '${argument}' was unbanned\n`) : said(`could not unban IP '${argument}'\n`, 1);
    }
    case 'reload':
    case 'stop': {
      const target = await connect();
      return await scheduled(name, name === 'reload' ? target.reload() : target.stop());
    }
    case 'maintenance on':
    case 'maintenance off':
      await (await connect()).maintain(name === 'maintenance on');
      return said(`Server maintenance is ${name === 'maintenance on' ? 'on' : 'off'}\n`);
  }
}

/** The gateway says no with a reason, which 1.1.6 does not have: it goes to standard error. */
async function scheduled(action: 'reload' | 'stop', done: Promise<void>): Promise<Outcome> {
  try {
    await done;
    return said(`Server scheduled to ${action}\n`);
  } catch (error) {
    if (!(error instanceof SallyportError) || error instanceof NetworkError) throw error;
    return { stdout: `Error scheduling server ${action}\n`, stderr: `${error.message}\n`, status: 1 };
  }
}

/** The number of a connection. */
function isId(text: string): boolean {
  return /^[1-9]\d{0,14}$/.test(text);
}

function said(stdout: string, status = 0): Outcome {
  return { stdout, stderr: '', status };
}

function complained(stderr: string): Outcome {
  return { stdout: '', stderr, status: 1 };
}
