/**
 * XML as values: what gateways send parsed into a tree, and a tree written as the one line that they expect.
 *
 * Read first: spec "AnyConnect", sections 3.1 (envelope) and 3.4 (the opaque subtree that is sent back as it came).
 *
 * The parser forgives what gateways get wrong: Observed: ocserv 1.1.6 writes its banner without escapes, `<banner>Welcome & <hello></banner>`,
 * and openconnect logs in all the same. So a bare `&` is text, a tag that cannot be one is text, an element that its parent's end tag
 * finds open ends there. It does not forgive a document that is cut short or not one. There is no DTD, so no entities but the five of
 * XML itself, and no name is looked up anywhere.
 */
import { type Handler, Parser } from 'htmlparser2';
import { MisuseError, PeerMisbehavedError } from '../errors.ts';
import { fromUtf8 } from '../wire/text.ts';
import { isQualifiedName, isXmlText, toXmlText } from './xml-names.ts';

export interface XmlElement {
  /** With its prefix, as written. */
  readonly name: string;
  /** In the order they were written. */
  readonly attributes: ReadonlyMap<string, string>;
  /** Texts and elements in their order; white space between elements is text like any other. */
  readonly children: readonly XmlNode[];
}

export type XmlNode = XmlElement | string;

export interface XmlLimits {
  /** Characters of the document. */
  readonly length: number;
  /** Elements inside each other. */
  readonly depth: number;
  readonly elements: number;
  /** Attributes of one element. */
  readonly attributes: number;
  /** Characters of one attribute's value. */
  readonly attributeLength: number;
}

export const DEFAULT_XML_LIMITS: XmlLimits = {
  length: 4 * 1024 * 1024,
  depth: 64,
  elements: 50_000,
  attributes: 128,
  attributeLength: 64 * 1024,
};

/** An element of our own. Names and texts are checked when it is rendered. */
export function xmlElement(name: string, attributes: Readonly<Record<string, string>> = {}, children: readonly XmlNode[] = []): XmlElement {
  return { name, attributes: new Map(Object.entries(attributes)), children };
}

/** The child elements with a name. */
export function childrenNamed(element: XmlElement, name: string): XmlElement[] {
  return elementsOf(element).filter((child) => child.name === name);
}

/** The first child element with a name. */
export function child(element: XmlElement, name: string): XmlElement | undefined {
  return elementsOf(element).find((candidate) => candidate.name === name);
}

/** All child elements. */
export function elementsOf(element: XmlElement): XmlElement[] {
  return element.children.filter((node) => typeof node !== 'string');
}

/** An attribute's value. */
export function attribute(element: XmlElement, name: string): string | undefined {
  return element.attributes.get(name);
}

/** All the text inside an element and what it contains, white space included. */
export function textOf(element: XmlElement): string {
  return element.children.map((node) => (typeof node === 'string' ? node : textOf(node))).join('');
}

/** The root element of a document in UTF-8. Throws {@link PeerMisbehavedError} if it is none, is cut short, or goes over a limit. */
export function parseXml(document: Uint8Array | string, limits: Partial<XmlLimits> = {}): XmlElement {
  const bounds = { ...DEFAULT_XML_LIMITS, ...limits };
  const source = typeof document === 'string' ? document : fromUtf8(document);
  checkLimit(source.length, bounds.length, 'characters');
  const text = source.replace(/\r\n?/g, '\n'); // XML 1.0 §2.11: every line end is read as LF
  const builder = new TreeBuilder(text, bounds);
  const parser = new Parser(builder, { xmlMode: true });
  parser.write(text);
  const root = builder.finish(); // before the parser closes by itself what a cut document has left open
  parser.end();
  return root;
}

/** An element as one line: nothing is added between tags, line feeds in texts stay. Throws {@link MisuseError} if XML cannot say it. */
export function renderXml(element: XmlElement): string {
  checkName(element.name);
  const attributes = Array.from(element.attributes, ([name, value]) => {
    checkName(name);
    return ` ${name}="${escapeXml(value, /[&<>"\t\n\r]/g)}"`;
  }).join('');
  if (element.children.length === 0) return `<${element.name}${attributes}/>`;
  const content = element.children.map((node) => (typeof node === 'string' ? escapeXml(node, /[&<>\r]/g) : renderXml(node))).join('');
  return `<${element.name}${attributes}>${content}</${element.name}>`;
}

/** A whole document: the declaration, the root element as one line, and their line ends (spec "AnyConnect", section 3.1). */
export function renderXmlDocument(root: XmlElement): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${renderXml(root)}\n`;
}

/** A text of any kind as it stands between tags: characters that XML does not have become U+FFFD. For documents with a fixed lay-out. */
export function escapedText(text: string): string {
  return escapeXml(toXmlText(text), /[&<>\r]/g);
}

/** The same for an attribute's value in double quotes. */
export function escapedAttribute(text: string): string {
  return escapeXml(toXmlText(text), /[&<>"\t\n\r]/g);
}

function checkName(name: string): void {
  if (!isQualifiedName(name)) throw new MisuseError('This is not a name of an XML element or attribute.');
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** `unsafe` says what must not stand as it is: a reader would take it for markup, or for another kind of white space. */
function escapeXml(text: string, unsafe: RegExp): string {
  if (!isXmlText(text)) throw new MisuseError('A text for XML has a character that XML does not have.');
  return text.replace(unsafe, (character) => ESCAPES[character] ?? `&#${character.charCodeAt(0)};`);
}

interface OpenElement extends XmlElement {
  readonly attributes: Map<string, string>;
  readonly children: XmlNode[];
}

/** Makes a tree of the parser's events, and is where its limits are. */
class TreeBuilder implements Partial<Handler> {
  readonly #source: string;
  readonly #limits: XmlLimits;
  /** The elements that are open. One that was no tag after all is its parent once more: what is in it belongs there. */
  readonly #open: OpenElement[] = [];
  #root: XmlElement | undefined;
  #parser: Parser | undefined;
  #elements = 0;
  /** The attributes of the tag that is being read. */
  #attributes = new Map<string, string>();
  #attributeCount = 0;

  constructor(source: string, limits: XmlLimits) {
    this.#source = source;
    this.#limits = limits;
  }

  onparserinit(parser: Parser): void {
    this.#parser = parser;
  }

  onattribute(name: string, value: string): void {
    checkLimit(++this.#attributeCount, this.#limits.attributes, 'attributes of one element');
    checkLimit(value.length, this.#limits.attributeLength, 'characters in an attribute');
    if (!this.#attributes.has(name)) this.#attributes.set(name, toXmlText(value));
  }

  onopentag(name: string): void {
    const attributes = this.#attributes;
    this.#attributes = new Map();
    this.#attributeCount = 0;
    checkLimit(++this.#elements, this.#limits.elements, 'elements');
    checkLimit(this.#open.length + 1, this.#limits.depth, 'elements inside each other');
    const parent = this.#open.at(-1);
    if (![name, ...attributes.keys()].every(isQualifiedName)) {
      this.ontext(this.#tagAsWritten());
      if (parent !== undefined) this.#open.push(parent);
      return;
    }
    const element: OpenElement = { name, attributes, children: [] };
    if (parent !== undefined) parent.children.push(element);
    else if (this.#root === undefined) this.#root = element;
    else throw new PeerMisbehavedError('XML document has more than one root element');
    this.#open.push(element);
  }

  onclosetag(): void {
    this.#open.pop();
  }

  ontext(text: string): void {
    const children = this.#open.at(-1)?.children;
    if (children === undefined) {
      if (/\S/.test(text)) throw new PeerMisbehavedError('XML document has text outside its root element');
      return;
    }
    if (text === '') return; // an empty CDATA section
    const last = children.at(-1);
    if (typeof last === 'string') children[children.length - 1] = last + toXmlText(text);
    else children.push(toXmlText(text));
  }

  onprocessinginstruction(name: string, data: string): void {
    // A subset of declarations: the parser would take its insides for text, and there is no honest use for one.
    if (name.startsWith('!') && data.includes('[')) throw new PeerMisbehavedError('XML document has a DTD, which is not allowed');
  }

  /** The root, once everything was read. */
  finish(): XmlElement {
    const [unclosed] = this.#open;
    if (this.#root === undefined) throw new PeerMisbehavedError('XML document has no element');
    if (unclosed !== undefined) throw new PeerMisbehavedError(`XML document ends inside the element ${unclosed.name.slice(0, 40)}`);
    return this.#root;
  }

  #tagAsWritten(): string {
    const { startIndex = 0, endIndex = -1 } = this.#parser ?? {};
    return this.#source.slice(startIndex, endIndex + 1);
  }
}

function checkLimit(value: number, limit: number, what: string): void {
  if (value > limit) throw new PeerMisbehavedError(`XML document has more than ${limit} ${what}`);
}
