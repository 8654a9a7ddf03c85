/** What the Tab key offers at the prompt: the next word of a command, then names, numbers and addresses that the gateway knows. */
import type { ControlTarget } from '../../gateway/control/control-target.ts';
import { COMMANDS, readCommand } from './command-table.ts';
import { shortSession } from './user-report.ts';

/** Candidates for the last word of the line, a single one with the blank behind it, and that word. Where the gateway does not answer there are none. */
export async function completions(line: string, connect: () => Promise<ControlTarget>): Promise<[string[], string]> {
  const word = /\S*$/.exec(line)?.[0] ?? '';
  const before = line
    .slice(0, line.length - word.length)
    .trim()
    .replace(/\s+/g, ' ')
    .toLowerCase();
  const values = COMMANDS.some(({ words, argument }) => words === before && argument?.startsWith('[') === true)
    ? await valuesFor(before, connect)
    : nextWords(before);
  const candidates = [...new Set(values)].filter((value) => value.toLowerCase().startsWith(word.toLowerCase()));
  return [candidates.length === 1 ? candidates.map((candidate) => `${candidate} `) : candidates, word];
}

/** Words that stand behind these in some command. */
function nextWords(before: string): string[] {
  const beginning = before === '' ? '' : `${before} `;
  return COMMANDS.filter(({ words }) => words.startsWith(beginning)).map(({ words }) => words.slice(beginning.length).split(' ')[0] ?? '');
}

async function valuesFor(command: string, connect: () => Promise<ControlTarget>): Promise<string[]> {
  const reading = readCommand(`${command} x`);
  if (reading.type !== 'command') return [];
  const target = await connect();
  switch (reading.name) {
    case 'show user':
    case 'disconnect user':
      return (await target.users()).flatMap(({ user }) => (user === undefined ? [] : [user]));
    case 'show id':
    case 'disconnect id':
      return (await target.users()).map(({ id }) => String(id));
    case 'show session':
      return (await target.sessions()).map(({ id }) => shortSession(id));
    case 'unban ip':
      return (await target.bans()).map(({ address }) => address);
    default:
      return [];
  }
}
