/**
 * The form of an HTML page as a gateway's log-in writes it: its inputs in their order, and what the page says in bold.
 *
 * Read first: spec "Fortinet", sections 2.5 and 9. Pages are for browsers and often no good HTML: whatever cannot be read is left out.
 */
import { type Handler, Parser } from 'htmlparser2';
import { PeerMisbehavedError } from '../errors.ts';

export interface HtmlForm {
  /** Lower case; `get` where the form does not say. */
  readonly method: string;
  readonly action?: string;
  /** In the order of the document. */
  readonly inputs: readonly HtmlInput[];
}

export interface HtmlInput {
  /** Lower case; empty where it is not said. */
  readonly type: string;
  readonly name: string;
  readonly value: string;
  readonly style: string;
}

export interface HtmlPage {
  /** The first of the document. */
  readonly form?: HtmlForm;
  /** The text of the last `<b>`, white space at its ends left out; undefined if there is none, or it is empty. */
  readonly bold?: string;
}

/** Characters of a page, inputs of its form, characters of a name or value. */
export const MAX_PAGE_LENGTH = 65_536;
const MAX_INPUTS = 64;
const MAX_ATTRIBUTE_LENGTH = 8192;

/** Throws {@link PeerMisbehavedError} for a page or a form that is too large; nothing else is wrong with HTML. */
export function parseHtmlPage(html: string): HtmlPage {
  if (html.length > MAX_PAGE_LENGTH) throw new PeerMisbehavedError(`the gateway's page has more than ${MAX_PAGE_LENGTH} characters`);
  const reader = new PageReader();
  // HTML's own entities are left out of the commands (tools/bundle.ts); XML's do, and so do its rules where scripts are taken out first.
  const parser = new Parser(reader, { xmlMode: true, lowerCaseTags: true, lowerCaseAttributeNames: true });
  parser.end(html.replace(/<(script|style)\b[\s\S]*?<\/\1\s*>/gi, ''));
  return reader.page();
}

class PageReader implements Partial<Handler> {
  #form: { readonly method: string; readonly action?: string; readonly inputs: HtmlInput[] } | undefined;
  #isInForm = false;
  /** Depth of `<b>` that is open. */
  #bolds = 0;
  #text = '';
  #bold = '';

  onopentag(name: string, attributes: Readonly<Record<string, string>>): void {
    if (name === 'form' && this.#form === undefined) {
      const { method = 'get', action } = attributes;
      this.#form = { method: method.trim().toLowerCase(), ...(action !== undefined && { action }), inputs: [] };
      this.#isInForm = true;
    } else if (name === 'input' && this.#isInForm) {
      this.#input(attributes);
    } else if (name === 'b' && this.#bolds++ === 0) {
      this.#text = '';
    }
  }

  onclosetag(name: string): void {
    if (name === 'form') this.#isInForm = false;
    if (name === 'b' && this.#bolds > 0 && --this.#bolds === 0) this.#bold = this.#text.trim();
  }

  ontext(text: string): void {
    if (this.#bolds > 0) this.#text += text;
  }

  page(): HtmlPage {
    return { ...(this.#form !== undefined && { form: this.#form }), ...(this.#bold !== '' && { bold: this.#bold }) };
  }

  #input({ type = '', name = '', value = '', style = '' }: Readonly<Record<string, string>>): void {
    const inputs = this.#form?.inputs ?? [];
    if (inputs.length === MAX_INPUTS) throw new PeerMisbehavedError(`the gateway's form has more than ${MAX_INPUTS} inputs`);
    if (name.length > MAX_ATTRIBUTE_LENGTH || value.length > MAX_ATTRIBUTE_LENGTH) {
      throw new PeerMisbehavedError(`the gateway's form has an input with more than ${MAX_ATTRIBUTE_LENGTH} characters`);
    }
    inputs.push({ type: type.trim().toLowerCase(), name, value, style });
  }
}
