/** A child that runs one PAM transaction: started, talked to, ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { NetworkError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import { MAX_PAM_LINE, PAM_REPORT, type PamReport, type PamTask } from './pam-messages.ts';

/** The same file in the sources, in the build and in the bundle: it has the extension that this one has. */
const CHILD_FILE = new URL(`./pam-child${import.meta.url.slice(import.meta.url.lastIndexOf('.'))}`, import.meta.url);

/** Each is a process of some 50 MB for as long as a person types. */
const MAX_AT_ONCE = 32;

let running = 0;

export class PamProcess {
  readonly #child: ChildProcess;
  readonly #input: Writable;
  readonly #reports: AsyncIterator<string>;
  #isOver = false;

  private constructor(child: ChildProcess, input: Writable, output: Readable) {
    this.#child = child;
    this.#input = input;
    this.#reports = linesOf(output);
    input.on('error', () => undefined); // a child that has ended says so by its output
    child.once('close', () => {
      running--;
    });
    child.on('error', () => undefined); // could not be started: its output ends, which is what counts
  }

  /** Undefined: too many are running. */
  static start(task: PamTask): PamProcess | undefined {
    if (running >= MAX_AT_ONCE) return undefined;
    running++;
    const { PATH = '/usr/sbin:/usr/bin:/sbin:/bin', LANG = 'C.UTF-8' } = process.env;
    const child = spawn(process.execPath, [CHILD_FILE.pathname], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH, LANG, NODE_NO_WARNINGS: '1' },
    });
    const started = new PamProcess(child, child.stdin, child.stdout);
    started.#write(task);
    return started;
  }

  /** What it says next. Rejects with {@link NetworkError} if it ends without a word. */
  async next(): Promise<PamReport> {
    const line = await this.#reports.next();
    if (line.done === true) throw new NetworkError('the PAM process ended without a result');
    const report = PAM_REPORT.parse(JSON.parse(line.value));
    if (report.type !== 'ask') this.close();
    return report;
  }

  answer(value: Secret): void {
    this.#write({ answer: value.reveal() });
  }

  /** Ends it at once, whatever it does. Safe to call twice. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#child.kill('SIGKILL');
  }

  #write(message: object): void {
    this.#input.write(`${JSON.stringify(message)}\n`);
  }
}

async function* linesOf(output: Readable): AsyncGenerator<string, void, undefined> {
  let held = '';
  for await (const chunk of output.setEncoding('utf8')) {
    held += String(chunk);
    if (held.length > MAX_PAM_LINE) return;
    for (let end = held.indexOf('\n'); end >= 0; end = held.indexOf('\n')) {
      yield held.slice(0, end);
      held = held.slice(end + 1);
    }
  }
}
