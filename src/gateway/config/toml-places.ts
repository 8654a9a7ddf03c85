/**
 * Where in a TOML text each value stands, so that a complaint about a value can name its line. The text has been parsed before: only its shape matters
 * here, not whether it is right.
 *
 *   [[host]]                 host.0
 *   tls.priorities = "…"     host.0.tls.priorities
 *   list = [1, { a = 2 }]    host.0.list, host.0.list.0, host.0.list.1, host.0.list.1.a
 */
import type { Place } from './config-report.ts';

export type TomlPath = readonly (string | number)[];

export class TomlPlaces {
  readonly #places = new Map<string, Place>();
  readonly #text: string;
  /** Of arrays of tables: how many there were so far. */
  readonly #counts = new Map<string, number>();
  #at = 0;
  #line = 1;
  #lineStart = 0;

  constructor(text: string) {
    this.#text = text;
    let table: TomlPath = [];
    for (this.#skipBlanks(); this.#at < text.length; this.#skipBlanks()) {
      const start = this.#at;
      if (text[start] === '[') {
        const isArray = text[start + 1] === '[';
        this.#at += isArray ? 2 : 1;
        table = this.#open(this.#key(), isArray);
        this.#record(table, start);
        this.#at = endOfLine(text, this.#at);
      } else {
        this.#assignment(table);
      }
      // Nothing was understood: go on all the same.
      if (this.#at === start) this.#at++;
    }
  }

  /** Of the value, or of what it would be in. */
  of(path: TomlPath): Place {
    for (let length = path.length; length > 0; length--) {
      const place = this.#places.get(JSON.stringify(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return { line: 0 };
  }

  /** The path of a header: names that are arrays of tables mean their last table. */
  #open(keys: readonly string[], isArray: boolean): TomlPath {
    const path: (string | number)[] = [];
    for (const [i, key] of keys.entries()) {
      path.push(key);
      const name = JSON.stringify(path);
      const count = this.#counts.get(name);
      if (isArray && i === keys.length - 1) {
        this.#counts.set(name, (count ?? 0) + 1);
        path.push(count ?? 0);
      } else if (count !== undefined) {
        path.push(count - 1);
      }
    }
    return path;
  }

  /** `a.b = value` */
  #assignment(table: TomlPath): void {
    const start = this.#at;
    const path = [...table, ...this.#key()];
    this.#record(path, start);
    while (this.#text[this.#at] === ' ' || this.#text[this.#at] === '\t') this.#at++;
    if (this.#text[this.#at] !== '=') return;
    this.#at++;
    this.#value(path);
  }

  #value(path: TomlPath): void {
    this.#skipBlanks();
    const first = this.#text[this.#at];
    if (first === '"' || first === "'") this.#string();
    else if (first === '[') this.#members((index) => this.#element([...path, index]));
    else if (first === '{') this.#members(() => this.#assignment(path));
    else while (this.#at < this.#text.length && !/[\s,\]}#]/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  #element(path: TomlPath): void {
    this.#record(path, this.#at);
    this.#value(path);
  }

  /** What stands between brackets, with commas between. */
  #members(read: (index: number) => void): void {
    this.#at++;
    for (let index = 0; this.#at < this.#text.length; ) {
      this.#skipBlanks();
      const next = this.#text[this.#at];
      if (next === ']' || next === '}') break;
      const start = this.#at;
      if (next !== ',') read(index++);
      if (this.#at === start) this.#at++;
    }
    this.#at++;
  }

  /** Bare and quoted names with dots between them. */
  #key(): string[] {
    const names: string[] = [];
    while (names.length < MAX_NAMES) {
      while (/[ \t.]/.test(this.#text[this.#at] ?? '')) this.#at++;
      const first = this.#text[this.#at];
      if (first === '"' || first === "'") {
        names.push(this.#string());
        continue;
      }
      const [name] = /^[\w-]+/.exec(this.#text.slice(this.#at, this.#at + MAX_NAME_LENGTH)) ?? [];
      if (name === undefined) break;
      names.push(name);
      this.#at += name.length;
    }
    return names;
  }

  /** Its text as written, which is all that a name needs. */
  #string(): string {
    const quote = this.#text[this.#at] ?? '';
    const fence = this.#text.startsWith(quote.repeat(3), this.#at) ? quote.repeat(3) : quote;
    const start = this.#at + fence.length;
    let end = start;
    while (end < this.#text.length && !this.#text.startsWith(fence, end)) end += quote === '"' && this.#text[end] === '\\' ? 2 : 1;
    this.#at = end + fence.length;
    // One or two more quotes belong to the string (TOML, "String").
    while (fence.length === 3 && this.#text[this.#at] === quote) this.#at++;
    return this.#text.slice(start, end);
  }

  /** Also of what it is in, where that has no place yet. */
  #record(path: TomlPath, index: number): void {
    if (path.length > 1) this.#record(path.slice(0, -1), index);
    const name = JSON.stringify(path);
    if (this.#places.has(name)) return;
    // Places are recorded in their order: lines are counted once.
    for (let end = this.#text.indexOf('\n', this.#lineStart); end >= 0 && end < index; end = this.#text.indexOf('\n', this.#lineStart)) {
      this.#line++;
      this.#lineStart = end + 1;
    }
    this.#places.set(name, { line: this.#line, column: index - this.#lineStart + 1 });
  }

  #skipBlanks(): void {
    for (;;) {
      while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
      if (this.#text[this.#at] !== '#') return;
      this.#at = endOfLine(this.#text, this.#at);
    }
  }
}

/** A longer name is none of ours. */
const MAX_NAME_LENGTH = 256;

/** Nor is a deeper one. */
const MAX_NAMES = 16;

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}
