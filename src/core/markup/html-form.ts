/**
 * The form of an HTML page as a gateway's log-in writes it: its inputs in their order, its choices, and what the page says in bold and in cells.
 *
 * Read first: spec "Fortinet", sections 2.5 and 9; spec "F5", section 2.3. Pages are for browsers and often no good HTML: whatever cannot be read is left out.
 */
import { type Handler, Parser } from 'htmlparser2';
import { PeerMisbehavedError } from '../errors.ts';

export interface HtmlForm {
  readonly id?: string;
  readonly name?: string;
  /** Lower case; `get` where the form does not say. */
  readonly method: string;
  readonly action?: string;
  /** In the order of the document. */
  readonly inputs: readonly HtmlInput[];
  readonly selects: readonly HtmlSelect[];
}

export interface HtmlSelect {
  readonly name: string;
  readonly options: readonly HtmlOption[];
}

export interface HtmlOption {
  /** What is sent: the text where the page does not say. */
  readonly value: string;
  readonly text: string;
  readonly isSelected: boolean;
}

export interface HtmlInput {
  /** Lower case; empty where it is not said. */
  readonly type: string;
  readonly name: string;
  readonly value: string;
  readonly style: string;
  readonly isChecked: boolean;
}

export interface HtmlPage {
  /** The first of the document. */
  readonly form?: HtmlForm;
  /** The text of the last `<b>`, white space at its ends left out; undefined if there is none, or it is empty. */
  readonly bold?: string;
  /** The texts of table cells that have an id, white space at their ends left out. */
  readonly cells: ReadonlyMap<string, string>;
  /** What can be followed in cells of tables that have an id, in the order of the document. */
  readonly links: readonly HtmlLink[];
  /** The texts of `<textarea>`s in the form, by name, white space at their ends left out. */
  readonly texts: ReadonlyMap<string, string>;
}

export interface HtmlLink {
  /** The id of the table. */
  readonly table: string;
  readonly href: string;
  readonly text: string;
}

/** Characters of a page, inputs of its form, characters of a name or value. */
export const MAX_PAGE_LENGTH = 65_536;
const MAX_INPUTS = 64;
const MAX_OPTIONS = 256;
const MAX_CELLS = 64;
const MAX_LINKS = 256;
const MAX_ATTRIBUTE_LENGTH = 8192;

/** Elements that are open at once, also as nobody has closed them: the parser looks through all of them for each that is closed. */
const MAX_DEPTH = 1000;

/** Throws {@link PeerMisbehavedError} for a page or a form that is too large; nothing else is wrong with HTML. */
export function parseHtmlPage(html: string, maxLength: number = MAX_PAGE_LENGTH): HtmlPage {
  if (html.length > maxLength) throw new PeerMisbehavedError(`the gateway's page has more than ${maxLength} characters`);
  const reader = new PageReader();
  // HTML's own entities are left out of the commands (tools/bundle.ts); XML's do, and so do its rules where scripts are taken out first.
  const parser = new Parser(reader, { xmlMode: true, lowerCaseTags: true, lowerCaseAttributeNames: true });
  parser.end(withoutScripts(html));
  return reader.page();
}

/** One that is not closed goes to the end, as in browsers. Each character is looked at twice at most, whatever the page. */
function withoutScripts(html: string): string {
  const parts: string[] = [];
  const opening = /<(script|style)\b/gi;
  let position = 0;
  for (let opened = opening.exec(html); opened !== null; opened = opening.exec(html)) {
    parts.push(html.slice(position, opened.index));
    const closing = opened[1]?.toLowerCase() === 'script' ? /<\/script\s*>/gi : /<\/style\s*>/gi;
    closing.lastIndex = opening.lastIndex;
    position = closing.exec(html) === null ? html.length : closing.lastIndex;
    opening.lastIndex = position;
  }
  return parts.join('') + html.slice(position);
}

class PageReader implements Partial<Handler> {
  #form: (Omit<HtmlForm, 'inputs' | 'selects'> & { readonly inputs: HtmlInput[]; readonly selects: OpenSelect[] }) | undefined;
  readonly #cells = new Map<string, string>();
  /** The cell with an id that is open. */
  #cell: string | undefined;
  /** The table with an id that is open. */
  #table: string | undefined;
  readonly #links: { readonly table: string; readonly href: string; text: string }[] = [];
  #isInLink = false;
  readonly #texts = new Map<string, string>();
  #textArea: string | undefined;
  #select: OpenSelect | undefined;
  #isInForm = false;
  /** Depth of `<b>` that is open. */
  #bolds = 0;
  #text = '';
  #bold = '';
  #depth = 0;

  onopentag(name: string, attributes: Readonly<Record<string, string>>): void {
    if (++this.#depth > MAX_DEPTH) throw new PeerMisbehavedError(`the gateway's page has more than ${MAX_DEPTH} elements in each other`);
    if (name === 'form' && this.#form === undefined) {
      const { id, name: formName, method = 'get', action } = attributes;
      this.#form = {
        ...(id !== undefined && { id }),
        ...(formName !== undefined && { name: formName }),
        method: method.trim().toLowerCase(),
        ...(action !== undefined && { action }),
        inputs: [],
        selects: [],
      };
      this.#isInForm = true;
    } else if (name === 'input' && this.#isInForm) {
      this.#input(attributes);
    } else if (name === 'select' && this.#isInForm) {
      this.#openSelect(attributes.name ?? '');
    } else if (name === 'option' && this.#select !== undefined) {
      this.#option(this.#select, attributes);
    } else if (name === 'b' && this.#bolds++ === 0) {
      this.#text = '';
    } else if (name === 'td' && attributes.id !== undefined && this.#cells.size < MAX_CELLS) {
      this.#cell = attributes.id;
      this.#cells.set(attributes.id, '');
    } else if (name === 'table') {
      this.#table = attributes.id;
    } else if (name === 'a' && this.#table !== undefined && attributes.href !== undefined) {
      this.#link({ table: this.#table, href: attributes.href });
    } else if (name === 'textarea' && this.#isInForm && attributes.name !== undefined && this.#texts.size < MAX_CELLS) {
      this.#textArea = attributes.name;
      this.#texts.set(attributes.name, '');
    }
  }

  onclosetag(name: string): void {
    this.#depth--;
    if (name === 'form') this.#isInForm = false;
    if (name === 'select') this.#select = undefined;
    if (name === 'td') this.#cell = undefined;
    if (name === 'table') this.#table = undefined;
    if (name === 'a') this.#isInLink = false;
    if (name === 'textarea') this.#textArea = undefined;
    if (name === 'b' && this.#bolds > 0 && --this.#bolds === 0) this.#bold = this.#text.trim();
  }

  ontext(text: string): void {
    if (this.#bolds > 0) this.#text += text;
    const option = this.#select?.options.at(-1);
    if (option !== undefined) option.text += text;
    if (this.#cell !== undefined) this.#cells.set(this.#cell, (this.#cells.get(this.#cell) ?? '') + text);
    if (this.#textArea !== undefined) this.#texts.set(this.#textArea, (this.#texts.get(this.#textArea) ?? '') + text);
    const link = this.#isInLink ? this.#links.at(-1) : undefined;
    if (link !== undefined) link.text += text;
  }

  page(): HtmlPage {
    const trimmed = (texts: ReadonlyMap<string, string>) => new Map(Array.from(texts, ([id, text]) => [id, text.trim()]));
    const found = { cells: trimmed(this.#cells), texts: trimmed(this.#texts), links: this.#links.map(linkOf) };
    const form = this.#form && { ...this.#form, selects: this.#form.selects.map(closed) };
    return { ...(form !== undefined && { form }), ...(this.#bold !== '' && { bold: this.#bold }), ...found };
  }

  #link({ table, href }: Omit<HtmlLink, 'text'>): void {
    if (this.#links.length === MAX_LINKS || href.length > MAX_ATTRIBUTE_LENGTH) {
      throw new PeerMisbehavedError(`the gateway's page has more than ${MAX_LINKS} links`);
    }
    this.#links.push({ table, href, text: '' });
    this.#isInLink = true;
  }

  #openSelect(name: string): void {
    const selects = this.#form?.selects ?? [];
    if (selects.length === MAX_INPUTS || name.length > MAX_ATTRIBUTE_LENGTH) {
      throw new PeerMisbehavedError(`the gateway's form has more than ${MAX_INPUTS} choices`);
    }
    this.#select = { name, options: [] };
    selects.push(this.#select);
  }

  #option({ options }: OpenSelect, { value, selected }: Readonly<Record<string, string>>): void {
    if (options.length === MAX_OPTIONS) throw new PeerMisbehavedError(`the gateway's form has a choice of more than ${MAX_OPTIONS}`);
    options.push({ ...(value !== undefined && { value }), text: '', isSelected: selected !== undefined });
  }

  #input({ type = '', name = '', value = '', style = '', checked }: Readonly<Record<string, string>>): void {
    const inputs = this.#form?.inputs ?? [];
    if (inputs.length === MAX_INPUTS) throw new PeerMisbehavedError(`the gateway's form has more than ${MAX_INPUTS} inputs`);
    if (name.length > MAX_ATTRIBUTE_LENGTH || value.length > MAX_ATTRIBUTE_LENGTH) {
      throw new PeerMisbehavedError(`the gateway's form has an input with more than ${MAX_ATTRIBUTE_LENGTH} characters`);
    }
    inputs.push({ type: type.trim().toLowerCase(), name, value, style, isChecked: checked !== undefined });
  }
}

/** A choice that is being read. */
interface OpenSelect {
  readonly name: string;
  readonly options: OpenOption[];
}

interface OpenOption {
  readonly value?: string;
  text: string;
  readonly isSelected: boolean;
}

function closed({ name, options }: OpenSelect): HtmlSelect {
  return { name, options: options.map(({ value, text, isSelected }) => ({ value: value ?? text.trim(), text: text.trim(), isSelected })) };
}

function linkOf({ table, href, text }: HtmlLink): HtmlLink {
  return { table, href, text: text.trim() };
}
