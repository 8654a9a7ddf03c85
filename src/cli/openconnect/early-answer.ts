/** What the command says, and with which exit status it leaves, where a command line asks for no connection. */
import type { CommandLine } from './command-line.ts';
import { completionLines } from './completion.ts';
import { EXIT_FAILURE, EXIT_OK } from './exit-status.ts';
import { type HelpFacts, helpLines } from './help.ts';
import { type VersionFacts, versionLines } from './version.ts';

export interface EarlyAnswer {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Observed: a completion of a word that is not there. */
const EXIT_NO_SUCH_WORD = 234;

export function earlyAnswer(commandLine: Exclude<CommandLine, { readonly type: 'connect' }>, facts: HelpFacts & VersionFacts): EarlyAnswer {
  switch (commandLine.type) {
    case 'version':
      return { stdout: text(versionLines(facts)), stderr: '', status: EXIT_OK };
    case 'help':
      return { stdout: text(helpLines(facts)), stderr: '', status: EXIT_FAILURE };
    case 'usage-error':
      return { stdout: commandLine.showUsage ? text(helpLines(facts)) : '', stderr: text(commandLine.lines), status: EXIT_FAILURE };
    case 'autocomplete': {
      const lines = completionLines(commandLine.words, commandLine.index, facts.platform);
      return { stdout: text(lines ?? []), stderr: '', status: lines === undefined ? EXIT_NO_SUCH_WORD : EXIT_OK };
    }
  }
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
