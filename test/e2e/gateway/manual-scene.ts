/**
 * What docs/gateway.md tells its reader to do, done: a section's files are written where it says, its commands run on the gateway's machine, in its order.
 *
 * A fenced block is what its first line says: "toml /etc/x": that file; "toml": a part of gateway.toml, which replaces the tables that it has; "sh": commands,
 * one of which may be the gateway itself; "sh client": commands of a client's machine, one a line; "text": for the reader only.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { assertBuilt } from '../../support/drop-in.ts';
import { OUR_GATEWAY } from '../../support/gateway-program.ts';
import { Lab } from '../../support/lab.ts';
import type { Namespace } from '../../support/namespaces.ts';
import { reportingScript, VPNC_SCRIPT } from '../../support/openconnect.ts';
import type { Finished, Program } from '../../support/program.ts';

export const ROOT: string = path.resolve(import.meta.dirname, '../../..');
export const MANUAL: string = readFileSync(path.join(ROOT, 'docs/gateway.md'), 'utf8');

const CONFIG = '/etc/sallyport/gateway.toml';

/** Of the examples. */
const NAME = 'vpn.example.com';

/** The user that the manual makes. */
export const PASSWORD = 'correct horse';

/** A line that is the gateway itself, which stays. */
const STARTS_GATEWAY = /^sallyport gateway --config|^sallyport-ocserv --foreground/;

const COMMANDS = ['sallyport', 'sallyport-occtl', 'sallyport-ocpasswd', 'sallyport-ocserv', 'sallyport-openconnect'];

interface Block {
  readonly language: string;
  /** What stands behind the language: a file, or `client`. */
  readonly target: string;
  readonly text: string;
}

/** The fenced blocks below a heading, up to the next one. Throws for a heading that is not there. */
function blocksOf(heading: string): Block[] {
  const section = MANUAL.split(/^(?=##+ )/m).find((part) => /^##+ (.*)$/m.exec(part)?.[1] === heading);
  if (section === undefined) throw new Error(`docs/gateway.md has no section "${heading}"`);
  return [...section.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)].map(([, language = '', target = '', text = '']) => ({
    ...{ language, target, text },
  }));
}

export class ManualScene implements AsyncDisposable {
  readonly lab: Lab;
  readonly #environment: Readonly<Record<string, string>>;
  #gateway: Program | undefined;
  #pin = '';

  private constructor(lab: Lab, environment: Readonly<Record<string, string>>) {
    this.lab = lab;
    this.#environment = environment;
  }

  /** Two machines, with our commands in the path of both. */
  static async open(): Promise<ManualScene> {
    assertBuilt(OUR_GATEWAY.command);
    const lab = await Lab.open();
    for (const namespace of [lab.client, lab.server]) mkdirSync(namespace.file('/etc/sallyport'));
    const tools = path.join(lab.folder, 'commands');
    mkdirSync(tools);
    for (const name of COMMANDS) {
      const file = path.join(tools, name);
      writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${path.join(ROOT, 'bin', `${name}.js`)}' "$@"\n`);
      chmodSync(file, 0o755);
    }
    for (const { namespace, address } of [
      { namespace: lab.client, address: lab.addresses.server.ipv4 },
      { namespace: lab.server, address: '127.0.0.1' },
    ]) {
      writeFileSync(namespace.file('/etc/hosts'), `127.0.0.1 localhost\n${address} ${NAME}\n`);
    }
    return new ManualScene(lab, { PATH: `${tools}:/usr/sbin:/usr/bin:/sbin:/bin` });
  }

  /** Does everything that the sections say; what clients do is for {@link clientCommands}. Resolves with what the commands printed. */
  async follow(...headings: readonly string[]): Promise<string> {
    let printed = '';
    for (const block of headings.flatMap(blocksOf)) {
      if (!this.#take(block) && block.language === 'sh' && block.target === '') printed += await this.#run(block.text);
    }
    return printed;
  }

  /** What the section has clients do, one command a line. `PIN` and their machine are seen to. */
  clientCommands(heading: string): string[] {
    return blocksOf(heading).flatMap(({ target, text }) => (target === 'client' ? text.trim().split('\n') : []));
  }

  /** Starts a client's command, which is given the password; the tunnel is up when the promise resolves. */
  async connect(command: string, { input = `${PASSWORD}\n` }: { readonly input?: string } = {}): Promise<Program> {
    const unattended = command
      .replace(/^(sallyport-)?openconnect/, `$& --non-inter --script "$SCRIPT"${input === '' ? '' : ' --passwd-on-stdin'}`)
      .replace(/^sallyport connect/, '$& --password-stdin');
    const client = await this.lab.client.start('sh', ['-c', `cd /etc/sallyport; exec ${unattended}`], {
      env: { ...this.#environment, PIN: this.#pin, SCRIPT: reportingScript(VPNC_SCRIPT) },
      input,
    });
    await client.waitFor(/^(script connect ended with 0$|Connected to vpn)/m);
    return client;
  }

  /** Only what the section has of gateway.toml. */
  configure(heading: string): void {
    for (const block of blocksOf(heading)) this.#take(block);
  }

  async stop(): Promise<void> {
    await this.#gateway?.stop();
  }

  /** Ends the gateway and starts it again: with what has been written meanwhile. */
  async restart(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#gateway?.stop({ signal });
    await this.#start(`sallyport gateway --config ${CONFIG}`);
  }

  /** Waits for a line of the gateway's log. */
  logged(pattern: RegExp): Promise<RegExpExecArray> {
    if (this.#gateway === undefined) throw new Error('no gateway runs');
    return this.#gateway.waitFor(pattern);
  }

  /** Runs a command on the gateway's machine to its end. */
  shell(command: string, namespace: Namespace = this.lab.server): Promise<Finished> {
    return namespace.finish('sh', ['-ec', command], { env: this.#environment, input: `${PASSWORD}\n` });
  }

  start(command: string): Promise<Program> {
    return this.lab.server.start('sh', ['-ec', `exec ${command}`], { env: this.#environment });
  }

  read(file: string): string {
    return readFileSync(this.lab.server.file(file), 'utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.close();
  }

  /** False: it is no file, and no part of one. */
  #take({ language, target, text }: Block): boolean {
    if (target.startsWith('/')) this.#write(target, text);
    else if (language === 'toml') this.#write(CONFIG, withTables(this.read(CONFIG), text));
    else return false;
    return true;
  }

  /** Commands, then the gateway if they start it. */
  async #run(text: string): Promise<string> {
    const lines = text.split('\n');
    const starts = lines.filter((line) => STARTS_GATEWAY.test(line));
    const { code, output, stdout } = await this.shell(lines.filter((line) => !STARTS_GATEWAY.test(line)).join('\n'));
    if (code !== 0) throw new Error(`docs/gateway.md: ended with ${code}:\n${text}\n${output}`);
    for (const line of starts) await this.#start(line);
    if (text.includes('dgst -sha256')) this.#pin = stdout.trim();
    return output;
  }

  async #start(command: string): Promise<void> {
    this.#gateway = await this.start(command);
    await this.#gateway.waitFor(OUR_GATEWAY.ready);
  }

  #write(file: string, text: string): void {
    const inside = this.lab.server.file(file);
    mkdirSync(path.dirname(inside), { recursive: true });
    writeFileSync(inside, text);
  }
}

/** A configuration with some tables in the place of those of the same name. */
function withTables(config: string, tables: string): string {
  const parts = (toml: string) => toml.split(/^(?=\[)/m).map((part) => [part.split('\n', 1)[0] ?? '', part] as const);
  return [...new Map([...parts(config), ...parts(tables)]).values()].map((part) => `${part.trim()}\n`).join('\n');
}
