/**
 * The drop-in for occtl: one command from the arguments, or a prompt.
 *
 * Read first: spec "Gateway contract", section 4; `command-table.ts`, then `run-command.ts`.
 */
import { SallyportError } from '../../core/errors.ts';
import { ownVersion } from '../openconnect/version.ts';
import { helpText, type OcctlSettings, readOcctlArguments, versionText } from './command-line.ts';
import { GatewayLink } from './gateway-link.ts';
import { showPaged } from './pager.ts';
import { RESET_TERMINAL, runPrompt } from './prompt.ts';
import { untilQuitKey } from './quit-key.ts';
import { type Outcome, runLine } from './run-command.ts';
import { watchEvents } from './watch-events.ts';

/** Runs to the end; resolves with the exit status. */
export async function main(): Promise<number> {
  process.stdout.on('error', () => undefined); // a reader that has seen enough
  const commandLine = readOcctlArguments(process.argv.slice(2));
  switch (commandLine.type) {
    case 'help':
      process.stdout.write(helpText());
      return 0;
    case 'version':
      process.stderr.write(versionText(ownVersion()));
      return 0;
    case 'run':
      return await run(commandLine.settings);
  }
}

async function run(settings: OcctlSettings): Promise<number> {
  const gateway = new GatewayLink(settings.socket);
  const connect = () => gateway.connect();
  const runOne = (line: string) => unlessItFails(() => runLine(line, connect, settings));
  const show = async ({ stdout, stderr }: Outcome) => {
    if (settings.usesPager) await showPaged(stdout, process.stdout);
    else process.stdout.write(stdout);
    process.stderr.write(stderr);
  };
  const watch = async (): Promise<number> => {
    const outcome = await unlessItFails(() => watchGateway(gateway, settings));
    await show(outcome);
    return outcome.status;
  };
  try {
    if (settings.line !== '') {
      const outcome = await runOne(settings.line);
      await show(outcome);
      if (outcome.next === 'reset') process.stdout.write(RESET_TERMINAL);
      return outcome.next === 'watch' ? await watch() : outcome.status;
    }
    if (settings.isJson) return 1; // observed: JSON is for one command only
    process.stderr.write(versionText(ownVersion()));
    await runPrompt({ input: process.stdin, output: process.stdout, connect, run: runOne, show, watch });
    return 0;
  } finally {
    gateway.close();
  }
}

async function watchGateway(gateway: GatewayLink, { isJson }: OcctlSettings): Promise<Outcome> {
  const target = await gateway.connect();
  const write = (text: string) => void process.stdout.write(text);
  const complain = (text: string) => void process.stderr.write(text);
  await untilQuitKey(process.stdin, (signal) => watchEvents(target, { isJson, write, complain, signal }));
  return { stdout: '', stderr: '', status: 0 };
}

/** What is wrong with the gateway or the way to it is said in a line. */
async function unlessItFails(work: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SallyportError) return { stdout: '', stderr: `${error.message}\n`, status: 1 };
    throw error;
  }
}
