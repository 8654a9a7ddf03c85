/**
 * Manual pages as text for man(1): the few macros that ours use.
 *
 * Read first: man(7).
 */

export type ManSection = readonly [title: string, body: readonly string[]];

export function renderManPage(name: string, sections: readonly ManSection[]): string {
  const body = sections.flatMap(([title, lines]) => [`.SH ${title}`, ...lines]);
  return [`.TH ${escaped(name.toUpperCase())} 1 "" "Sallyport" "User Commands"`, ...body, ''].join('\n');
}

/** Terms in bold, each with its text. */
export function definitions(entries: Readonly<Record<string, string>>): string[] {
  return Object.entries(entries).flatMap(([term, text]) => ['.TP', `.B ${escaped(term)}`, line(text)]);
}

export function paragraphs(sentences: readonly string[]): string[] {
  return sentences.map(line);
}

export interface ManExample {
  readonly text: string;
  readonly commands: readonly string[];
}

export function example({ text, commands }: ManExample): string[] {
  return ['.PP', line(text), '.PP', '.nf', '.RS', ...commands.map(line), '.RE', '.fi'];
}

export function escaped(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
}

/** A line of text: at its beginning a full stop or an apostrophe would be a command. */
export function line(text: string): string {
  return escaped(text).replace(/^([.'])/, '\\&$1');
}
