/**
 * The command `sallyport` against the real ocserv: as a program with events, as a person at a terminal, and as a script sees it.
 *
 * @example
 * await using scene = await TunnelScene.open(NAMES);
 * const session = await SallyportRun.connect(scene);
 * await scene.assertAnswers();
 * assert.equal((await sallyport(scene, ['disconnect'])).code, 0);
 * await session.finish();
 * await scene.assertNoTrace();
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { shellQuoted } from '../../src/cli/openconnect/authenticate-output.ts';
import { schemaFaults } from '../support/json-schema.ts';
import { ALICE } from '../support/ocserv.ts';
import type { Finished, Program, ProgramOptions } from '../support/program.ts';
import { INSIDE, type SceneOptions, type TunnelScene } from './tunnel-scene.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const COMMAND = path.join(ROOT, 'bin', 'sallyport.js');
const SCHEMA: unknown = JSON.parse(readFileSync(path.join(ROOT, 'docs', 'sallyport-events.schema.json'), 'utf8'));

/** A gateway that has name servers to offer. */
export const NAMES: SceneOptions = { settings: { dns: [INSIDE.ipv4] } };

/** Runs a command of `sallyport` on the client's machine to its end. */
export function sallyport({ client }: TunnelScene, args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
  return client.finish(process.execPath, [COMMAND, ...args], options);
}

export function startSallyport({ client }: TunnelScene, args: readonly string[], options: ProgramOptions = {}): Promise<Program> {
  return client.start(process.execPath, [COMMAND, ...args], options);
}

/** The words that connect Alice to the scene's gateway, which is trusted by its pin. */
export function connectArgs({ gateway, ocserv }: TunnelScene, ...args: readonly string[]): string[] {
  return ['connect', gateway, '--pin', ocserv.pin, '--user', ALICE.name, ...args];
}

export const PASSWORD: ProgramOptions = { input: `${ALICE.password}\n` };

/** Starts a command at a terminal of its own, of 100 columns: standard streams are the terminal, Ctrl-C is the key. @param kind `TERM` */
export function atTerminal({ client }: TunnelScene, args: readonly string[], kind = 'xterm-256color'): Promise<Program> {
  const words = [process.execPath, COMMAND, ...args].map(shellQuoted);
  const command = `stty cols 100 rows 40; exec ${words.join(' ')}`;
  return client.start('script', ['--quiet', '--flush', '--return', '--command', command, '/dev/null'], {
    keepsInputOpen: true,
    env: { TERM: kind, SHELL: '/bin/sh' },
  });
}

export const CTRL_C = '\u0003';

const CLEAR_LINE = '\u001b[2K';

/** What was on the screen, line by line, without what was cleared there, and without colours. Lines that questions draw again come again. */
export function screenText(output: string): string {
  const lines = output.split('\r\n').map((line) => line.split(CLEAR_LINE).at(-1) ?? '');
  return lines.map((line) => line.replace(/\u001b\[[0-9;?]*[A-Za-z]|\r/g, '')).join('\n');
}

/** A text as it is, in a regular expression. */
export function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}

export type Event = Readonly<Record<string, unknown>>;

/** A `sallyport connect --json`, with its events, each of which must be as the schema says. */
export class SallyportRun {
  readonly program: Program;

  private constructor(program: Program) {
    this.program = program;
  }

  /** As Alice with her password, unless `args` say otherwise. */
  static async start(scene: TunnelScene, args: readonly string[] = [], options: ProgramOptions = PASSWORD): Promise<SallyportRun> {
    const password = options === PASSWORD ? ['--password-stdin'] : [];
    return new SallyportRun(await startSallyport(scene, connectArgs(scene, '--json', ...password, ...args), options));
  }

  /** Starts it and waits until packets flow. */
  static async connect(scene: TunnelScene, args: readonly string[] = [], options: ProgramOptions = PASSWORD): Promise<SallyportRun> {
    const run = await SallyportRun.start(scene, args, options);
    await run.until('connected');
    return run;
  }

  get events(): Event[] {
    const lines = this.program.stdout.split('\n').slice(0, -1);
    return lines.map((line) => {
      const event: Event = JSON.parse(line);
      assert.deepEqual(schemaFaults(event, SCHEMA, { isClosed: true }), [], line);
      return event;
    });
  }

  /** Its place in what has been printed: for {@link until}. */
  get mark(): number {
    return this.program.output.length;
  }

  /** Waits for an event. */
  async until(name: string, { after = 0 }: { readonly after?: number } = {}): Promise<Event> {
    const [line] = await this.program.waitFor(new RegExp(`^.*"event":"${name}".*$`, 'm'), { after });
    return JSON.parse(line);
  }

  /** Waits for the end; the last event says how it was. */
  async finish(): Promise<{ readonly code: number | null; readonly events: readonly Event[]; readonly end: Event }> {
    const { code, output } = await this.program.finish();
    const { events } = this;
    const end = events.at(-1);
    assert.ok(end !== undefined, output);
    assert.equal(end.event, 'end', output);
    assert.equal(end.exitCode, code);
    return { code, events, end };
  }
}
