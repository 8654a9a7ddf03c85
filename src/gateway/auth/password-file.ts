/**
 * The password file of ocserv and its tool: one user a line.
 *
 *   alice:staff,admins:$5$salt$hash      groups: `*`, or one of a single character, is none
 *   bob:*:!$5$salt$hash                  `!`: locked
 *
 * Read first: spec "Gateway contract", section 3, "ocpasswd".
 */

/** Users of one file; more belong into a directory service. */
const MAX_USERS = 1_000_000;

/** Groups of one user. */
const MAX_GROUPS = 128;

export interface PasswordEntry {
  readonly user: string;
  readonly groups: readonly string[];
  /** As crypt(3) makes it, without the mark of a locked one. */
  readonly hash: string;
  readonly isLocked: boolean;
}

/** Reads a whole file. Lines that are no entries are skipped; of several for one user the first counts. */
export function parsePasswordFile(text: string): ReadonlyMap<string, PasswordEntry> {
  const entries = new Map<string, PasswordEntry>();
  for (const line of text.split('\n')) {
    const entry = parsePasswordLine(line);
    if (entry === undefined || entries.has(entry.user)) continue;
    if (entries.size >= MAX_USERS) break;
    entries.set(entry.user, entry);
  }
  return entries;
}

/** One line, without its end; undefined if it is no entry. */
export function parsePasswordLine(line: string): PasswordEntry | undefined {
  const [user, groups, rest] = line.replace(/\r$/, '').split(':');
  if (user === undefined || user === '' || groups === undefined || rest === undefined) return undefined;
  const isLocked = rest.startsWith('!');
  const hash = isLocked ? rest.slice(1) : rest;
  return { user, groups: parseGroups(groups), hash: hash.trim(), isLocked };
}

export function parseGroups(text: string): readonly string[] {
  const groups = text.split(',').map((group) => group.trim());
  return groups.filter((group) => group.length > 1).slice(0, MAX_GROUPS);
}
