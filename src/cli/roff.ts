/**
 * Manual pages as text for man(1): the few macros that ours use.
 *
 * Read first: man(7).
 */

export type ManSection = readonly [title: string, body: readonly string[]];

const CHAPTERS = { 1: 'User Commands', 8: 'System Administration' } as const;

/** @param chapter Of the manual. Default: 1. */
export function renderManPage(name: string, sections: readonly ManSection[], chapter: keyof typeof CHAPTERS = 1): string {
  const body = sections.flatMap(([title, lines]) => [`.SH ${title}`, ...lines]);
  return [`.TH ${escaped(name.toUpperCase())} ${chapter} "" "Sallyport" "${CHAPTERS[chapter]}"`, ...body, ''].join('\n');
}

/** An option as the tables of the drop-ins have it. */
export interface ManOption {
  readonly name: string;
  readonly short?: string;
  readonly argument?: string;
  readonly meaning: string;
  /** Further lines of its help. */
  readonly details?: readonly string[];
}

export function optionEntry({ name, short, argument: value, meaning, details = [] }: ManOption): string[] {
  const argument = value === undefined ? '' : `=\\fI${escaped(value)}\\fR`;
  const letter = short === undefined ? '' : `\\fB\\-${short}\\fR, `;
  return ['.TP', `${letter}\\fB\\-\\-${escaped(name)}\\fR${argument}`, line([sentence(meaning), ...details].join(' '))];
}

/** With a capital and a full stop, as help texts often have neither. */
export function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
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
