/**
 * Changes to the text of a password file, line by line, as ocpasswd makes them.
 *
 * Read first: spec "Gateway contract", section 3, "ocpasswd". Observed of ocpasswd 1.1.6: every line of the user is changed, and a user is found by the
 * exact text before the first colon. It forgets comments and lines that it cannot read, and runs a new entry into a last line without an end; we do not.
 */

export type Edit =
  | { readonly kind: 'set'; readonly user: string; readonly groups: string; readonly hash: string }
  | { readonly kind: 'delete' | 'lock' | 'unlock'; readonly user: string };

/** The text after the change. A user who is not there is added by `set`, and no news to the others. */
export function editEntries(text: string, edit: Edit): string {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const edited = lines.flatMap((line) => (userOf(line) === edit.user ? changed(line, edit) : [line]));
  if (edit.kind === 'set' && !lines.some((line) => userOf(line) === edit.user)) edited.push(entry(edit));
  return edited.map((line) => `${line}\n`).join('');
}

/** Undefined: the line is no entry. */
function userOf(line: string): string | undefined {
  return /^([^:]*):[^:]*:/.exec(line)?.[1];
}

function changed(line: string, edit: Edit): string[] {
  const hashAt = line.indexOf(':', line.indexOf(':') + 1) + 1;
  const isLocked = line[hashAt] === '!';
  switch (edit.kind) {
    case 'set':
      return [entry(edit)];
    case 'delete':
      return [];
    case 'lock':
      return [isLocked ? line : `${line.slice(0, hashAt)}!${line.slice(hashAt)}`];
    case 'unlock':
      return [isLocked ? line.slice(0, hashAt) + line.slice(hashAt + 1) : line];
  }
}

function entry({ user, groups, hash }: Extract<Edit, { readonly kind: 'set' }>): string {
  return `${user}:${groups}:${hash}`;
}
