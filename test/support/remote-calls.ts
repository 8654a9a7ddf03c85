/**
 * Calls from a test to a Node program that it started in a namespace, over Node's message channel: a way past the network under test.
 *
 * The program serves an object of functions; its type is all the test needs to call them. Arguments and results are plain data.
 */
import type { Namespace } from './namespaces.ts';
import type { Program } from './program.ts';

/** Functions by name. */
export type Calls = Readonly<Record<string, (...args: never[]) => unknown>>;

interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: string;
}

/** In the program: answers calls until the test ends, and then ends the program. */
export function serveCalls(calls: Calls): void {
  process.on('message', async ({ id, name, args }: Call) => {
    let answer: Answer;
    try {
      const call = calls[name] as ((...args: readonly unknown[]) => unknown) | undefined;
      if (call === undefined) throw new Error(`there is no call ${name}`);
      answer = { id, result: await call(...args) };
    } catch (error) {
      answer = { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    process.send?.(answer);
  });
  process.on('disconnect', () => process.exit());
}

/** In the test: a program that serves calls of type `C`. */
export class RemoteProgram<C extends Calls> {
  readonly program: Program;
  #lastId = 0;
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();

  /** @param program Started with its channel. */
  constructor(program: Program) {
    this.program = program;
    program.child.on('message', ({ id, result, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(`${program.name}: ${error}`));
    });
    program.exited.then(() => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`no answer: ${program.describe()}`));
      this.#waiting.clear();
    });
  }

  /** Starts one in a namespace. @param script The path of a TypeScript file that calls {@link serveCalls}. */
  static async start<C extends Calls>(namespace: Namespace, script: string, args: readonly string[] = []): Promise<RemoteProgram<C>> {
    return new RemoteProgram<C>(await namespace.start(process.execPath, [script, ...args], { hasChannel: true }));
  }

  /** Calls a function of the program. Rejects with its error, or when the program ends first. */
  call<K extends keyof C & string>(name: K, ...args: Parameters<C[K]>): Promise<Awaited<ReturnType<C[K]>>> {
    return new Promise((resolve, reject) => {
      if (!this.program.isRunning) throw new Error(`cannot call ${name}: ${this.program.describe()}`);
      const id = ++this.#lastId;
      // The program answers with what its function returned, as plain data.
      this.#waiting.set(id, { resolve: (result) => resolve(result as Awaited<ReturnType<C[K]>>), reject });
      this.program.child.send({ id, name, args } satisfies Call);
    });
  }
}
