/** A string that must not be shown: prints as `[secret]` where it is joined or serialised by mistake; inspecting it shows nothing, as the value is private. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Call this only where it is sent or used, never where it is shown. */
  reveal(): string {
    return this.#value;
  }

  get isEmpty(): boolean {
    return this.#value.length === 0;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }
}

/** The text of a value that may be secret. */
export function revealed(value: string | Secret): string {
  return typeof value === 'string' ? value : value.reveal();
}
