/** Which of the known names someone has probably meant. */

/** More differences than this, and it is another word. */
const MAX_DIFFERENCES = 3;

/** Longer names are not compared: the work grows with the square. */
const MAX_LENGTH = 64;

/** Undefined where none is near. */
export function nearestName(written: string, names: readonly string[]): string | undefined {
  if (written.length > MAX_LENGTH) return undefined;
  const ranked = names
    .map((name) => ({ name, distance: differences(written.toLowerCase().replaceAll('_', '-'), name) }))
    .filter(({ name, distance }) => distance <= Math.min(MAX_DIFFERENCES, Math.floor(name.length / 2)))
    .toSorted((a, b) => a.distance - b.distance);
  return ranked[0]?.name;
}

/** Letters to insert, remove or change (Levenshtein), by rows of the usual table. */
function differences(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
