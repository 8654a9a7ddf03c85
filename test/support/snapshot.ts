/**
 * What a VPN may change on a machine, as text, and the difference between two moments: the proof that a client cleans up after itself.
 *
 * @example
 * const before = await takeSnapshot(lab.client);
 * … connect, break things, disconnect …
 * assertUnchanged(before, await takeSnapshot(lab.client));
 */
import { AssertionError } from 'node:assert';
import { readFileSync } from 'node:fs';
import type { Namespace } from './namespaces.ts';

/** Lines of text by subject. Lines that say when something happened, and not what there is, are left out. */
export type NetworkSnapshot = ReadonlyMap<string, readonly string[]>;

/** Each subject with the command that lists it, one thing a line. */
const COMMANDS: Readonly<Record<string, string>> = {
  device: 'ip -oneline link show',
  address: 'ip -oneline address show',
  'IPv4 route': 'ip -4 route show table all',
  'IPv6 route': 'ip -6 route show table all',
  'IPv4 rule': 'ip -4 rule show',
  'IPv6 rule': 'ip -6 rule show',
  'packet filter': 'nft --stateless list ruleset', // without counters
};

const FILES = ['/etc/resolv.conf', '/etc/hosts'];

const SECTION = '\u0001'; // no command prints it

/** What there is now in a namespace: devices, addresses, routes and rules of all tables, packet filter, resolver files and processes. */
export async function takeSnapshot(namespace: Namespace): Promise<NetworkSnapshot> {
  const processes = namespace.processes().map(({ pid, command }) => `${pid} ${command}`);
  const script = Object.values(COMMANDS).map((command) => `${command} && echo ${SECTION}`);
  const sections = (await namespace.run('sh', ['-c', script.join(' && ')])).split(`${SECTION}\n`);
  const snapshot = new Map<string, readonly string[]>();
  for (const [i, subject] of Object.keys(COMMANDS).entries()) snapshot.set(subject, linesOf(sections[i] ?? ''));
  for (const name of FILES) snapshot.set(name, contentOf(namespace.file(name)));
  return snapshot.set('process', processes);
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

/** The lines of a file, blank ones too; one that is not there differs from an empty one. */
function contentOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ['(there is no such file)'];
    throw error;
  }
}

/** One line for each thing that is gone (`- `) or new (`+ `), its subject in front. Empty: nothing has changed. */
export function differences(before: NetworkSnapshot, after: NetworkSnapshot): string[] {
  const found: string[] = [];
  for (const subject of new Set([...before.keys(), ...after.keys()])) {
    const old = before.get(subject) ?? [];
    const now = after.get(subject) ?? [];
    const changes = [
      ...without(old, now).map((line) => `- ${subject}: ${line}`),
      ...without(now, old).map((line) => `+ ${subject}: ${line}`),
    ];
    const isReordered = changes.length === 0 && isFile(subject) && old.join('\n') !== now.join('\n');
    found.push(...(isReordered ? [`± ${subject}: the same lines in another order`] : changes));
  }
  return found;
}

/** In a file the order of lines has a meaning; lists of the kernel come as they come. */
const isFile = (subject: string): boolean => subject.startsWith('/');

/** The lines of `a` that `b` does not have; a line that is there twice counts twice. */
function without(a: readonly string[], b: readonly string[]): string[] {
  const left = [...b];
  return a.filter((line) => {
    const at = left.indexOf(line);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

/** Throws with a readable difference unless both snapshots say the same. */
export function assertUnchanged(before: NetworkSnapshot, after: NetworkSnapshot): void {
  const changes = differences(before, after);
  if (changes.length === 0) return;
  throw new AssertionError({ message: `The network is not as it was:\n${changes.join('\n')}`, stackStartFn: assertUnchanged });
}
