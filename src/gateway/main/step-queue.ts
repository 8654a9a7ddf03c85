/** One thing after the other for each key: what takes a session down ends before what sets it up again begins. */
export class StepQueue {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs a step when those before it are done, however they ended. */
  run<T>(key: string, step: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const now = before.then(step);
    const settled = now.then(
      () => undefined,
      () => undefined, // the caller hears of it
    );
    this.#last.set(key, settled);
    void settled.then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    });
    return now;
  }

  /** All that is under way now is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}
